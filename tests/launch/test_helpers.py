"""Helpers stay until the first process is done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foveate.launch.helpers import until_the_first_is_done


def test_one_machine_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert until_the_first_is_done(lambda: 0) == 0
    # Nor does who failed: there is nobody to ask here.
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    assert until_the_first_is_done(lambda: 3) == 3


@pytest.fixture
def meeting() -> Iterator[dict[str, str]]:
    """What torchrun on two machines tells a process; the store is its own."""
    distributed = pytest.importorskip("torch.distributed", reason="needs the [refine] extra")
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    told = {"WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    yield {**told, "MASTER_PORT": str(store.port)}
    del store


@pytest.mark.slow
@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["evaluate", "no", "no"], 1)])
def test_helpers_wait_for_the_first(
    words: list[str], status: int, meeting: dict[str, str], tmp_path: Path
) -> None:
    """Whatever started them: `python -m foveate` is what torchrun runs in either recipe."""

    def start(rank: int, words: list[str]) -> subprocess.Popen[str]:
        environment = {**os.environ, **meeting, "RANK": str(rank)}
        return subprocess.Popen(
            [sys.executable, "-m", "foveate", *words],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    with start(1, ["--version"]) as helper:
        assert helper.stdout is not None
        assert helper.stdout.readline().startswith("foveate")
        with pytest.raises(subprocess.TimeoutExpired):
            helper.wait(2)
        with start(0, words) as first:
            first.communicate(timeout=60)
        assert first.returncode == status
        assert helper.wait(60) == status
