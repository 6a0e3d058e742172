"""How many tiles would seem to have changed although nothing did: by classification error alone.

Where the truth is k in both years, one year says a with probability P_A(a|k), the other b with
P_B(b|k). If the errors of the two years are independent, the expected number of tiles that go from
a to b is

    E[a, b] = Σ_k N_k P_A(a|k) P_B(b|k)

with N_k tiles whose truth is k. The assumption makes E an upper figure: what fools the classifier
in both years the same way (a mixed tile, a wrong label of the land cover) changes nothing.

P comes from tiles of known label that the classifier was not trained on, where each label has
enough of them; else from the probabilities, taken at their word: of the tiles called a, the sum of
the probabilities of k have the truth k. N_k are the tiles of known label, and for the others the
numbers that explain best how often each label was called (maximum likelihood, by EM).

The interval is for the number that would be seen, so it has in it what is not known of P and N, and
the chance of the errors themselves. Draws of P from its posterior (Dirichlet) are taken for the
truth; each gives a whole imagined pair of years without change, on which everything is estimated
again. How far what was then seen lies from what was then expected, is how far it may here. That
gets right, too, that the errors are often known from the very tiles that are compared.

Sources:
    Pontius, R. G. and Lippitt, C. D. (2006). Can error explain map differences over time?
        Cartography and Geographic Information Science 33, 159-171 (the question, and the product).
    Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977). Maximum likelihood from incomplete data
        via the EM algorithm. JRSS B 39, 1-38 (mixing proportions of known components).
    Gelman, A. et al. (2013). Bayesian Data Analysis, sections 3.4 and 6.3 (Dirichlet posterior;
        replicated data).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from foveate.evaluation.intervals import LEVEL, Estimate

LEAST = 20
"""Tiles of known label that a label needs for its errors to be measured."""

RARE = 0.01
"""A label that is called for a smaller share of the tiles does not decide where P comes from."""

DRAWS = 1000
_CELLS = 3e8
"""Of all imagined tables together; with very many labels there are fewer draws."""

_ADDED = 0.5
"""Tiles added to the right answers of a label, and to the wrong ones: Jeffreys' prior. Otherwise
twenty right answers of twenty would be taken for a classifier that never errs."""

_LEAST_SHARE = 1e-3
_STEPS = 100
"""Of EM; shares then move by less than a tile in thousands, unless two labels are confused by
nearly every tile."""


@dataclass(frozen=True, slots=True)
class Year:
    """What the classifier said in one year about the n tiles that both years have.

    Attributes:
        top: (n,) int64, the label that it called, as a number below K.
        known: (n,) int64, the label that is known; -1 where none is, or where it was trained on.
        soft: (K, K) float64, sums of probabilities: row is the truth, column the label called.
        others: (K, K) int64, known label and label called of tiles that only this year has.
    """

    top: NDArray[np.int64]
    known: NDArray[np.int64]
    soft: NDArray[np.float64]
    others: NDArray[np.int64]

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(K, K) int64, known label and label called, of all tiles to measure errors on."""
        k = len(self.soft)
        some = self.known >= 0
        pairs = np.bincount(k * self.known[some] + self.top[some], minlength=k * k)
        counts: NDArray[np.int64] = pairs.reshape(k, k) + self.others
        return counts

    @property
    def measured(self) -> bool:
        """Whether there are tiles enough of each label to measure errors on."""
        called = np.bincount(self.top, minlength=len(self.soft))
        wanted = called >= max(RARE * len(self.top), 1)
        return bool((self.confusion.sum(axis=1)[wanted] >= LEAST).all())

    @property
    def filling(self) -> NDArray[np.float64]:
        """(K, K) float64, tiles by the probabilities, for labels that are known of too few."""
        missing = np.maximum(LEAST - self.confusion.sum(axis=1, keepdims=True), 0)
        filling: NDArray[np.float64] = missing * _mean(self.soft + _LEAST_SHARE)
        return filling

    @property
    def rows(self) -> NDArray[np.float64]:
        """(K, K) float64, P: row is the truth, column the label called."""
        counts: NDArray[np.float64] = (
            self.confusion + self.filling if self.measured else self.soft + _LEAST_SHARE
        )
        return _mean(counts)

    @property
    def alphas(self) -> NDArray[np.float64]:
        """(K, K) float64, of the Dirichlet distribution of each row of P."""
        wrong = (self.soft + _LEAST_SHARE) * (1 - np.eye(len(self.soft)))
        added: NDArray[np.float64] = _ADDED * (_mean(wrong) + np.eye(len(wrong)))
        return added + (self.confusion + self.filling if self.measured else self.soft)


