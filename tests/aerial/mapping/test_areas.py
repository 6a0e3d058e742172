"""Areas adjusted for a map's errors: the paper's worked example, and samples of a known land."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.aerial.mapping.areas import adjusted_areas, km2_text

EXAMPLE = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
"""Olofsson and others (2014), table 8: rows deforestation, gain, stable forest, non-forest."""

MAPPED = np.array([200_000, 150_000, 3_200_000, 6_450_000])
"""Pixels of 30 m, 0.0009 km²."""


def test_the_worked_example_of_the_paper() -> None:
    """Areas and half-widths in hectares: 21,158 ± 6158, 11,686 ± 3756, 285,770 ± 15,510, …"""
    # The paper leaves out that the sample is a part of the map: so does a map without end.
    found = adjusted_areas(EXAMPLE, MAPPED * 1_000_000, 0.0009e-6)
    hectares = [round(one.area.value * 100) for one in found]
    assert hectares == [21_158, 11_686, 285_770, 581_386]
    margins = [round(1.96 * one.error * 100) for one in found]
    assert margins == [6158, 3756, 15_510, 16_282]
    for one in found:
        assert one.area.n == 640
        assert one.area.low < one.area.value < one.area.high
    # Wilson's half-width on either side is much the same where many tiles are known.
    forest = found[2]
    assert (forest.area.high - forest.area.low) / 2 == pytest.approx(1.96 * forest.error, rel=0.1)


def test_the_areas_add_up_to_the_map() -> None:
    found = adjusted_areas(EXAMPLE, MAPPED, 0.0009)
    assert sum(one.area.value for one in found) == pytest.approx(MAPPED.sum() * 0.0009)


def test_a_map_that_is_known_all_over_has_no_error() -> None:
    known = np.array([[80, 20], [10, 90]])
    found = adjusted_areas(known, known.sum(axis=1), 0.5)
    for one, total in zip(found, (90, 110), strict=True):
        assert one.area.value == pytest.approx(total * 0.5)
        assert (one.area.low, one.area.high) == pytest.approx((total * 0.5, total * 0.5))
        assert one.error == pytest.approx(0)


def test_a_stratum_without_a_known_tile_makes_all_unknown() -> None:
    known = np.array([[5, 1], [0, 0]])
    assert not adjusted_areas(known, np.array([100, 3]), 1.0)[0].area.known
    # Unless the map has no tile of it, either.
    assert adjusted_areas(known, np.array([100, 0]), 1.0)[0].area.known
    single = adjusted_areas(np.array([[5, 1], [0, 1]]), np.array([100, 3]), 1.0)[0]
    assert single.area.known
    assert np.isnan(single.error)
    assert not adjusted_areas(np.zeros((2, 2), int), np.array([3, 3]), 1.0)[1].area.known


@pytest.mark.parametrize(
    ("right", "sampled"), [(0.99, (40, 40, 40)), (0.9, (40, 40, 40)), (0.9, (30, 60, 400))]
)
def test_the_intervals_hold_the_truth_about_95_times_in_100(
    right: float, sampled: tuple[int, ...]
) -> None:
    """Many maps of one land, each with a random sample of known tiles in every mapped label."""
    rng = np.random.default_rng(0)
    mapped = np.array([1000, 5000, 20_000])
    parts = np.full((3, 3), (1 - right) / 2) + np.eye(3) * (right - (1 - right) / 2)
    truth = np.rint(mapped[:, None] * parts).astype(int)
    mapped = truth.sum(axis=1)
    held = np.zeros(3)
    times = 400
    for _ in range(times):
        known = np.array(
            [
                rng.multivariate_hypergeometric(land, count)
                for land, count in zip(truth, sampled, strict=True)
            ]
        )
        for label, one in enumerate(adjusted_areas(known, mapped, 1.0)):
            held[label] += one.area.low <= truth[:, label].sum() <= one.area.high
    # ±1.96 standard errors would hold it in a fourth to a half of these samples.
    assert (held / times > 0.91).all(), held / times
    if right < 0.95:
        assert (held / times < 0.995).all(), held / times


def test_areas_as_text() -> None:
    texts = [km2_text(area) for area in (1780.4, 99.97, 35.24, 0.050176, 0.0, float("nan"))]
    assert texts == ["1,780", "100", "35.2", "0.0502", "0", "–"]
