"""Fit a head on some of the training images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.settings import Settings
from foveate.tuning.training_set import TrainingSet
from foveate.workflow.engine import fit_rows

if TYPE_CHECKING:
    from foveate.heads import Head, HeadKind

FEW = 4000
"""So few images are fitted on one thread. Several wait for each other at every step: on two cores
that others used, too, 418 images took two threads 3.9 s and one 0.2 s, 3,750 took 40 s and 8 s."""


@contextmanager
def few_threads(n: int) -> Iterator[None]:
    """Linear algebra on one thread while `FEW` images or fewer are fitted."""
    # It comes with scikit-learn.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1 if n <= FEW else None, user_api="blas"):
        yield


def fit_part(
    features: NDArray[np.float32],
    data: TrainingSet,
    rows: NDArray[np.intp],
    settings: Settings,
    kind: HeadKind,
) -> Head:
    """A head, as `train` fits it, that knows of these images only.

    Args:
        features: (m, d) of m training images.
        data: all n training images.
        rows: (m,) which they are.
        settings: of the head.
        kind: "svm", "logistic" or "forest".
    """
    with few_threads(len(rows)):
        return fit_rows(
            features,
            [data.rows[row] for row in rows],
            data.groups[rows].tolist(),
            settings,
            kind,
        )
