"""Which process of how many this one is."""

from __future__ import annotations

import pytest

from foveate.launch.position import Position, find_position

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@pytest.fixture(autouse=True)
def _nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Position()),
        ({"RANK": "3"}, Position()),  # as some schedulers say of a process that is alone
        ({"WORLD_SIZE": "2"}, Position()),
        ({"RANK": "", "WORLD_SIZE": ""}, Position()),
        ({"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, Position()),
        ({"RANK": "3", "WORLD_SIZE": "4"}, Position(3, 4)),
        (dict(zip(NAMES, "3412", strict=True)), Position(3, 4, 1, 2)),
    ],
)
def test_what_torchrun_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: Position
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_position() == expected


@pytest.mark.parametrize(
    ("workers", "processes", "threads"),
    [(0, 1, 6), (0, 4, 1), (0, 7, 1), (3, 1, 3), (8, 2, 4), (1, 4, 1), (16, 1, 16)],
)
def test_threads_are_shared(
    monkeypatch: pytest.MonkeyPatch, workers: int, processes: int, threads: int
) -> None:
    monkeypatch.setattr("foveate.runtime.usable_cores", lambda: 6)
    assert Position(local_count=processes).threads(workers) == threads
