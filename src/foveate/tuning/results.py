"""A tuning as others want it: JSON for programs, rows of a table for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from foveate.evaluation.intervals import Estimate
from foveate.tuning.choice import finished, pareto_front
from foveate.tuning.search import Tried

if TYPE_CHECKING:
    from foveate.tuning.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate with what was found out about it.

    Attributes:
        tried: the candidate as it was judged.
        chosen: whether it is the one to train.
        front: whether no other is as fast and as accurate, and better in one of these.
    """

    tried: Tried
    chosen: bool
    front: bool

    @property
    def marks(self) -> str:
        """What there is to say about it."""
        share = f"{100 * self.tried.share:.0f} % of the images"
        return ", ".join(
            mark
            for mark, holds in (
                ("chosen", self.chosen),
                ("best trade-off", self.front),
                (f"dropped after {share}", self.tried.state == "dropped"),
                (f"unfinished after {share}", self.tried.state == "unfinished"),
            )
            if holds
        )


def table_rows(tuning: Tuning) -> list[Row]:
    """Those judged on all images first, the most accurate first; then the others likewise."""
    complete = finished(tuning.tried)
    points = [(one.images_per_second, one.judgement.accuracy.value) for one in complete]
    front = {
        one.candidate for one, best in zip(complete, pareto_front(points), strict=True) if best
    }
    ordered = sorted(
        (one for one in tuning.tried if one.judgement.accuracy.known),
        key=lambda one: (-one.share, -one.judgement.accuracy.value, -one.images_per_second),
    )
    return [
        Row(one, one.candidate == tuning.chosen.candidate, one.candidate in front)
        for one in ordered
    ]


def tuning_json(tuning: Tuning) -> dict[str, object]:
    """What `foveate tune --json` prints, but for the path of the report."""
    training = tuning.training
    summary, accuracy = training.classifier.metadata.training, training.evaluation.accuracy
    return {
        "chosen": _candidate_json(tuning.chosen),
        "command": tuning.command(),
        "n_train": summary.n_train,
        "n_test": summary.n_test,
        "accuracy": accuracy.value,
        "accuracy_ci95": [accuracy.low, accuracy.high],
        "class_average_accuracy": training.evaluation.class_average_accuracy.value,
        "candidates": [_row_json(row) for row in table_rows(tuning)],
        "untried": [str(one) for one in tuning.untried],
        "learning_curve": _curve_json(tuning),
        "outlook": tuning.outlook.sentence,
        "verdict": tuning.outlook.verdict,
        "seconds": {stage: round(value, 3) for stage, value in tuning.seconds.items()},
    }


def _candidate_json(tried: Tried) -> dict[str, object]:
    return {
        "backbone": tried.candidate.backbone,
        "resolution": tried.candidate.resolution,
        "classifier": tried.candidate.classifier,
        "c": tried.judgement.c,
    }


def _row_json(row: Row) -> dict[str, object]:
    tried = row.tried
    return {
        **_candidate_json(tried),
        "cross_validated_accuracy": _estimate_json(tried.judgement.accuracy),
        "images_per_second": round(tried.images_per_second, 1),
        "share": tried.share,
        "state": tried.state,
        "chosen": row.chosen,
        "best_trade_off": row.front,
    }


def _curve_json(tuning: Tuning) -> dict[str, object] | None:
    found = tuning.continuation
    if found is None:
        return None
    return {
        "measured": [
            {"images": round(size), **_estimate_json(one)} for size, one in found.measured.items()
        ],
        "expected": [{"images": n, **_estimate_json(one)} for n, one in found.expected.items()],
        "gain_from_twice_the_images": _estimate_json(found.gain),
    }


def _estimate_json(estimate: Estimate) -> dict[str, object]:
    return {"value": estimate.value, "ci95": [estimate.low, estimate.high], "n": estimate.n}
