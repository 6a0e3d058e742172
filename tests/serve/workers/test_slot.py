"""What the workers do a second, and what follows from it."""

from __future__ import annotations

import pytest

from foveate.serve.workers.slot import BATCH_SECONDS, Speed


def test_nothing_is_known_before_the_first_batch() -> None:
    speed = Speed()
    assert speed.seconds(100, 2) == 0
    assert speed.batch(4) == 4


def test_a_machine_that_slows_down_is_noticed_soon() -> None:
    speed = Speed()
    for _ in range(50):
        speed.measure(4, 0.04)
    assert speed.seconds(100, 2) == pytest.approx(0.5)
    for _ in range(12):
        speed.measure(4, 0.4)
    assert speed.seconds(100, 2) == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize(("seconds", "images"), [(0.01, 4), (0.1, 2), (1.0, 1), (30.0, 1)])
def test_slow_workers_get_fewer_images_at_once(seconds: float, images: int) -> None:
    speed = Speed()
    speed.measure(1, seconds)
    assert speed.batch(4) == images
    assert images == 1 or images * seconds <= BATCH_SECONDS
