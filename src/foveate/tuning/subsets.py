"""Nested parts of the training images: each holds the smaller ones, all hold every label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARES = (0.25, 0.5, 1.0)
"""Parts of the training images that candidates are judged on, one after the other."""

FEWEST = 200
"""On fewer images chance alone makes differences of two points and more: it would choose."""


def shares_of(n: int) -> tuple[float, ...]:
    """The shares of n training images that are worth judging on; the last is 1."""
    return tuple(share for share in SHARES if share * n >= FEWEST or share == 1)


def nested_ranks(
    codes: NDArray[np.intp], groups: NDArray[np.intp], *, least: int, seed: int
) -> NDArray[np.float64]:
    """When each row joins: the part of share s is the rows whose rank is below s.

    Rows are drawn at random within each label, near duplicates together, so that a part has the
    share of every label within one group.

    Args:
        codes: (n,) the label of each row.
        groups: (n,) rows with equal numbers are near duplicates; a group counts for the label of
            its first row.
        least: so many groups of each label are in every part (all of them, where there are fewer).
        seed: of the draw.

    Returns:
        (n,) ranks in [0, 1).
    """
    _, first, group, size = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    label = codes[first]
    rank = np.empty(len(first))
    rng = np.random.default_rng(seed)
    for code in np.unique(label):
        mine = rng.permutation(np.flatnonzero(label == code))
        before = np.cumsum(size[mine]) - size[mine]
        rank[mine] = before / size[mine].sum()
        rank[mine[:least]] = 0.0
    ranks: NDArray[np.float64] = rank[group]
    return ranks


def part(ranks: NDArray[np.float64], share: float) -> NDArray[np.intp]:
    """The rows of the part of that share, ascending."""
    return np.flatnonzero(ranks < share)
