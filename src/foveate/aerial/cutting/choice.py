"""Which of the tiles that were looked at are kept, and why the others are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.cut_options import CutOptions
from foveate.aerial.cutting.survey import Survey
from foveate.aerial.landcover import LEAST_COVERED

REASONS: Mapping[str, str] = {
    "overlap": "covered better by another raster of the same year",
    "nodata": "too much without data (gaps, edge of the imagery)",
    "outside": "outside of the land cover",
    "unlabelled": "no label in the legend",
    "mixed": "too little of one label",
    "not_chosen": "not chosen (balance, limit)",
}
"""Why a tile is left out, in the order in which it is asked; and in words."""

_ADVICE = {
    "nodata": "Make the tiles smaller with --size, or allow more with --max-nodata.",
    "outside": "Is the land cover of the same place?",
    "unlabelled": "Choose a legend that has labels for this land with --legend.",
    "mixed": "Make the tiles smaller with --size, or allow less with --min-share.",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What was kept of n tiles.

    Attributes:
        kept: (k,) int64, rows of the survey, in the order in which their rasters are read: raster
            by raster, from north to south.
        left_out: how many for each of the `REASONS`, zeros left out.
    """

    kept: NDArray[np.int64]
    left_out: Mapping[str, int]


def choose(survey: Survey, years: Sequence[int], options: CutOptions) -> Choice:
    """Keep one tile of each place and year that the options allow.

    Of rasters that overlap, the first that covers a tile wholly has it; else the one with the least
    without data.

    Args:
        survey: what was found.
        years: of each raster, 0 where nobody knows.
        options: which tiles are wanted.
    """
    n = len(survey)
    year = np.array(years, np.int32)[survey.rasters] if n else np.empty(0, np.int32)
    # The last key counts most.
    order = np.lexsort((survey.rasters, survey.nodata, year, survey.cols, survey.rows))
    places = np.stack([survey.rows, survey.cols, year])[:, order]
    repeated = np.zeros(n, bool)
    repeated[1:] = (places[:, 1:] == places[:, :-1]).all(0)
    reasons = {"overlap": np.zeros(n, bool)}
    reasons["overlap"][order] = repeated
    reasons["nodata"] = survey.nodata > options.max_nodata
    if options.labelled:
        reasons["outside"] = survey.covered < LEAST_COVERED
        reasons["unlabelled"] = survey.labels < 0
        reasons["mixed"] = survey.shares < np.float32(options.min_share)
    left = np.ones(n, bool)
    left_out = {}
    for reason, those in reasons.items():
        left_out[reason] = int((left & those).sum())
        left &= ~those
    kept = _sampled(left.nonzero()[0], survey, year, options)
    left_out["not_chosen"] = int(left.sum()) - len(kept)
    north_first = np.lexsort((survey.cols[kept], -survey.rows[kept], survey.rasters[kept]))
    return Choice(kept[north_first], {reason: n for reason, n in left_out.items() if n})


def why_none(left_out: Mapping[str, int]) -> str:
    """Why no tile is left, with what would help; of `Choice.left_out`."""
    if not left_out:
        return "No tile is left: there is no data in the imagery."
    told = "; ".join(f"{count:,} × {REASONS[reason]}" for reason, count in left_out.items())
    most = max(left_out, key=lambda reason: left_out[reason])
    return f"No tile is left ({told}). {_ADVICE.get(most, '')}".strip()


def _sampled(
    kept: NDArray[np.int64], survey: Survey, year: NDArray[np.int32], options: CutOptions
) -> NDArray[np.int64]:
    """As many as are wanted.

    Each tile draws a number from its place and year alone, and those with the lowest are taken: a
    set that has grown keeps those it had, as far as they still are among the lowest.
    """
    drawn = _drawn(survey.rows[kept], survey.cols[kept], year[kept], options.seed)
    kept = kept[np.argsort(drawn, kind="stable")]
    caps = [options.per_label] if options.per_label is not None else []
    labels, counts = np.unique(survey.labels[kept], return_counts=True)
    if options.balanced and len(labels):
        caps.append(int(counts.min()))
        if options.limit is not None:
            caps.append(max(options.limit // len(labels), 1))
    if caps:
        parts = [kept[survey.labels[kept] == label][: min(caps)] for label in labels]
        among = np.isin(kept, np.concatenate([kept[:0], *parts]))
        kept = kept[among]
    return kept[: options.limit]


def _drawn(
    rows: NDArray[np.int32], cols: NDArray[np.int32], years: NDArray[np.int32], seed: int
) -> NDArray[np.uint64]:
    """A number for each tile that looks random and is always the same.

    Source: SplitMix64; Steele, G. L., Lea, D. and Flood, C. H. (2014). Fast splittable pseudorandom
        number generators. OOPSLA 2014, 453-472.
    """
    state = np.full(len(rows), seed, np.uint64)
    for part in (rows, cols, years):
        state = state + np.uint64(0x9E3779B97F4A7C15) + part.astype(np.int64).view(np.uint64)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return state
