from __future__ import annotations

import numpy as np
import pytest

from foveate.evaluation import Estimate
from foveate.tuning.gains import Gains, expected_gains
from foveate.tuning.power_law import Continuation


def gain(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half, 200, "")


def continuation(images: Estimate) -> Continuation:
    return Continuation({}, {}, images, np.zeros((0, 4)))


@pytest.mark.parametrize(
    ("images", "model", "verdict"),
    [
        (gain(0.03, 0.01), gain(-0.01, 0.01), "images"),
        (gain(0.03, 0.01), gain(0.01, 0.02), "unknown"),
        (gain(0.001, 0.001), gain(0.05, 0.02), "model"),
        (gain(0.001, 0.001), gain(-0.02, 0.01), "neither"),
        # More images than nothing, though another model is surely worse.
        (gain(0.002, 0.01), gain(-0.1, 0.01), "unknown"),
        (None, gain(0.05, 0.02), "unknown"),
        (gain(0.03, 0.01), None, "unknown"),
    ],
)
def test_the_verdict_needs_intervals_apart(
    tried, images: Estimate | None, model: Estimate | None, verdict: str
) -> None:
    found = Gains(images, None if model is None else tried(150), model)
    assert found.verdict == verdict
    assert found.sentence.startswith(
        {
            "images": "More labelled images will help more than another model: ",
            "model": "Another model will help more than more labelled images: ",
            "neither": "Neither more images like these nor another model that was tried ",
            "unknown": "It cannot be told whether more labelled images or another model ",
        }[verdict]
    )
    assert ("twice as many images are expected" in found.sentence) == (images is not None)
    assert ("the best other model (svm on b" in found.sentence) == (model is not None)


def test_the_sentence_tells_both_gains(tried) -> None:
    found = Gains(gain(0.014, 0.011), tried(150, resolution=448), gain(-0.02, 0.015))
    assert found.sentence == (
        "More labelled images will help more than another model: twice as many images are "
        "expected to bring +1.4 points (+0.3 to +2.5), the best other model (svm on b at 448 px) "
        "−2.0 points (−3.5 to −0.5)."
    )


def test_another_head_is_no_other_model(tried) -> None:
    chosen, head = tried(150), tried(190, classifier="forest")
    found = expected_gains(chosen, [chosen, head], continuation(gain(0.01, 0.005)))
    assert found.other is None
    assert "no other backbone or resolution was judged on all images" in found.sentence


def test_the_best_other_model_is_compared_on_the_same_images(tried) -> None:
    chosen = tried(150)
    worse, better = tried(140, resolution=320), tried(180, resolution=448)
    dropped = tried(200, resolution=896, state="dropped")
    found = expected_gains(chosen, [chosen, worse, better, dropped], None)
    assert found.other is better
    assert found.model is not None
    assert found.model.value == pytest.approx(0.15)
    assert 0 < found.model.low < 0.15 < found.model.high
    assert "the learning curve is not known" in found.sentence
