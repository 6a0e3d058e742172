from __future__ import annotations

import warnings

import numpy as np

from foveate.heads.forest import fit_forest, log_shares
from support.point_clusters import clusters


def test_the_same_seed_grows_the_same_forest() -> None:
    features, labels = clusters(90, 20, 3)
    codes = np.unique(labels, return_inverse=True)[1]
    one, same, other = (
        fit_forest(features, codes, class_weight=None, trees=64, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.predict_proba(features), same.predict_proba(features))
    assert not np.array_equal(one.predict_proba(features), other.predict_proba(features))


def test_every_image_is_out_of_some_bags() -> None:
    features, labels = clusters(90, 20, 3)
    codes = np.unique(labels, return_inverse=True)[1]
    forest = fit_forest(features, codes, class_weight="balanced", trees=64, seed=0)
    np.testing.assert_allclose(forest.oob_decision_function_.sum(1), 1)


def test_one_image_per_label_is_no_regression() -> None:
    features, _ = clusters(30, 20, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_forest(features[:10], np.arange(10), class_weight=None, trees=64, seed=0)


def test_a_share_of_zero_has_a_finite_logarithm() -> None:
    scores = log_shares(np.array([[0.0, 1.0]]))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [[np.log(1e-3), 0]], rtol=1e-6)
