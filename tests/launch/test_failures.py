"""How one of several processes that fails is heard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foveate.cli import run
from foveate.errors import SourceError
from foveate.launch.failures import (
    STARTED,
    Cause,
    kind_of,
    read_failures,
    says_that_others_are_gone,
)


def test_kinds_of_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kind_of(SourceError("x")) == kind_of(OSError()) == Cause.EXPLAINED
    assert kind_of(ZeroDivisionError()) == Cause.DEFECT
    lost = RuntimeError("[gloo/pair.cc:534] Connection closed by peer [127.0.0.1]:43210")
    assert kind_of(lost) == Cause.GONE
    assert not says_that_others_are_gone(lost)  # alone, there are no others
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert says_that_others_are_gone(lost)
    assert not says_that_others_are_gone(RuntimeError("mat1 and mat2 cannot be multiplied"))


@pytest.mark.parametrize(
    ("rank", "started", "told", "speaks"),
    [
        (0, True, True, ""),  # foveate itself started it, and says it
        (1, True, True, ""),
        (0, False, True, "out err"),  # the user's own torchrun
        (1, False, True, ""),  # torchrun shows the sentence
        (1, False, False, "err"),
    ],
)
def test_who_says_it(
    rank: int,
    started: bool,
    told: bool,
    speaks: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "2")
    if started:
        monkeypatch.setenv(STARTED, "1")
    if told:
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    words = ["train", str(tmp_path / "none"), "--classifier", "dnn", "--json"]
    assert run(words) == 1
    said = capsys.readouterr()
    assert (bool(said.out), bool(said.err)) == ("out" in speaks, "err" in speaks)
    left = read_failures(tmp_path)
    assert len(left) == told
    for failure in left:
        assert "none" in failure.sentence
        assert (failure.status, failure.cause) == (1, Cause.EXPLAINED)
        assert failure.sentence == json.loads((tmp_path / "error.json").read_text())["message"]


def test_what_was_half_written_is_a_failure_without_words(tmp_path: Path) -> None:
    (tmp_path / "error.json").write_text('{"message": "x", "cau')
    (failure,) = read_failures(tmp_path)
    assert failure.cause == Cause.GONE
