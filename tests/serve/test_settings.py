"""The flags say what the settings are."""

from __future__ import annotations

import re

import pytest
import typer.main

from foveate.cli import app
from foveate.errors import SettingsError
from foveate.serve.settings import ServerSettings, make_server_settings


def test_the_help_shows_every_setting_and_its_default() -> None:
    group = typer.main.get_command(app)
    command = group.commands["serve"]  # type: ignore[attr-defined]
    helps = {parameter.name: getattr(parameter, "help", None) for parameter in command.params}
    for name, field in ServerSettings.model_fields.items():
        assert name in helps
        if field.default not in (None, ()):
            shown = re.search(r"\[default: (.*)\]", helps[name] or "")
            assert shown is not None, name
            assert shown[1] == (field.default if name == "host" else f"{field.default:g}")


def test_flags_that_were_not_given_are_defaults() -> None:
    assert make_server_settings({"port": None, "queue": 3}) == ServerSettings(queue=3)


@pytest.mark.parametrize(
    "flags",
    [
        {"port": 70_000},
        {"queue": 0},
        {"deadline": -1.0},
        {"max_body": 0},
        {"cors_origin": ["shop.example"]},
        {"cors_origin": ["https://shop.example", "https://shop.example/"]},
        {"cors_origin": ["null"]},
        {"trusted_proxy": ["proxy.example"]},
        {"trusted_proxy": ["10.0.0.0/8", "10.0.0.0/40"]},
    ],
)
def test_values_out_of_range(flags: dict[str, object]) -> None:
    (name,) = flags
    with pytest.raises(SettingsError, match="--" + name.replace("_", "-")):
        make_server_settings(flags)