@dataclass(frozen=True, slots=True)
class Expected:
    """What classification error alone would make of n tiles of which none changed.

    Attributes:
        matrix: (K, K) float64, expected number of tiles by label in A (row) and B (column).
        truth: (K,) float64, N_k: estimated number of tiles of each label.
        measured: of A and of B, whether errors were measured on tiles of known label; otherwise
            they come from the probabilities.
        references: of A and of B, the number of tiles that errors were measured on, 0 if none.
        tiles: n.
        draws: (d, K, K) float32, seen less expected in each of d imagined pairs of years.
    """

    matrix: NDArray[np.float64]
    truth: NDArray[np.float64]
    measured: tuple[bool, bool]
    references: tuple[int, int]
    tiles: int
    draws: NDArray[np.float32] = field(repr=False)

    def among(self, pairs: NDArray[np.bool_]) -> Estimate:
        """The expected number of tiles of some from–to pairs, with the interval for what is seen.

        Args:
            pairs: (K, K) bool, which.
        """
        value = float(self.matrix[pairs].sum())
        apart = self.draws[:, pairs].sum(axis=1, dtype=np.float64)
        ends = value + np.quantile(apart, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low, high = ends.clip(0, self.tiles)
        method = f"simulation, {len(apart):,} draws"
        return Estimate(value, min(float(low), value), max(float(high), value), self.tiles, method)


def expected_changes(a: Year, b: Year, *, draws: int = DRAWS, seed: int = 0) -> Expected:
    """How many tiles would go from each label to each other by error alone.

    Args:
        a: the one year.
        b: the other, about the same tiles in the same order, with the same labels.
        draws: imagined pairs of years; fewer where there are very many labels.
        seed: of the draws.
    """
    k = len(a.soft)
    rng = np.random.default_rng(seed)
    draws = max(min(draws, int(_CELLS / k**3)), 200)
    groups = _grouped(a, b, k)
    rest = np.stack([np.bincount(year.top[groups.free], minlength=k) for year in (a, b)])
    pairs = a.rows, b.rows
    shares = _explain(rest[None], pairs[0][None], pairs[1][None])
    truth = groups.counts.sum(axis=0) + groups.free.sum() * shares[0]
    matrix = (pairs[0] * truth[:, None]).T @ pairs[1]

    one, other = _dirichlet(a.alphas, draws, rng), _dirichlet(b.alphas, draws, rng)
    free = _explain(np.broadcast_to(rest, (draws, 2, k)), one, other)
    seen, rest_seen, confusions = _imagine(groups, free, one, other, rng)
    # Errors that were not measured cannot be measured again.
    again = [
        _mean(counts + year.filling) if year.measured else mean[None]
        for counts, year, mean in zip(confusions, (a, b), pairs, strict=True)
    ]
    truths = groups.counts.sum(axis=0) + groups.free.sum() * _explain(rest_seen, *again)
    expected = np.swapaxes(again[0] * truths[:, :, None], 1, 2) @ again[1]
    return Expected(
        matrix=matrix,
        truth=truth,
        measured=(a.measured, b.measured),
        references=(_references(a), _references(b)),
        tiles=len(a.top),
        draws=(seen - expected).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class _Groups:
    """Tiles by what they say about errors: in both years, only in A, only in B.

    Attributes:
        counts: (3, K) int64, tiles that both years have, by known label.
        free: (n,) bool, tiles that say nothing.
        others: (2, K) int64, tiles that say something in one year, not compared or compared
            without it.
    """

    counts: NDArray[np.int64]
    free: NDArray[np.bool_]
    others: NDArray[np.int64]


def _grouped(a: Year, b: Year, k: int) -> _Groups:
    nothing = np.full(len(a.top), -1)
    measured = a.known if a.measured else nothing
    other = b.known if b.measured else nothing
    # A place whose two known labels differ did change: without change it would have neither.
    contradictory = (measured >= 0) & (other >= 0) & (measured != other)
    members = (
        (measured >= 0) & (measured == other),
        (measured >= 0) & (other < 0),
        (measured < 0) & (other >= 0),
    )
    label = np.where(measured >= 0, measured, other)
    return _Groups(
        np.stack([np.bincount(label[some], minlength=k) for some in members]),
        ~np.logical_or.reduce(members),
        np.stack(
            [
                year.others.sum(axis=1) + np.bincount(known[contradictory], minlength=k)
                for year, known in ((a, measured), (b, other))
            ]
        ),
    )


def _imagine(
    groups: _Groups,
    free: NDArray[np.float64],
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[NDArray[np.int64]]]:
    """Pairs of years without change.

    Args:
        groups: what is known of the tiles.
        free: (d, K) shares of the labels among tiles of which nothing is known.
        one: (d, K, K) P of A.
        other: (d, K, K) P of B.
        rng: draws them.

    Returns:
        (d, K, K) tiles by label in A and B; (d, 2, K) labels called for tiles of which nothing is
        known; (d, K, K) confusion of A and of B.
    """
    draws, k = free.shape
    seen = np.zeros((draws, k, k), np.int64)
    rest = np.zeros((draws, 2, k), np.int64)
    confusions = [np.zeros((draws, k, k), np.int64) for _ in range(2)]
    unknown = rng.multinomial(int(groups.free.sum()), free)
    for label in range(k):
        in_a, in_b = one[:, label], other[:, label]
        for number, count in enumerate((*groups.counts[:, label], unknown[:, label])):
            said = rng.multinomial(count, in_a)
            pairs = rng.multinomial(said, in_b[:, None])
            seen += pairs
            again = pairs.sum(axis=1)
            if number == 3:
                rest += np.stack([said, again], axis=1)
            if number in (0, 1):
                confusions[0][:, label] += said
            if number in (0, 2):
                confusions[1][:, label] += again
        for year, rows in enumerate((in_a, in_b)):
            confusions[year][:, label] += rng.multinomial(groups.others[year, label], rows)
    return seen, rest, confusions


def _explain(
    called: NDArray[np.int64], one: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(d, K) shares of the labels that explain best how often each was called in both years.

    Args:
        called: (d, 2, K) tiles by label called, in A and in B.
        one: (d or 1, K, K) P of A.
        other: (d or 1, K, K) P of B.
    """
    k = one.shape[-1]
    both = np.concatenate(np.broadcast_arrays(one, other), axis=2)
    both = np.broadcast_to(both, (len(called), *both.shape[1:]))
    tiles = called.reshape(len(called), 1, 2 * k).astype(np.float64)
    total = np.maximum(tiles.sum(axis=2, keepdims=True), 1)
    shares = np.full((len(called), 1, k), 1 / k)
    turned = np.swapaxes(both, 1, 2)
    for _ in range(_STEPS):
        shares = shares * ((tiles / np.maximum(shares @ both, 1e-12)) @ turned) / total
    # Where there is no tile there is nothing to share out.
    sums = shares.sum(axis=2, keepdims=True)
    result: NDArray[np.float64] = np.where(sums > 0, shares / np.where(sums > 0, sums, 1), 1 / k)
    return result[:, 0]


def _mean(alphas: NDArray[np.float64]) -> NDArray[np.float64]:
    rows: NDArray[np.float64] = alphas / alphas.sum(axis=-1, keepdims=True)
    return rows


def _dirichlet(
    alphas: NDArray[np.float64], draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(d, K, K) rows drawn from the Dirichlet distributions with these parameters."""
    parts = rng.standard_gamma(alphas, (draws, *alphas.shape)) + np.finfo(float).tiny
    return _mean(parts)


def _references(year: Year) -> int:
    return int(year.confusion.sum()) if year.measured else 0
