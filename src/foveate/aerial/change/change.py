"""What changed between two years: from which label to which, where, and how much of it is error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foveate.aerial.change.labels import choose_from, choose_to
from foveate.aerial.change.noise import DRAWS, Expected, expected_changes
from foveate.aerial.change.pairing import check_grids, codes_of, near_training, same_labels, year_of
from foveate.aerial.georeferenced import GeoreferencedPredictions
from foveate.errors import SourceError
from foveate.evaluation.intervals import Estimate

Verdict = Literal["above", "within", "below"]


@dataclass(frozen=True, slots=True)
class Flow:
    """Tiles that went from some labels to others, and how many would have by error alone.

    Attributes:
        start: label in A.
        end: label in B.
        tiles: how many were seen.
        km2: their area.
        expected: how many would be seen if nothing had changed, with its 95 % interval.
    """

    start: str
    end: str
    tiles: int
    km2: float
    expected: Estimate

    @property
    def verdict(self) -> Verdict:
        """Where the number of tiles lies: above, within or below the interval."""
        if self.tiles > self.expected.high:
            return "above"
        return "below" if self.tiles < self.expected.low else "within"

    @property
    def told(self) -> str:
        """The expected number and its interval, as `380 (350 to 410)`."""
        low, high = ceil(self.expected.low), floor(self.expected.high)
        if low > high:
            low, high = high, low
        value = self.expected.value
        return f"{value:,.{0 if value >= 9.95 else 1}f} ({low:,} to {high:,})"


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Two years compared, tile by tile.

    Attributes:
        a: predictions of the n tiles that both years have, of the first year.
        b: those of the second year; the same tiles in the same order, the same labels.
        names: what the two years are called.
        only_a: tiles that only the first year has.
        only_b: tiles that only the second year has.
        refused: tiles that both have, and that could not be read in one of them.
        from_labels: where new development may have come from.
        to_labels: the labels of developed land.
        matrix: (K, K) int64, tiles by label in A (row) and in B (column).
        candidates: (c,) int64, the tiles that went from `from_labels` to `to_labels`, the most
            certain first.
        confidence: (c,) float64, P(A in `from_labels`) × P(B in `to_labels`): the probability that
            both ends are right. Each is the sum over those labels, so a tile that wavers between
            two kinds of forest is no less certain to have been none of the developed labels.
        expected: what error alone would have made of unchanged tiles.
        learned: compared tiles that were trained on, or lie beside such a tile, so that errors
            are not measured there.
    """

    a: GeoreferencedPredictions
    b: GeoreferencedPredictions
    names: tuple[str, str]
    only_a: int
    only_b: int
    refused: int
    from_labels: tuple[str, ...]
    to_labels: tuple[str, ...]
    matrix: NDArray[np.int64]
    candidates: NDArray[np.int64]
    confidence: NDArray[np.float64]
    expected: Expected
    learned: int

    def __len__(self) -> int:
        return len(self.a)

    @property
    def labels(self) -> tuple[str, ...]:
        """The K labels of both years."""
        return self.a.predictions.labels

    @property
    def changed(self) -> Flow:
        """All tiles whose label is not the same."""
        return self._flow("any label", "another", ~np.eye(len(self.labels), dtype=bool))

    @property
    def development(self) -> Flow:
        """New development: tiles that went from `from_labels` to `to_labels`."""
        pairs = np.outer(
            [label in self.from_labels for label in self.labels],
            [label in self.to_labels for label in self.labels],
        )
        return self._flow(" or ".join(self.from_labels), " or ".join(self.to_labels), pairs)

    def flows(self) -> Iterator[Flow]:
        """Each pair of labels, row by row of the matrix; those that stayed what they were, too."""
        for i, start in enumerate(self.labels):
            for j, end in enumerate(self.labels):
                pairs = np.zeros_like(self.matrix, bool)
                pairs[i, j] = True
                yield self._flow(start, end, pairs)

    def _flow(self, start: str, end: str, pairs: NDArray[np.bool_]) -> Flow:
        tiles = int(self.matrix[pairs].sum())
        return Flow(start, end, tiles, tiles * self.a.grid.area, self.expected.among(pairs))


def find_changes(
    a: GeoreferencedPredictions,
    b: GeoreferencedPredictions,
    *,
    from_labels: Sequence[str] | None = None,
    to_labels: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Changes:
    """Compare two years.

    Args:
        a: predictions of the first year.
        b: predictions of the second, on the same grid and with the same labels.
        from_labels: where new development may have come from; all but `to_labels` where None.
        to_labels: the labels of developed land; those whose name says developed, urban or built
            where None.
        draws: imagined pairs of years that the intervals are made from.
        seed: of the draws.

    Raises:
        SourceError: the grids or the labels are not the same, or no tile is in both years.
        SettingsError: there is no such label, or none that is developed land.
    """
    check_grids(a, b)
    b = same_labels(a, b)
    labels = a.predictions.labels
    to = choose_to(to_labels, labels)
    starts = choose_from(from_labels, to, labels)
    all_a, all_b = a, b
    codes = codes_of(a.rows, a.cols), codes_of(b.rows, b.cols)
    _, in_a, in_b = np.intersect1d(*codes, assume_unique=True, return_indices=True)
    read = a.predictions.read[in_a] & b.predictions.read[in_b]
    only_a, only_b, refused = len(a) - len(in_a), len(b) - len(in_b), int((~read).sum())
    in_a, in_b = in_a[read], in_b[read]
    if not len(in_a):
        why = "none in both years could be read" if refused else "none is in both years"
        raise SourceError(f"There is no tile to compare: {why}. Are they of the same place?")
    a, b = a.take(in_a), b.take(in_b)
    trained = near_training(all_a, all_b)
    k = len(labels)
    top_a, top_b = a.predictions.top, b.predictions.top
    order, confidence = _rank(a, b, starts, to)
    expected = expected_changes(
        year_of(all_a, in_a, trained), year_of(all_b, in_b, trained), draws=draws, seed=seed
    )
    return Changes(
        a=a,
        b=b,
        names=_names(a, b),
        only_a=only_a,
        only_b=only_b,
        refused=refused,
        from_labels=starts,
        to_labels=to,
        matrix=np.bincount(k * top_a + top_b, minlength=k * k).reshape(k, k),
        candidates=order,
        confidence=confidence,
        expected=expected,
        learned=int(np.isin(codes[0][in_a], trained).sum()),
    )


def _rank(
    a: GeoreferencedPredictions,
    b: GeoreferencedPredictions,
    starts: Sequence[str],
    to: Sequence[str],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Candidates and their confidence, the most certain first."""
    labels = a.predictions.labels
    wanted = np.array([label in starts for label in labels])
    two = np.array([label in to for label in labels])
    changed = np.flatnonzero(wanted[a.predictions.top] & two[b.predictions.top])
    left, right = (p.predictions.probabilities[changed].astype(np.float64) for p in (a, b))
    both = left[:, wanted].sum(axis=1) * right[:, two].sum(axis=1)
    # Equal ones: by the two labels that were called, then by place.
    called = left.max(axis=1, initial=0) * right.max(axis=1, initial=0)
    order = np.lexsort((a.cols[changed], -a.rows[changed], -called, -both))
    return changed[order], both[order].clip(0, 1)


def _names(a: GeoreferencedPredictions, b: GeoreferencedPredictions) -> tuple[str, str]:
    years = [set(placed.years) for placed in (a, b)]
    if all(len(some) == 1 and None not in some for some in years) and years[0] != years[1]:
        return str(*years[0]), str(*years[1])
    return "A", "B"
