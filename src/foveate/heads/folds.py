"""Deal the training images into folds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import RepeatedStratifiedKFold


def deal_folds(
    codes: NDArray[np.intp], *, groups: NDArray[np.intp], folds: int, repeats: int, seed: int
) -> NDArray[np.intp] | None:
    """Number the fold of each row, stratified by label, with every group in one fold.

    Whole groups are dealt, as if each were one image with the label of its first row. Every
    label is then in every training part, which StratifiedGroupKFold does not promise, and
    30,000 groups take no longer than as many images.

    Args:
        codes: (n,) the label of each row, in [0, number of labels).
        groups: (n,) rows with equal numbers are near duplicates.
        folds: how many folds to deal at most; there are no more than the rarest label has
            groups.
        repeats: how often to deal afresh.
        seed: of the shuffles.

    Returns:
        (repeats, n) fold of each row, every deal with numbers of its own: 0, 1, … in the first,
        then on from there. None where a label has fewer than two groups, so that it cannot
        be both trained and held out.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    label = codes[first]
    folds = min(folds, int(np.bincount(label, minlength=int(codes.max()) + 1).min()))
    if folds < 2:
        return None
    fold = np.empty((repeats, len(first)), np.intp)
    splitter = RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=seed)
    for number, (_, held) in enumerate(splitter.split(label, label)):
        fold[number // folds, held] = number
    dealt: NDArray[np.intp] = fold[:, group]
    return dealt
