"""What would help more: more labelled images, or another model?

Twice the images are expected to bring what the learning curve, continued, says. Another model is
expected to bring what the best other backbone or resolution brought in the same cross-validation,
image by image. The one helps more if all of its 95 % interval lies above that of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from foveate.evaluation.comparison import points
from foveate.evaluation.intervals import Estimate
from foveate.tuning.choice import finished
from foveate.tuning.cross_validation import difference
from foveate.tuning.power_law import Continuation
from foveate.tuning.search import Tried

LITTLE = 0.005
"""A gain that is not worth much work, however sure it is."""

Verdict = Literal["images", "model", "neither", "unknown"]


@dataclass(frozen=True, slots=True)
class Gains:
    """What twice the images, and what another model would bring.

    Attributes:
        images: gain in accuracy from twice the training images; None where it is not known.
        other: the best candidate with another backbone or resolution; None where none was judged
            on all images.
        model: gain in accuracy of that one over the chosen; None where there is none.
    """

    images: Estimate | None
    other: Tried | None
    model: Estimate | None

    @property
    def verdict(self) -> Verdict:
        """What helps more."""
        if self.images is None or self.model is None:
            return "unknown"
        if max(self.images.high, self.model.high) < LITTLE:
            return "neither"
        if self.images.low > max(self.model.high, 0):
            return "images"
        if self.model.low > max(self.images.high, 0):
            return "model"
        return "unknown"

    @property
    def sentence(self) -> str:
        """The verdict and what it rests on, in plain words; differences in points, per cent."""
        begins = {
            "images": "More labelled images will help more than another model",
            "model": "Another model will help more than more labelled images",
            "neither": "Neither more images like these nor another model that was tried will help",
            "unknown": "It cannot be told whether more labelled images or another model will help "
            "more",
        }
        return f"{begins[self.verdict]}: {self._images_words()}, {self._model_words()}."

    def _images_words(self) -> str:
        if self.images is None:
            return "the learning curve is not known"
        return f"twice as many images are expected to bring {_points(self.images)}"

    def _model_words(self) -> str:
        if self.other is None or self.model is None:
            return "and no other backbone or resolution was judged on all images"
        return f"the best other model ({self.other.candidate}) {_points(self.model)}"


def expected_gains(
    chosen: Tried, tried: Sequence[Tried], continuation: Continuation | None
) -> Gains:
    """Compare what images and what models would bring.

    Args:
        chosen: the candidate that is taken.
        tried: all that were judged.
        continuation: of its learning curve.
    """
    others = [
        trial
        for trial in finished(tried)
        if trial.candidate.extractor != chosen.candidate.extractor
    ]
    images = continuation.gain if continuation is not None else None
    if not others:
        return Gains(images, None, None)
    other = max(others, key=lambda trial: trial.accuracy.value)
    lead = difference(other.cross_validation, chosen.cross_validation)
    n = chosen.accuracy.n
    return Gains(images, other, Estimate(lead.value, *lead.interval, n, "paired"))


def _points(gain: Estimate) -> str:
    value, low, high = (points(share, signed=True) for share in (gain.value, gain.low, gain.high))
    return f"{value} points ({low} to {high})"
