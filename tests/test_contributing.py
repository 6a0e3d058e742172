"""The recipes of CONTRIBUTING lead somewhere, and so does the reading order of the design."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import Field

import foveate as fv
from foveate.cli import _COMMANDS
from foveate.heads import HeadKind, fit_head
from foveate.settings import Settings, settings_template

ROOT = Path(__file__).parents[1]
TEXTS = {name: (ROOT / name).read_text() for name in ("CONTRIBUTING.md", "docs/design.md")}


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_that_is_named_is_there(name: str) -> None:
    for path in re.findall(r"`((?:src|tests|tools|docs)/[\w/.-]+)`", TEXTS[name]):
        assert (ROOT / path).exists(), path


def test_the_reading_order_is_short_and_leads_through_files() -> None:
    order = re.findall(r"^\d+\. (.*)$", TEXTS["docs/design.md"], re.MULTILINE)
    files = [path for line in order for path in re.findall(r"`([\w/]+\.py)`", line)]
    assert 10 < len(files) <= 20
    assert all((ROOT / "src" / "foveate" / path).is_file() for path in files)


def test_every_room_is_named() -> None:
    rooms = {path.name for path in (ROOT / "src" / "foveate").iterdir() if path.is_dir()}
    for room in rooms - {"__pycache__"}:
        assert f"`{room}`" in TEXTS["CONTRIBUTING.md"], room
        assert f"\n  {room}/" in TEXTS["docs/design.md"], room


def test_a_setting_is_everywhere_once_it_is_a_field() -> None:
    class More(Settings):
        sharpness: float = Field(0.5, description="how sharp")

    assert More(sharpness=0.7).as_text()["sharpness"] == "0.7"
    assert all(f"#{name} = " in settings_template() for name in Settings.model_fields)


def test_the_names_of_the_recipes_are_there() -> None:
    assert set(_COMMANDS) >= {"train", "score"}
    assert "train" in fv._HOME
    assert fit_head is not None
    assert HeadKind is not None
    assert (ROOT / "src/foveate/backbones/packs").is_dir()
