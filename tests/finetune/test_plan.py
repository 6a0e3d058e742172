"""What a step learns from is drawn from the seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveate.finetune.plan import (
    AUGMENTATIONS,
    BatchPlan,
    Views,
    epoch_rows,
    hold_out,
    plan_batch,
)
from foveate.settings import Settings

STRONG = AUGMENTATIONS["strong"]


@st.composite
def labelled_groups(draw: st.DrawFn) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Labels of rows, and groups of copies, which may hold several labels."""
    n_labels = draw(st.integers(1, 4))
    codes = [*range(n_labels), *draw(st.lists(st.integers(0, n_labels - 1), max_size=40))]
    groups = draw(st.lists(st.integers(0, 30), min_size=len(codes), max_size=len(codes)))
    return np.array(codes), np.array(groups)


@given(labelled_groups(), st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.integers(0, 5))
def test_hold_out_keeps_copies_together_and_labels_alive(
    data: tuple[NDArray[np.intp], NDArray[np.intp]], share: float, seed: int
) -> None:
    codes, groups = data
    learnt, held = hold_out(codes, groups, share, seed)
    assert sorted([*learnt, *held]) == list(range(len(codes)))
    assert not set(groups[learnt]) & set(groups[held])
    assert set(codes[learnt]) == set(codes)
    if share == 0:
        assert len(held) == 0


def test_hold_out_takes_its_share_of_each_label() -> None:
    codes = np.repeat([0, 1], [100, 40])
    _, held = hold_out(codes, np.arange(140), 0.15, 0)
    assert np.bincount(codes[held]).tolist() == [15, 6]
    assert (hold_out(codes, np.arange(140), 0.15, 1)[1] != held).any()


def test_an_epoch_is_every_image_once() -> None:
    codes = np.repeat([0, 1], [30, 10])
    first = epoch_rows(codes, Settings(), epoch=0)
    assert sorted(first) == list(range(40))
    assert (first != epoch_rows(codes, Settings(), epoch=1)).any()
    again = epoch_rows(codes, Settings(), epoch=0)
    np.testing.assert_array_equal(first, again)


def test_rare_labels_are_repeated() -> None:
    codes = np.repeat([0, 1, 2], [30, 10, 7])
    rows = epoch_rows(codes, Settings(class_weight="balanced"), epoch=0)
    assert np.bincount(codes[rows]).tolist() == [30, 30, 30]
    uses = np.bincount(rows, minlength=len(codes))
    assert uses[codes == 1].tolist() == [3] * 10
    assert set(uses[codes == 2]) == {4, 5}


def test_an_epoch_may_be_a_part() -> None:
    codes = np.zeros(50, np.intp)
    parts = [epoch_rows(codes, Settings(images_per_epoch=20), epoch=e) for e in range(2)]
    assert [len(set(part)) for part in parts] == [20, 20]
    assert set(parts[0]) != set(parts[1])


def plan(*, epoch: int = 0, step: int = 0, **changes: Any) -> BatchPlan:
    return plan_batch(np.arange(200), STRONG, Settings(**changes), epoch=epoch, step=step)


def test_a_step_has_its_own_views() -> None:
    views = plan().views
    assert views is not None
    for change in ({"seed": 1}, {"epoch": 1}, {"step": 1}):
        other = plan(**change).views
        assert other is not None
        assert (views.x != other.x).any()
    again = plan().views
    assert again is not None
    np.testing.assert_array_equal(views.erased, again.erased)


@pytest.mark.parametrize("name", ["light", "strong"])
def test_views_stay_within_the_image_and_its_ranges(name: str) -> None:
    augmentation = AUGMENTATIONS[name]  # type: ignore[index]
    assert augmentation is not None
    found = plan_batch(np.arange(500), augmentation, Settings(), epoch=0, step=0)
    views = found.views
    assert isinstance(views, Views)
    for centre, length in ((views.x, views.width), (views.y, views.height)):
        assert (centre - length / 2 >= -1e-6).all()
        assert (centre + length / 2 <= 1 + 1e-6).all()
    area = views.width * views.height
    assert area.max() <= augmentation.area[1] + 1e-6
    # Where the wider side would not fit, it is cut, and the area with it.
    assert area.min() >= augmentation.area[0] / np.sqrt(augmentation.aspect) - 1e-6
    assert set(views.mirrored) == {-1, 1}
    assert np.rad2deg(np.abs(views.turned)).max() <= augmentation.angle + 1e-3
    assert views.recoloured is (augmentation.colour > 0)
    erased = (views.erased[:, 2] > views.erased[:, 0]).mean()
    assert abs(erased - augmentation.erase) < 0.06


def test_none_shows_the_image_as_it_is() -> None:
    found = plan_batch(np.arange(3), None, Settings(), epoch=0, step=0)
    assert found.views is None


def test_any_orientation_turns_by_quarters() -> None:
    views = plan(orientation="any").views
    assert views is not None
    quarters = np.round(views.turned / (np.pi / 2)).astype(int) % 4
    assert set(quarters) == {0, 1, 2, 3}


def test_mixup_has_partners_and_shares() -> None:
    assert (plan().share == 1).all()
    mixed = plan(mixup=0.2)
    assert sorted(mixed.partner) == list(range(200))
    assert len(set(mixed.share)) == 1
    assert 0 <= mixed.share[0] <= 1


def test_a_part_of_the_views() -> None:
    views = plan().views
    assert views is not None
    np.testing.assert_array_equal(views[np.array([3, 5])].x, views.x[[3, 5]])
    np.testing.assert_array_equal(views[10:12].erased, views.erased[10:12])
