"""What executors answer, compared with how it is here."""

from __future__ import annotations

from typing import Any

import foveate
from foveate.spark.check.asking import features_here, worker_found


def answer(**values: Any) -> dict[str, Any]:
    """What a worker without faults says."""
    return {
        "host": "tiles-1",
        "executor": "0",
        "cores": 2,
        "threads": 1,
        "python": "3.11.7",
        "foveate": foveate.__version__,
        "partition": 0,
        "shares": False,
        "problems": [],
    } | values


def test_another_version_is_the_only_finding() -> None:
    worker = worker_found(answer(foveate="0.0.1", problems=["foveate cannot be used there: x"]))
    (problem,) = worker.problems
    assert problem.startswith(f"foveate 0.0.1 is installed there, {foveate.__version__} here; ")


def test_other_features_are_a_finding() -> None:
    features = list(features_here())
    assert worker_found(answer(features=features)).problems == ()
    assert worker_found(answer(features=features[::-1])).problems
    assert worker_found(answer(features=features[1:])).problems
