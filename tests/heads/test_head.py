from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.errors import SettingsError, TooFewImages
from foveate.heads import Head, HeadKind, LastLayer, fit_head, head_of_last_layer
from foveate.settings import Settings
from support.point_clusters import clusters

KINDS = get_args(HeadKind)


def accuracy(head: Head, features: np.ndarray, labels: np.ndarray) -> float:
    return float((np.array(head.labels)[head.scores(features).argmax(1)] == labels).mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_labels", [2, 4])
def test_a_head_learns_and_is_calibrated(kind: HeadKind, n_labels: int) -> None:
    features, labels = clusters(1600, 40, n_labels, spread=2.5)
    train, test = slice(0, 800), slice(800, None)
    head = fit_head(features[train], labels[train], kind=kind)
    probabilities = head.probabilities(features[test])
    assert probabilities.shape == (800, n_labels)
    assert probabilities.dtype == head.scores(features[test]).dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    right = accuracy(head, features[test], labels[test])
    assert 1.3 / n_labels < right < 0.999  # neither chance nor trivial
    assert probabilities.max(1).mean() == pytest.approx(right, abs=0.06)
    assert head.held_out_accuracy == pytest.approx(right, abs=0.06)
    np.testing.assert_array_equal(probabilities.argmax(1), head.scores(features[test]).argmax(1))


def test_what_the_search_saw_is_kept() -> None:
    features, labels = clusters(120, 30, 3)
    head = fit_head(features, labels)
    assert [point.c for point in head.search] == list(Settings().c)
    assert head.c in Settings().c
    assert head.held_out_accuracy == max(point.accuracy for point in head.search)
    forest = fit_head(features, labels, kind="forest", trees=64)
    assert forest.c is None
    assert forest.search == ()


@pytest.mark.parametrize("kind", KINDS)
def test_which_images_were_right_while_held_out_is_kept(kind: HeadKind) -> None:
    features, labels = clusters(120, 30, 3, spread=2.5)
    groups = np.arange(120)
    groups[3] = 0  # a copy, which the bags of a forest would straddle
    head = fit_head(features, labels, kind=kind, groups=groups, trees=64)
    assert head.held_out_right is not None
    assert head.held_out_right.shape == (120,)
    assert np.isnan(head.held_out_right).nonzero()[0].tolist() == [0, 3] * (kind == "forest")
    assert np.nanmean(head.held_out_right) == pytest.approx(head.held_out_accuracy, abs=0.01)


def test_where_nothing_is_held_out_nothing_is_known() -> None:
    features, labels = clusters(30, 20, 3)
    alone = np.flatnonzero((labels != "a") | (np.arange(30) == 0))
    head = fit_head(features[alone], labels[alone])
    assert head.held_out_accuracy is None
    assert head.held_out_right is None


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(KINDS))
def test_the_length_of_features_says_nothing(seed: int, kind: HeadKind) -> None:
    features, labels = clusters(60, 20, 3)
    scale = np.exp(np.random.default_rng(seed).uniform(-5, 5, (60, 1))).astype(np.float32)
    head = fit_head(features, labels, kind=kind, trees=64)
    tolerance = 0.05 if kind == "forest" else 1e-4  # a tree may turn on the last bit
    np.testing.assert_allclose(
        head.probabilities(features * scale), head.probabilities(features), atol=tolerance
    )


