"""Areas of labels: as mapped, and as estimated with the map's errors in mind.

Counting the tiles of a map gives the area of a label with all of the map's mistakes in it. Where
the true label of some tiles is known, the area can be estimated without that bias: each mapped
label is a stratum, and the tiles of known label in it say what it really consists of.

The standard error is the one of the source. Its ±1.96 standard errors, however, are far too narrow
where a stratum has few known tiles or hardly any mistake: with 40 known tiles a stratum and 99 % of
them right, they held the truth in 24 to 56 % of 20,000 simulated samples. So the intervals here are
those of Wilson for each stratum, put together as the strata are (in squares, method 10 of
Newcombe): these held it in 94 % and more of the same samples, and they come to ±1.96 standard
errors where many tiles are known.

Sources:
    Olofsson, P., Foody, G. M., Herold, M., Stehman, S. V., Woodcock, C. E. and Wulder, M. A.
        (2014). Good practices for estimating area and assessing accuracy of land change. Remote
        Sensing of Environment 148, 42-57 (equations 9 to 11).
    Cochran, W. G. (1977). Sampling Techniques, 3rd edition, section 5.3 (the share of a stratum
        that is known for certain: the finite population correction, which the former leave out).
    Newcombe, R. G. (1998), Wilson, E. B. (1927): see `evaluation.intervals`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.intervals import Estimate, unknown, wilson

METHOD = "stratified by mapped label, Wilson’s intervals combined"


@dataclass(frozen=True, slots=True)
class AdjustedArea:
    """The area of a label, estimated from tiles of known label.

    Attributes:
        area: km², with its 95 % interval; unknown where a stratum has no known tile.
        error: its standard error, km²; NaN where a stratum has a single known tile.
    """

    area: Estimate
    error: float


def adjusted_areas(
    known: NDArray[np.int64], mapped: NDArray[np.int64], tile_area: float
) -> tuple[AdjustedArea, ...]:
    """Areas of labels, from a map and a random sample of its tiles whose labels are known.

    The share of label j in all of the map is Σᵢ Wᵢ nᵢⱼ / nᵢ (equation 9), its variance
    Σᵢ Wᵢ² (1 - nᵢ / Nᵢ) pᵢⱼ (1 - pᵢⱼ) / (nᵢ - 1) with pᵢⱼ = nᵢⱼ / nᵢ (equation 10 with Cochran's
    correction); the area is that share of the map's (equation 11).

    Args:
        known: (strata, labels) nᵢⱼ: tiles mapped as i whose known label is j. Labels that the map
            does not have may be among them.
        mapped: (strata,) Nᵢ: tiles mapped as i, at least as many as are known.
        tile_area: of one tile, km².

    Returns:
        One for each label.
    """
    strata = mapped > 0
    known, mapped = known[strata], mapped[strata]
    sampled = known.sum(axis=1)
    total = int(mapped.sum())
    n = int(sampled.sum())
    if not n or not sampled.all():
        return tuple(AdjustedArea(unknown(METHOD), nan) for _ in range(known.shape[1]))
    left = 1 - sampled / mapped
    areas = []
    for hits in known.T:
        share = hits / sampled
        value = float((mapped * share).sum())
        parts = [wilson(int(h), int(m)) for h, m in zip(hits, sampled, strict=True)]
        below = np.array([part.value - part.low for part in parts])
        above = np.array([part.high - part.value for part in parts])
        low = value - sqrt((mapped**2.0 * left * below**2).sum())
        high = value + sqrt((mapped**2.0 * left * above**2).sum())
        estimate = Estimate(
            value * tile_area, max(low, 0.0) * tile_area, min(high, total) * tile_area, n, METHOD
        )
        areas.append(AdjustedArea(estimate, _error(share, sampled, mapped, left) * tile_area))
    return tuple(areas)


def _error(
    share: NDArray[np.float64],
    sampled: NDArray[np.int64],
    mapped: NDArray[np.int64],
    left: NDArray[np.float64],
) -> float:
    """Standard error in tiles."""
    if ((sampled == 1) & (left > 0)).any():
        return nan
    spread = share * (1 - share) / np.maximum(sampled - 1, 1)
    return sqrt((mapped**2.0 * left * spread).sum())


def km2_text(area: float) -> str:
    """An area in km² as people write it: `1,780`, `35.2`, `0.0502`; `–` where it is unknown."""
    if isnan(area):
        return "–"
    if round(area, 9) == 0:
        return "0"
    return f"{area:,.0f}" if area >= 99.95 else f"{area:.3g}"
