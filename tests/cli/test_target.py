"""`foveate target` as a person meets it."""

from __future__ import annotations

import json
import re
import shlex
import socket
from pathlib import Path

import pytest

from foveate.cli import run
from foveate.errors import ClusterError
from foveate.spark.check import target as probe
from foveate.spark.check.findings import TargetCheck, WorkerFound
from foveate.spark.cluster import packing
from foveate.spark.cluster.packing import Packed
from foveate.targets import Target

TOML = """
[targets.county]
master = "spark://head:7077"
cores = 4
[targets.county.storage_options.abfs]
account_key = "env:COUNTY_KEY"
[targets.machines]
kind = "torch"
master = "127.0.0.1:{port}"
"""

GOOD = WorkerFound(
    "tiles-1", "0", 4, 1, "3.11.7", "0.1.0", "/x/foveate/__init__.py", "openvino", "bfloat16", ()
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COUNTY_KEY", "hide-me-well")
    (tmp_path / "foveate.toml").write_text(TOML.format(port=29400))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(monkeypatch: pytest.MonkeyPatch, *problems: str) -> None:
    """Let the check find these problems, without a cluster."""
    result = TargetCheck("spark://head:7077", (GOOD,), "/work", 3.2, problems)
    monkeypatch.setattr(probe, "check_target", lambda target: result)


def test_list(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["target", "list"]) == 0
    shown = capsys.readouterr().out
    assert "county" in shown
    assert "torch" in shown
    assert run(["target", "list", "--json", "--project", str(project)]) == 0
    shown = capsys.readouterr().out
    targets = json.loads(shown)["targets"]
    assert targets["county"]["storage_options"] == {"abfs": {"account_key": "env:COUNTY_KEY"}}
    assert "hide-me-well" not in shown


def test_list_without_any(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["target", "list", "--project", str(tmp_path)]) == 0
    assert "has no target" in capsys.readouterr().out


def test_check_shows_a_table(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found(monkeypatch)
    assert run(["target", "check", "county"]) == 0
    shown = capsys.readouterr().out
    assert "tiles-1" in shown
    assert "openvino, bfloat16" in shown
    assert "1, 4 cores together" in shown
    assert "/work, written and read by all" in shown
    assert "All is right" in shown


def test_check_says_what_is_not_right(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found(monkeypatch, "On tiles-1 (executor 0): foveate is not installed there.")
    assert run(["target", "check", "county", "--json"]) == 1
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert result["ok"] is False
    assert result["error"] == result["problems"][0]
    assert shown.err == f"Error: {result['error']}\n"
    assert run(["target", "check", "county"]) == 1
    assert "All is right" not in capsys.readouterr().out


def test_an_unknown_target(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["target", "check", "country"]) == 1
    assert "county, machines" in capsys.readouterr().err


def test_a_cluster_that_is_not_there(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(target: Target) -> TargetCheck:
        raise ClusterError("The Spark master cannot be reached.")

    monkeypatch.setattr(probe, "check_target", unreachable)
    assert run(["target", "check", "county", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"error": "The Spark master cannot be reached."}


def test_check_of_machines(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (project / "foveate.toml").write_text(TOML.format(port=port))
        run(["target", "check", "machines", "--json"])  # 1 without PyTorch
    result = json.loads(capsys.readouterr().out)
    assert f"Somebody listens at 127.0.0.1:{port}." in result["remarks"]


def test_pack_wants_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["target", "pack", "--out", str(tmp_path / "environment.zip")]) == 1
    assert "tar.gz" in capsys.readouterr().err


def test_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "targets.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "foveate.toml").write_text("\n".join(examples))
    monkeypatch.chdir(tmp_path)
    found(monkeypatch)
    packed = Packed(tmp_path / "environment.tar.gz", 1, 2, 3, {"foveate": "0.1.0"})
    monkeypatch.setattr(packing, "pack_environment", lambda out, also: packed)
    lines = "".join(re.findall(r"```sh[a-z ]*\n(.*?)```", page, re.DOTALL)).splitlines()
    assert [line.split()[2] for line in lines] == ["list", "check", "pack"]
    for line in lines:
        assert run(shlex.split(line)[1:]) == 0, line
    assert "packed" in capsys.readouterr().out
    keys = re.findall(r"(?m)^\| `(\w+)` \|", page)
    assert keys == list(Target.model_fields)
