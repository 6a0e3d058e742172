"""What became of a classifier in int8, and whether that is worth having."""

from __future__ import annotations

from dataclasses import dataclass

from foveate.classifier import Classifier
from foveate.errors import NotWorthIt
from foveate.evaluation import Comparison, Estimate
from foveate.model_file import Quantisation
from foveate.workflow.preparation import Prepared

MOST_LOST = 0.01
"""Accuracy that int8 may cost, as a share of the test images."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A classifier before or after.

    Attributes:
        precision: what its backbone computes in on this machine.
        accuracy: on the test images, Wilson interval.
        images_per_second: of the network alone, all cores at work.
        size: bytes of the file.
    """

    precision: str
    accuracy: Estimate
    images_per_second: float
    size: int

    def to_json(self) -> dict[str, object]:
        """All of it as plain values for JSON."""
        return {
            "precision": self.precision,
            "accuracy": self.accuracy.value,
            "accuracy_ci95": [self.accuracy.low, self.accuracy.high],
            "images_per_second": self.images_per_second,
            "bytes": self.size,
        }


@dataclass(frozen=True, slots=True)
class Int8Export:
    """A classifier whose backbone was brought to int8, and what came of it.

    Attributes:
        classifier: the new one.
        quantisation: what its file says about that.
        before: the original.
        after: the new one.
        comparison: the new one, as a, with the original, as b, on the same test images.
        prepared: the source.
        seconds: by stage.
    """

    classifier: Classifier
    quantisation: Quantisation
    before: Measured
    after: Measured
    comparison: Comparison
    prepared: Prepared
    seconds: dict[str, float]

    @property
    def objection(self) -> str | None:
        """Why this should not be used, in one sentence; None where nothing speaks against it."""
        lost = self.comparison.only_b - self.comparison.only_a
        if lost > MOST_LOST * self.comparison.n:
            return (
                f"Int8 costs {100 * lost / self.comparison.n:.1f} points of accuracy on "
                f"{self.comparison.n:,} test images, more than {100 * MOST_LOST:g}."
            )
        if self.after.images_per_second <= self.before.images_per_second:
            return (
                f"Int8 gains nothing on this machine: {self.after.images_per_second:,.0f} "
                f"images/s, {self.before.images_per_second:,.0f} in {self.before.precision}."
            )
        return None

    def check(self) -> None:
        """Refuse what costs too much or gains nothing.

        Raises:
            NotWorthIt: the message says which.
        """
        if self.objection is not None:
            raise NotWorthIt(
                f"{self.objection} Nothing was written; `--force` writes it all the same."
            )

    def to_json(self) -> dict[str, object]:
        """All of it as plain values for JSON."""
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "comparison": self.comparison.to_json(),
            "n_test": self.comparison.n,
            "n_calibration": self.quantisation.n_calibration,
            "layers": self.quantisation.layers,
            "left_out": list(self.quantisation.left_out),
            "objection": self.objection,
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
        }
