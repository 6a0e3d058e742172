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
# Rows that are turned at once: bounds the second copy that this takes.
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Basis:
    """Rows to fit on, in the coordinates of their principal axes.

    A constant 1 is appended to the features first, for the intercept. Lengths and inner products
    are the same in these coordinates, and the minimiser always lies in the row space; so with
    fewer rows than features there are only as many coordinates as rows.

    Attributes:
        rows: (n, r) float32.
        eigenvalues: (r,) float32, the diagonal of `rows.T @ rows`, which has nothing else.
        axes: (r, d + 1) float32, orthonormal; from coordinates to features.
    """

    rows: NDArray[np.float32]
    eigenvalues: NDArray[np.float32]
    axes: NDArray[np.float32]

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Basis:
        """The basis of (n, d) float32 features; holds a turned copy of them."""
        n, d = features.shape
        rows = np.empty((n, d + 1), np.float32)
        rows[:, :d] = features
        rows[:, d] = 1
        if n > d:
            eigenvalues, axes = np.linalg.eigh(rows.T @ rows)
            for first in range(0, n, _CHUNK):
                rows[first : first + _CHUNK] = rows[first : first + _CHUNK] @ axes
            return cls(rows, np.maximum(eigenvalues, 0), np.ascontiguousarray(axes.T))

        wide = rows.astype(np.float64)  # n <= d: small, and 1/√eigenvalue needs the digits
        eigenvalues, left = np.linalg.eigh(wide @ wide.T)
        kept = eigenvalues > _SMALLEST_EIGENVALUE * eigenvalues[-1]
        eigenvalues, left = eigenvalues[kept], left[:, kept]
        root = np.sqrt(eigenvalues)
        return cls(
            rows=np.ascontiguousarray(left * root, dtype=np.float32),
            eigenvalues=eigenvalues.astype(np.float32),
            axes=((left / root).T @ wide).astype(np.float32),
        )

    @property
    def size(self) -> int:
        """Number of coordinates, r."""
        return len(self.eigenvalues)

    def divide(
        self, vectors: NDArray[np.float32], density: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Solve (I + density · rowsᵀ rows) v = vectors.

        Args:
            vectors: (..., r) float32.
            density: (...) float32, >= 0.

        Returns:
            (..., r) float32.
        """
        quotient: NDArray[np.float32] = vectors / (1 + density[..., None] * self.eigenvalues)
        return quotient

    def to_features(
        self, weights: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weights of the features (k, d) and intercepts (k,), from (k, r) float32."""
        lifted = weights @ self.axes
        return np.ascontiguousarray(lifted[:, :-1]), lifted[:, -1].copy()
