"""Two years laid on each other: the same grid, the same labels, and what each says about errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.change.labels import named
from foveate.aerial.change.noise import Year
from foveate.aerial.georeferenced import GeoreferencedPredictions
from foveate.aerial.grid import parse_crs
from foveate.errors import SourceError

_ROW = 1 << 31
"""More than any column, so that row and column make one number."""


def check_grids(a: GeoreferencedPredictions, b: GeoreferencedPredictions) -> None:
    """Say so where the tiles of two years do not lie on each other.

    Raises:
        SourceError: they have another size or another system.
    """
    one, two = a.grid, b.grid
    if one.size != two.size:
        raise SourceError(
            f"Tiles of {one.size:g} m cannot be compared with tiles of {two.size:g} m. "
            "Cut both years with the same --size."
        )
    if one.crs != two.crs and not parse_crs(one.crs).equals(
        parse_crs(two.crs), ignore_axis_order=True
    ):
        names = [parse_crs(grid.crs).name for grid in (one, two)]
        raise SourceError(
            f"The grid of A is in {names[0]}, that of B in {names[1]}: their tiles do not lie on "
            "each other. Cut both years with the same --crs."
        )


def same_labels(
    a: GeoreferencedPredictions, b: GeoreferencedPredictions
) -> GeoreferencedPredictions:
    """B with its labels in the order of A's.

    Raises:
        SourceError: they do not have the same labels.
    """
    ours, theirs = a.predictions.labels, b.predictions.labels
    if set(ours) != set(theirs):
        alone = [sorted(set(x) - set(y)) for x, y in ((ours, theirs), (theirs, ours))]
        raise SourceError(
            "The classifiers of A and B do not have the same labels: "
            + " and ".join(
                f"only {name} has {named(some)}"
                for name, some in zip("AB", alone, strict=True)
                if some
            )
            + ". Score both years with the same classifier."
        )
    columns = [theirs.index(label) for label in ours]
    probabilities = b.predictions.probabilities[:, columns]
    return replace(b, predictions=replace(b.predictions, labels=ours, probabilities=probabilities))


def codes_of(rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) int64, one number for each tile, by its row and column of the grid."""
    return rows * _ROW + cols


def near_training(a: GeoreferencedPredictions, b: GeoreferencedPredictions) -> NDArray[np.int64]:
    """Codes of the tiles that the classifier was trained on in either year, and around them.

    It knows the place from one year, so what it says in the other shows nothing, either; and a
    tile beside it shows the same field or the same street.
    """
    codes = [
        codes_of(year.rows, year.cols)[np.fromiter(flags, bool, len(flags))]
        for year, flags in ((a, a.predictions.trained_on), (b, b.predictions.trained_on))
        if flags is not None
    ]
    near = np.concatenate([np.empty(0, np.int64), *codes])
    steps = [row * _ROW + col for row in (-1, 0, 1) for col in (-1, 0, 1)]
    return np.unique(np.add.outer(np.array(steps), near))


def year_of(
    placed: GeoreferencedPredictions, common: NDArray[np.intp], trained: NDArray[np.int64]
) -> Year:
    """What a year says about errors.

    Args:
        placed: all its tiles.
        common: (n,) those to compare.
        trained: codes of tiles that say nothing about errors.
    """
    predictions = placed.predictions
    k = len(predictions.labels)
    number = {label: i for i, label in enumerate(predictions.labels)}
    known = np.array([number.get(label or "", -1) for label in predictions.known], np.int64)
    top = predictions.top
    known[np.isin(codes_of(placed.rows, placed.cols), trained) | (top < 0)] = -1
    alone = known >= 0
    alone[common] = False
    soft = np.zeros((k, k))
    probabilities = predictions.probabilities[common]
    for label in range(k):
        soft[:, label] = probabilities[top[common] == label].sum(axis=0, dtype=np.float64)
    others = np.bincount(k * known[alone] + top[alone], minlength=k * k).reshape(k, k)
    return Year(top[common], known[common], soft, others)
