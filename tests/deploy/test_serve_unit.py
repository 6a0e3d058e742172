"""The unit for systemd: what it starts exists, and it is as locked up as it says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import typer.main

from foveate.cli import app

UNIT = Path(__file__).parents[2] / "deploy" / "serve" / "foveate.service"


def read_unit() -> dict[str, dict[str, list[str]]]:
    """Values by section and key; systemd, unlike configparser, knows keys that come twice."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), defaultdict(list))
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            section[key].append(value)
    return found


SERVICE = read_unit()["Service"]


def test_its_command_is_one_of_ours() -> None:
    program, verb, model, *flags = shlex.split(SERVICE["ExecStart"][0])
    assert (Path(program).name, verb) == ("foveate", "serve")
    assert model.endswith(".onnx")
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    context = command.make_context("serve", [model, *flags])
    assert context.params["host"] == "127.0.0.1"
    assert str(context.params["token_file"]).endswith("/tokens")
    assert float(SERVICE["TimeoutStopSec"][0]) > context.params["grace"] + 5


def test_it_is_told_to_reload_and_to_stop_as_the_server_expects() -> None:
    assert SERVICE["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert SERVICE["KillMode"] == ["mixed"]  # workers are not to die before their images
    assert "KillSignal" not in SERVICE
    (name, source) = SERVICE["LoadCredential"][0].split(":")
    assert (name, source) == ("tokens", "/etc/foveate/tokens")


def test_it_can_change_nothing() -> None:
    for key in ("DynamicUser", "NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices"):
        assert SERVICE[key] == ["yes"], key
    assert SERVICE["ProtectSystem"] == ["strict"]
    assert SERVICE["CapabilityBoundingSet"] == [""]
    assert re.fullmatch(r"\d+G", SERVICE["MemoryMax"][0])
    assert "MemoryDenyWriteExecute" not in SERVICE
    assert "User" not in SERVICE


def test_the_commands_in_its_head_put_things_where_it_looks() -> None:
    text = UNIT.read_text()
    head = text[: text.index("[Unit]")]
    program, _, model, *_ = shlex.split(SERVICE["ExecStart"][0])
    for path in (str(Path(program).parent), model, SERVICE["LoadCredential"][0].split(":")[1]):
        assert path in head


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_understands_it(tmp_path: Path) -> None:
    # The program is not installed here: another one that is stands in for it.
    text = UNIT.read_text().replace("/opt/foveate/bin/foveate", "/bin/true")
    (tmp_path / "foveate.service").write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "foveate.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "foveate.service" not in done.stderr
