"""The losses of the linear heads, with their first and second derivatives.

A *problem* is one fit: for the SVM one label against the rest with one fold held out (k = 1
column of scores), for logistic regression all labels together (k = number of labels). Many
problems p are evaluated at once on the same n rows; a held-out row has weight zero, so that no
fold ever needs a copy of the features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NOTHING_HELD = np.array([-1])
"""The folds to hold out, when there is one problem set and it sees every row."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known about each row but its features.

    Attributes:
        codes: (n,) the label of each row, in [0, n_labels).
        n_labels: 2 or more.
        weights: (n,) float32, >= 0.
        folds: (repeats, n) the fold of each row, >= 0; see `deal_folds`.
    """

    codes: NDArray[np.intp]
    n_labels: int
    weights: Floats
    folds: NDArray[np.intp]

    @classmethod
    def in_one_fold(cls, codes: NDArray[np.intp], n_labels: int, weights: Floats) -> Rows:
        """Rows that are never held out."""
        return cls(codes, n_labels, weights, np.zeros((1, len(codes)), np.intp))

    def weights_without(self, held: NDArray[np.intp]) -> Floats:
        """(p, 1, n): the weights, 0 for the rows of the fold that each problem holds out."""
        kept = (self.folds != held[:, None, None]).all(1)
        weights: Floats = (self.weights * kept)[:, None]
        return weights


@dataclass(frozen=True, slots=True)
class Expansion:
    """The loss around some scores: its value and derivatives.

    Attributes:
        value: (p,) float64.
        slope: (p, k, n) float32, the derivative with respect to each score.
        density: (p, k) float32, the mean over the rows of the second derivative's diagonal.
        bend: the second derivative times a (p, k, n) direction.
    """

    value: NDArray[np.float64]
    slope: Floats
    density: Floats
    bend: Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Loss:
    """A convex loss of the scores of p problems.

    Attributes:
        rows: the rows; wᵢ are their weights.
        held: (p,) the fold that each problem holds out, or −1.
        labels: (p,) the label that each problem tells from the rest; 0 where it tells all.
        c: C.
    """

    rows: Rows
    held: NDArray[np.intp]
    labels: NDArray[np.intp]
    c: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the scores: problems p, columns k, rows n."""
        raise NotImplementedError

    def at(self, scores: Floats) -> Expansion:
        """Expand around (p, k, n) scores."""
        raise NotImplementedError

    def only(self, problems: NDArray[np.bool_] | slice) -> Self:
        """The loss of some of the problems."""
        return replace(self, labels=self.labels[problems], held=self.held[problems])

    def with_c(self, c: float) -> Self:
        """The same loss, weighted by another C."""
        return replace(self, c=c)


class SquaredHinge(Loss):
    """C Σ wᵢ max(0, 1 − yᵢzᵢ)², the loss of LinearSVC: yᵢ = +1 on the rows of a problem's label."""

    __slots__ = ()

    @classmethod
    def of(cls, rows: Rows, held: NDArray[np.intp]) -> SquaredHinge:
        """For each fold to hold out, one problem for each label; one in all of two labels."""
        labels = np.arange(rows.n_labels) if rows.n_labels > 2 else np.array([1])
        return cls(rows, np.repeat(held, len(labels)), np.tile(labels, len(held)))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the scores."""
        return len(self.labels), 1, len(self.rows.codes)

    def at(self, scores: Floats) -> Expansion:
        """Expand around (p, 1, n) scores."""
        own = (self.rows.codes == self.labels[:, None])[:, None]
        signs = np.where(own, np.float32(1), np.float32(-1))
        slack = np.maximum(1 - signs * scores, 0)
        curvature = (slack > 0) * (np.float32(2 * self.c) * self.rows.weights_without(self.held))
        pull = curvature * slack
        return Expansion(
            value=np.einsum("pkn,pkn->p", pull, slack, dtype=np.float64) / 2,
            slope=-signs * pull,
            density=curvature.mean(-1),
            bend=lambda direction: curvature * direction,
        )


class CrossEntropy(Loss):
    """C Σ wᵢ (log Σₖ exp zᵢₖ − zᵢ,label), the loss of multinomial logistic regression."""

    __slots__ = ()

    @classmethod
    def of(cls, rows: Rows, held: NDArray[np.intp]) -> CrossEntropy:
        """For each fold to hold out, one problem."""
        return cls(rows, held, np.zeros_like(held))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the scores."""
        return len(self.held), self.rows.n_labels, len(self.rows.codes)

    def at(self, scores: Floats) -> Expansion:
        """Expand around (p, k, n) scores."""
        targets = (self.rows.codes == np.arange(self.rows.n_labels)[:, None]).astype(np.float32)
        shares = scores - scores.max(1, keepdims=True)
        own = (shares * targets).sum(1, keepdims=True)
        np.exp(shares, out=shares)
        total = shares.sum(1, keepdims=True)
        shares /= total
        weights = np.float32(self.c) * self.rows.weights_without(self.held)

        def bend(direction: Floats) -> Floats:
            bent: Floats = shares * direction
            bent -= shares * bent.sum(1, keepdims=True)
            bent *= weights
            return bent

        return Expansion(
            value=np.einsum("pkn,pkn->p", weights, np.log(total) - own, dtype=np.float64),
            slope=weights * (shares - targets),
            density=(weights * (shares * (1 - shares))).mean(-1),
            bend=bend,
        )