@settings(max_examples=10, deadline=None)
@given(st.permutations(["a", "b", "c"]), st.sampled_from(["svm", "logistic"]))
def test_the_order_of_labels_orders_the_columns(order: list[str], kind: HeadKind) -> None:
    features, labels = clusters(90, 30, 3)
    plain = fit_head(features, labels, kind=kind)
    head = fit_head(features, labels, kind=kind, label_order=order)
    assert plain.labels == ("a", "b", "c")
    assert head.labels == tuple(order)
    columns = [plain.labels.index(label) for label in order]
    np.testing.assert_allclose(
        head.probabilities(features), plain.probabilities(features)[:, columns], atol=0.05
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_head(kind: HeadKind) -> None:
    features, labels = clusters(90, 30, 3)
    one, two = (fit_head(features, labels, kind=kind, trees=64, seed=3) for _ in range(2))
    assert (one.c, one.temperature, one.search) == (two.c, two.temperature, two.search)
    np.testing.assert_array_equal(one.probabilities(features), two.probabilities(features))


@pytest.mark.parametrize("kind", KINDS)
def test_one_image_per_label_is_enough_to_fit(kind: HeadKind) -> None:
    features, labels = clusters(12, 30, 12, spread=0.1)
    head = fit_head(features, labels, kind=kind, trees=64)
    assert head.search == ()
    if kind != "forest":
        assert head.held_out_accuracy is None
    assert accuracy(head, features, labels) == 1


def test_a_given_c_is_kept_where_nothing_can_be_held_out() -> None:
    features, labels = clusters(3, 30, 3)
    assert fit_head(features, labels, c_grid=(0.01,)).c == 0.01
    assert fit_head(features, labels).c == 1
    assert fit_head(features, labels, kind="logistic").c == 10


def test_near_duplicates_do_not_help_to_choose() -> None:
    """Labels at random, every image five times: an honest search finds chance."""
    random = np.random.default_rng(0)
    features = np.repeat(random.standard_normal((60, 100)), 5, axis=0).astype(np.float32)
    labels = np.repeat(np.array(["x", "y"])[random.permutation(60) % 2], 5)
    group = np.repeat(np.arange(60), 5)
    fooled = fit_head(features, labels).held_out_accuracy
    honest = fit_head(features, labels, groups=group).held_out_accuracy
    assert fooled is not None
    assert honest is not None
    assert fooled > 0.95
    assert honest < 0.75
    forest = fit_head(features, labels, kind="forest", trees=64, groups=group)
    assert forest.held_out_accuracy is None


@pytest.mark.parametrize("kind", KINDS)
def test_class_weight_favours_a_label(kind: HeadKind) -> None:
    features, labels = clusters(300, 20, 2, spread=4)
    plain = fit_head(features, labels, kind=kind, trees=64, c_grid=(1.0,))
    weighted = fit_head(
        features, labels, kind=kind, trees=64, c_grid=(1.0,), class_weight={"b": 20.0}
    )
    fresh, _ = clusters(1000, 20, 2, spread=4, seed=0)
    share = [(head.scores(fresh).argmax(1) == 1).mean() for head in (plain, weighted)]
    assert share[1] > share[0]


def test_balanced_is_as_good_as_saying_the_weights() -> None:
    features, labels = clusters(120, 20, 3)
    rare = np.where(labels == "a", "a", "b")
    balanced = fit_head(features, rare, class_weight="balanced")
    said = fit_head(features, rare, class_weight={"a": 120 / 80, "b": 120 / 160})
    assert balanced.search == said.search
    np.testing.assert_allclose(balanced.scores(features), said.scores(features), atol=1e-5)


def test_one_label_is_too_few() -> None:
    with pytest.raises(TooFewImages, match=r"all 4 images are ‘a’\. Add a second label"):
        fit_head(np.ones((4, 3), np.float32), ["a"] * 4)
    with pytest.raises(TooFewImages, match="there are no images"):
        fit_head(np.ones((0, 3), np.float32), [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "tree"}, "no head is called ‘tree’"),
        ({"c_grid": ()}, "C must be tried"),
        ({"c_grid": (1.0, -1.0)}, "C must be tried"),
        ({"folds": 1}, "2 folds or more"),
        ({"kind": "forest", "trees": 10}, "cannot be calibrated"),
        ({"class_weight": {"z": 2.0}}, "‘z’"),
        ({"class_weight": {"a": 0.0}}, "positive"),
        ({"class_weight": "even"}, "‘balanced’ or a weight"),
        ({"label_order": ["a", "b"]}, "name each of these once"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], message: str) -> None:
    features, labels = clusters(30, 10, 3)
    with pytest.raises(SettingsError, match=message):
        fit_head(features, labels, **arguments)  # type: ignore[arg-type]


def test_features_must_match_and_be_finite() -> None:
    features, labels = clusters(30, 10, 3)
    with pytest.raises(ValueError, match="do not match 29 labels"):
        fit_head(features, labels[:-1])
    with pytest.raises(ValueError, match="29 groups"):
        fit_head(features, labels, groups=np.arange(29))
    features[3, 4] = np.nan
    with pytest.raises(ValueError, match="finite"):
        fit_head(features, labels)


@pytest.mark.parametrize("kind", ["svm", "logistic"])
def test_rows_that_the_features_know_by_heart_choose_nothing(kind: HeadKind) -> None:
    """What made the features has learned the labels of all rows but a few."""
    rng = np.random.default_rng(0)
    codes = np.arange(400) % 3
    held = np.arange(400) >= 300
    features = rng.normal(size=(400, 20)).astype(np.float32)
    features[~held] += 20 * np.eye(20, dtype=np.float32)[codes[~held]]
    labels = np.array(["a", "b", "c"])[codes]
    deceived = fit_head(features, labels, kind=kind)
    honest = fit_head(features, labels, kind=kind, held_out=held)
    assert honest.held_out_accuracy is not None
    assert deceived.held_out_accuracy is not None
    # 100 images guessed among three labels: 50 right or more happens once in 3,000 times.
    assert honest.held_out_accuracy < 0.5
    assert deceived.held_out_accuracy > 0.7
    assert {point.n for point in honest.search} == {100}
    assert {point.deviation for point in honest.search} == {0.0}
    sure = honest.probabilities(features[held]).max(1).mean()
    assert sure < deceived.probabilities(features[held]).max(1).mean()


def test_without_rows_held_out_they_are_dealt() -> None:
    features, labels = clusters(90, 8, 3)
    plain = fit_head(features, labels)
    none = fit_head(features, labels, held_out=np.zeros(90, bool))
    assert (plain.c, plain.search) == (none.c, none.search)


def test_a_last_layer_is_a_head_on_features_as_they_are() -> None:
    layer = LastLayer(np.array([[2, 0], [0, 1]], np.float32), np.array([0, 0.5], np.float32))
    features = np.array([[1, 0], [0, 3], [2, 2]], np.float32)
    held_out = features @ layer.coef_.T + layer.intercept_
    head = head_of_last_layer(("a", "b"), layer, held_out, np.array([0, 1, 1]))
    np.testing.assert_array_equal(head.scores(features), held_out)
    assert head.held_out_accuracy == pytest.approx(2 / 3)
    assert head.temperature != 1
    unseen = head_of_last_layer(("a", "b"), layer, held_out[:0], np.zeros(0, np.intp))
    assert (unseen.temperature, unseen.held_out_accuracy) == (1.0, None)
