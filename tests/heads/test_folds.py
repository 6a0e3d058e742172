from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.heads.folds import deal_folds


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 3))
def test_groups_stay_whole_and_labels_are_spread(seed: int, folds: int, repeats: int) -> None:
    random = np.random.default_rng(seed)
    n_groups = 40
    group = np.concatenate([np.arange(n_groups), random.integers(0, n_groups, 30)])
    codes = (group % 3).astype(np.intp)
    dealt = deal_folds(codes, groups=group, folds=folds, repeats=repeats, seed=seed)
    assert dealt is not None
    assert dealt.shape == (repeats, 70)
    for repeat, fold in enumerate(dealt):
        assert set(fold) == set(range(repeat * folds, (repeat + 1) * folds))
        for number in np.unique(group):
            assert len(set(fold[group == number])) == 1
        for held in set(fold):
            assert set(codes[fold != held]) == {0, 1, 2}


def test_folds_shrink_to_the_rarest_label() -> None:
    codes = np.array([0] * 20 + [1] * 3)
    dealt = deal_folds(codes, groups=np.arange(23), folds=5, repeats=1, seed=0)
    assert dealt is not None
    assert dealt.max() == 2
    assert sorted(dealt[0, 20:]) == [0, 1, 2]


def test_a_label_with_one_group_cannot_be_held_out() -> None:
    codes = np.array([0] * 20 + [1] * 3)
    groups = np.array([*range(20), 99, 99, 99])
    assert deal_folds(codes, groups=groups, folds=5, repeats=1, seed=0) is None


def test_the_seed_decides() -> None:
    codes = np.arange(60) % 2
    one, same, other = (
        deal_folds(codes, groups=np.arange(60), folds=5, repeats=1, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
