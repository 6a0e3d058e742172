from __future__ import annotations

import numpy as np
import pytest

import foveate.heads.newton as newton
from foveate.heads.basis import Basis
from foveate.heads.loss import CrossEntropy, Rows, SquaredHinge
from foveate.heads.newton import Minimum, minimise
from foveate.heads.norm import unit_rows
from support.point_clusters import clusters


def fit(kind: type[SquaredHinge] | type[CrossEntropy], *, c: float, tol: float) -> Minimum:
    features, labels = clusters(150, 40, 4)
    codes = np.unique(labels, return_inverse=True)[1]
    rows = Rows.in_one_fold(codes, 4, np.ones(150, np.float32))
    basis = Basis.of(unit_rows(features))
    loss = kind.of(rows, np.array([-1])).with_c(c)
    start = np.zeros((*loss.shape[:2], basis.size), np.float32)
    found = minimise(basis, loss, start, tol=tol, max_iter=100)
    scores = (found.weights.reshape(-1, basis.size) @ basis.rows.T).reshape(loss.shape)
    slope = loss.at(scores).slope
    gradient = found.weights + (slope.reshape(-1, 150) @ basis.rows).reshape(found.weights.shape)
    # The objective is 1-strongly convex: half the squared gradient bounds the gap.
    gap = 0.5 * (gradient.astype(float) ** 2).sum((1, 2))
    objective = 0.5 * (found.weights.astype(float) ** 2).sum((1, 2)) + loss.at(scores).value
    assert (gap < 0.05 * objective).all()
    return found


@pytest.mark.parametrize("kind", [SquaredHinge, CrossEntropy])
@pytest.mark.parametrize("c", [1e-4, 1.0, 100.0])
def test_the_gradient_vanishes_at_the_minimum(
    kind: type[SquaredHinge] | type[CrossEntropy], c: float
) -> None:
    found = fit(kind, c=c, tol=1e-7)
    assert found.converged
    assert 1 <= found.iterations < 40


def test_many_problems_are_solved_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    together = fit(SquaredHinge, c=1.0, tol=1e-6)
    monkeypatch.setattr(newton, "_BLOCK", 1)
    apart = fit(SquaredHinge, c=1.0, tol=1e-6)
    np.testing.assert_allclose(apart.weights, together.weights, atol=1e-3)


def test_too_few_steps_are_told() -> None:
    basis = Basis.of(np.eye(3, dtype=np.float32))
    rows = Rows.in_one_fold(np.array([0, 1, 1]), 2, np.ones(3, np.float32))
    loss = SquaredHinge.of(rows, np.array([-1]))
    found = minimise(basis, loss, np.zeros((1, 1, 3), np.float32), tol=1e-3, max_iter=0)
    assert not found.converged
    assert not found.weights.any()
