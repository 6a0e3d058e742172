"""`foveate copy` as a person and as a program meets it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from foveate.cli import run
from foveate.cli.copy import CopyBar
from foveate.copying import State

if TYPE_CHECKING:
    from support.stores import Opened

pytest_plugins = ("support.stores",)

DOCS = Path(__file__).parents[2] / "docs" / "copy.md"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(5):
            (folder / label / f"{number}.jpg").write_bytes(f"{label} {number}".encode())
    return folder


@pytest.fixture(autouse=True)
def options_restored() -> Iterator[None]:
    """`--target` changes how this process opens URLs."""
    from fsspec.config import conf

    before = {protocol: dict(options) for protocol, options in conf.items()}
    yield
    conf.clear()
    conf.update(before)


def test_prints_what_was_done(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(["copy", str(source), str(out)]) == 0
    printed = capsys.readouterr()
    assert "10 of 10 files copied; 0.0 MB" in printed.out
    assert f"Destination  {out}" in printed.out
    assert printed.err == ""
    assert run(["copy", str(source), str(out)]) == 0
    assert "0 of 10 files copied, 10 were there already" in capsys.readouterr().out


def test_json_is_one_object(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert run(["copy", str(source), out, "--json", "--limit", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.pop("seconds") > 0
    assert found.pop("megabytes_per_second") > 0
    assert found == {
        "files": 3,
        "copied": 3,
        "skipped": 0,
        "bytes": 15,
        "failed": [],
        "untried": 0,
        "out": out,
    }


def test_what_failed_is_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for number in range(7):
        (source / f"broken {number}.jpg").symlink_to(tmp_path / "nowhere")
    assert run(["copy", str(source), str(out)]) == 1
    printed = capsys.readouterr()
    assert "10 of 17 files copied" in printed.out
    assert "7 of 17 files were not copied: ‘broken 0.jpg’ (it cannot be read" in printed.err
    assert "‘broken 4.jpg’" in printed.err
    assert "‘broken 5.jpg’" not in printed.err
    assert "and 2 more. The same command goes on from here." in printed.err
    assert run(["copy", str(source), str(out), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["path"] for one in found["failed"]] == [f"broken {n}.jpg" for n in range(7)]
    assert found["skipped"] == 10
    for number in range(7):
        (source / f"broken {number}.jpg").unlink()
    assert run(["copy", str(source), str(out), "--json"]) == 0


@pytest.mark.parametrize(
    ("words", "sentence", "status"),
    [
        (["nowhere", "out"], "‘nowhere’ is not there", 1),
        (["photos", "photos/new"], "is inside ‘photos’", 1),
        (["photos", "nonsense://x"], "no kind of store called", 1),
        (["photos", "out", "--target", "county"], "no target ‘county’", 1),
        (["photos", "out", "--verify", "magic"], "--verify", 2),
        (["photos", "out", "--workers", "0"], "--workers", 2),
        (["photos"], "DST", 2),
    ],
)
def test_what_is_wrong_is_said(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["copy", *words]) == status
    assert sentence in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_target_has_the_storage_options(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foveate.toml").write_text(
        '[targets.county.storage_options.memory]\nsome_key = "env:SOME_KEY"\n'
    )
    monkeypatch.setenv("SOME_KEY", "secret")
    assert run(["copy", "photos", "out", "--target", "county"]) == 0
    assert fsspec.config.conf["memory"] == {"some_key": "secret"}


def test_progress_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 1.0, 11.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with CopyBar(quiet=False) as bar:
        for files, sent in ((0, 0), (1, 10**6), (3, 110 * 10**6)):
            bar(State(files, 10, sent, 220 * 10**6))
    assert capsys.readouterr().err == ("copy: 3 of 10 files, 110 of 220 MB, 10.0 MB/s, 11 s left\n")


def test_progress_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("foveate.cli.copy.SECONDS_BEFORE_BAR", 0.0)
    with CopyBar(quiet=False) as bar:
        for files in range(4):
            bar(State(files, 10, files * 10**6, 10**7))
    printed = capsys.readouterr().err
    assert "3 of 10 files" in printed
    assert "3.0/10.0 MB" in printed


def test_quiet(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with CopyBar(quiet=True) as bar:
        bar(State(1, 2, 3, 4))
    assert run(["copy", str(source), str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


# With real stores from here on. aiohttp remarks that bodies over 1 MB are sent as bytes.
large_bodies = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


@large_bodies
@pytest.mark.slow
def test_killed_it_goes_on(tmp_path: Path, abfs: Opened, own_cache: Path) -> None:
    count, workers = 160, 4
    source = tmp_path / "source"
    source.mkdir()
    for number in range(count):
        (source / f"{number:03}.jpg").write_bytes(os.urandom(200_000))
    (tmp_path / "foveate.toml").write_text(
        '[targets.test.storage_options.abfs]\nconnection_string = "env:CONNECTION"\n'
    )

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "foveate", "copy", "source", f"{abfs.url}/x"]
        return subprocess.Popen(
            [*command, "--target", "test", "--workers", str(workers), "--json"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"CONNECTION": abfs.storage_options["connection_string"]},
        )

    def known() -> int:
        return sum(path.read_bytes().count(b"\n") - 1 for path in own_cache.rglob("*.jsonl"))

    process = start()
    deadline = time.monotonic() + 120
    while known() < 20 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    before = known()
    assert 20 <= before < count

    last = start()
    found = json.loads(last.communicate(timeout=120)[0])
    assert last.returncode == 0
    assert (found["files"], found["failed"]) == (count, [])
    # Of what was on its way some may have arrived whole without being on record.
    assert before <= found["skipped"] <= before + workers
    assert found["copied"] == count - found["skipped"]
    assert run(["copy", f"{abfs.url}/x", str(tmp_path / "back")]) == 0
    for path in source.iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_what_the_docs_show(
    source: Path,
    tmp_path: Path,
    abfs: Opened,
    s3: Opened,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every command as it is written; what it names is put where it says."""
    pages = DOCS.read_text()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene.tif").write_bytes(b"a large image")
    places = {"abfs://tiles": abfs.url, "s3://tiles": s3.url}
    (settings,) = re.findall(r"```toml\n(.*?)```", pages, re.DOTALL)
    assert '[targets.county.storage_options.abfs]\naccount_name = "account"' in settings
    (tmp_path / "foveate.toml").write_text(
        '[targets.county.storage_options.abfs]\nconnection_string = "env:CONNECTION"\n'
    )
    monkeypatch.setenv("CONNECTION", abfs.storage_options["connection_string"])
    lines = re.findall(r"^foveate copy .*$", pages, re.MULTILINE)
    assert len(lines) == 8
    for line in lines:
        for shown, real in places.items():
            line = line.replace(shown, real)
        assert run(shlex.split(line, comments=True)[1:]) == 0, line
    assert sorted(path.name for path in (tmp_path / "copy-of-photos").iterdir()) == ["cat", "dog"]
    capsys.readouterr()
    (snippet,) = re.findall(r"```python\n(.*?)```", pages, re.DOTALL)
    monkeypatch.setattr("foveate.copy", _copy, raising=False)
    found: dict[str, Any] = {}
    exec(compile(snippet.replace("abfs://tiles", abfs.url), "copy.md", "exec"), found)
    assert found["copied"].complete
    assert (found["copied"].files, found["copied"].skipped) == (10, 10)


def _copy(*arguments: Any, **options: Any) -> Any:
    from foveate.copying import copy

    return copy(*arguments, **options)
