"""Coordinates in which a linear head is quick to fit.

All fits on one set of rows (every label, fold and C) share one `Basis`, so its cost is paid once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Directions of the row space whose share of the variance is below this are rounding noise:
# a duplicate image adds such a direction, and nothing can be learned along it.
_SMALLEST_EIGENVALUE = 1e-10


@dataclass(frozen=True, slots=True)
class Basis:
    """Rows to fit on, with the eigenvectors of their second moments.

    Attributes:
        rows: (n, r) float32; the features with a constant 1 appended for the intercept, or,
            when there are fewer rows than columns, their coordinates in the row space. The
            minimiser always lies in the row space, and lengths are the same in both.
        eigenvalues: (r,) float32, of `rows.T @ rows`, ascending.
        eigenvectors: (r, r) float32, one per column; None where they are the coordinate axes.
        lift: (r, d + 1) float32, from row-space coordinates to features; None where `rows` are
            the features themselves.
    """

    rows: NDArray[np.float32]
    eigenvalues: NDArray[np.float32]
    eigenvectors: NDArray[np.float32] | None
    lift: NDArray[np.float32] | None

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Basis:
        """The basis of (n, d) float32 features; holds a copy of them."""
        n, d = features.shape
        rows = np.empty((n, d + 1), np.float32)
        rows[:, :d] = features
        rows[:, d] = 1
        if n > d:
            eigenvalues, eigenvectors = np.linalg.eigh(rows.T @ rows)
            return cls(rows, np.maximum(eigenvalues, 0), eigenvectors, None)

        wide = rows.astype(np.float64)  # n <= d: small, and 1/√eigenvalue needs the digits
        eigenvalues, left = np.linalg.eigh(wide @ wide.T)
        kept = eigenvalues > _SMALLEST_EIGENVALUE * eigenvalues[-1]
        eigenvalues, left = eigenvalues[kept], left[:, kept]
        root = np.sqrt(eigenvalues)
        return cls(
            rows=np.ascontiguousarray(left * root, dtype=np.float32),
            eigenvalues=eigenvalues.astype(np.float32),
            eigenvectors=None,
            lift=((left / root).T @ wide).astype(np.float32),
        )

    @property
    def size(self) -> int:
        """Number of coordinates, r."""
        return len(self.eigenvalues)

    def divide(
        self, vectors: NDArray[np.float32], density: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Solve (I + density · mean of xxᵀ over the rows) v = vectors.

        Args:
            vectors: (..., r) float32.
            density: (...) float32, >= 0.

        Returns:
            (..., r) float32.
        """
        scale = 1 + density[..., None] * self.eigenvalues
        if self.eigenvectors is None:
            return vectors / scale
        return ((vectors @ self.eigenvectors) / scale) @ self.eigenvectors.T

    def to_features(
        self, weights: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weights of the features (k, d) and intercepts (k,), from (k, r) float32."""
        lifted = weights if self.lift is None else weights @ self.lift
        return np.ascontiguousarray(lifted[:, :-1]), lifted[:, -1].copy()
