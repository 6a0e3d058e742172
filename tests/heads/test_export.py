from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.heads import HeadKind, fit_head, head_nodes
from foveate.heads.export import _round_down
from support.exported_heads import run
from support.point_clusters import clusters

KINDS = get_args(HeadKind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_labels", [2, 5])
def test_the_graph_says_what_the_head_says(kind: HeadKind, n_labels: int) -> None:
    features, labels = clusters(2000, 100, n_labels, spread=2)
    head = fit_head(features[:200], labels[:200], kind=kind, trees=64)
    features[-1] = 0  # a black image may have no features at all
    scores, probabilities = run(head, features)
    np.testing.assert_allclose(scores, head.scores(features), atol=1e-5)
    np.testing.assert_allclose(probabilities, head.probabilities(features), atol=1e-5)


def test_names_in_between_carry_the_prefix() -> None:
    features, labels = clusters(60, 10, 3)
    head = fit_head(features, labels, kind="forest", trees=64)
    nodes, initialisers = head_nodes(
        head, features="f", scores="s", probabilities="p", prefix="mine/"
    )
    names = {node.name for node in nodes} | {tensor.name for tensor in initialisers}
    outputs = {name for node in nodes for name in node.output} - {"s", "p"}
    assert all(name.startswith("mine/") for name in names | outputs)
    assert len({node.name for node in nodes}) == len(nodes)


@given(st.floats(-1, 1), st.integers(-3, 3))
def test_a_rounded_threshold_parts_the_same_features(threshold: float, steps: int) -> None:
    rounded = _round_down(np.array([threshold]))[0]
    feature = rounded
    for _ in range(abs(steps)):
        feature = np.nextafter(feature, np.float32(np.inf * np.sign(steps)))
    assert (feature <= rounded) == (float(feature) <= threshold)
