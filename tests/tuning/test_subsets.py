from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.tuning.subsets import SHARES, nested_ranks, part, shares_of


@st.composite
def labelled_groups(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of up to 80 rows; a group has one label, as copies nearly always have."""
    label_of_group = draw(st.lists(st.integers(0, 3), min_size=1, max_size=40))
    groups = draw(st.lists(st.integers(0, len(label_of_group) - 1), min_size=1, max_size=80))
    return np.array(label_of_group)[groups], np.array(groups)


@given(labelled_groups(), st.integers(1, 5), st.integers(0, 9))
def test_parts_are_nested_and_keep_groups_whole(
    rows: tuple[np.ndarray, np.ndarray], least: int, seed: int
) -> None:
    codes, groups = rows
    ranks = nested_ranks(codes, groups, least=least, seed=seed)
    assert ranks.shape == codes.shape
    assert (ranks >= 0).all()
    smaller: set[int] = set()
    for share in (0.1, *SHARES):
        found = set(part(ranks, share).tolist())
        assert smaller <= found
        assert {groups[row] for row in found}.isdisjoint(
            {groups[row] for row in range(len(codes)) if row not in found}
        )
        smaller = found
    assert smaller == set(range(len(codes)))


@given(labelled_groups(), st.integers(1, 5), st.integers(0, 9), st.floats(0.01, 1))
def test_every_label_has_its_share(
    rows: tuple[np.ndarray, np.ndarray], least: int, seed: int, share: float
) -> None:
    codes, groups = rows
    found = part(nested_ranks(codes, groups, least=least, seed=seed), share)
    for code in np.unique(codes):
        mine = groups[codes == code]
        taken = groups[found][codes[found] == code]
        largest = np.unique(mine, return_counts=True)[1].max()
        assert len(np.unique(taken)) >= min(least, len(np.unique(mine)))
        assert len(taken) >= share * len(mine) - 1e-9
        assert len(taken) <= share * len(mine) + least * largest


def test_the_seed_draws() -> None:
    codes, groups = np.zeros(100, int), np.arange(100)
    one, same, other = (nested_ranks(codes, groups, least=1, seed=seed) for seed in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize(
    ("n", "expected"),
    [(27, (1.0,)), (399, (1.0,)), (418, (0.5, 1.0)), (800, SHARES), (10**6, SHARES)],
)
def test_few_images_are_not_cut_up(n: int, expected: tuple[float, ...]) -> None:
    assert shares_of(n) == expected
