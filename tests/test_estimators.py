"""scikit-learn's contract, with images for X."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import foveate as fv


@pytest.fixture
def images(patterns: Path) -> tuple[list[str], list[str]]:
    paths = sorted(patterns.rglob("*.png"))
    return [str(path) for path in paths], [path.parent.name for path in paths]


CHECKS_WITHOUT_TABLES = (
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)
"""All of `check_estimator` that does not feed tables of numbers as X."""


@pytest.mark.parametrize("name", CHECKS_WITHOUT_TABLES)
@pytest.mark.parametrize("estimator", [fv.ImageFeaturizer(), fv.ImageClassifier()])
def test_scikit_learn_contract(estimator: BaseEstimator, name: str) -> None:
    check = getattr(estimator_checks, name)
    check(type(estimator).__name__, clone(estimator))


def test_check_estimator_sees_that_tables_do_not_apply() -> None:
    with pytest.warns(SkipTestWarning, match="requires input"):
        estimator_checks.check_estimator(fv.ImageClassifier())


@pytest.mark.slow
def test_grid_search(images: tuple[list[str], list[str]]) -> None:
    X, y = images
    search = GridSearchCV(fv.ImageClassifier(resolution=64), {"c": [0.1, 10.0]}, cv=3)
    search.fit(X, y)
    assert search.best_score_ > 0.7
    assert search.best_params_["c"] in (0.1, 10.0)
    assert set(search.predict(X)) == {"checks", "dots", "stripes"}


def test_pipeline(images: tuple[list[str], list[str]]) -> None:
    X, y = images
    model = make_pipeline(fv.ImageFeaturizer(resolution=64), LogisticRegression(max_iter=500))
    assert model.fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.7


def test_features_are_cached(images: tuple[list[str], list[str]], own_cache: Path) -> None:
    X, _ = images
    featurizer = fv.ImageFeaturizer(resolution=64)
    first = featurizer.fit_transform(X)
    written = sorted(own_cache.rglob("*.parquet"))
    np.testing.assert_array_equal(featurizer.transform(X[::-1])[::-1], first)
    assert sorted(own_cache.rglob("*.parquet")) == written
    assert list(featurizer.get_feature_names_out()[:1]) == ["efficientnet-lite0_0"]


def test_features_of_several_depths(images: tuple[list[str], list[str]], tmp_path: Path) -> None:
    X, y = images
    model = fv.ImageClassifier(resolution=64, c=1.0, features="depths").fit(X, y)
    model.save(tmp_path / "m.onnx")
    classifier = fv.load(tmp_path / "m.onnx")
    assert classifier.metadata.backbone.features == "depths"
    expected = [one.probability for one in classifier.predict(X)]
    np.testing.assert_allclose(model.predict_proba(X).max(1), expected, atol=1e-4)
    featurizer = fv.ImageFeaturizer(resolution=64, features="depths").fit(X)
    assert featurizer.transform(X[:2]).shape == (2, featurizer.n_features_out_) == (2, 2048)


def test_arrays_and_bytes_as_images(images: tuple[list[str], list[str]]) -> None:
    X, y = images
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in X]
    model = fv.ImageClassifier(resolution=64, c=1.0).fit(arrays, y)
    assert model.score(arrays, y) > 0.9
    data = [Path(path).read_bytes() for path in X]
    assert (model.predict(data) == model.predict(X)).mean() > 0.9


def test_labels_that_are_numbers(images: tuple[list[str], list[str]]) -> None:
    X, y = images
    numbers = [10 if label == "dots" else 9 for label in y]
    model = fv.ImageClassifier(resolution=64, c=1.0).fit(X, numbers)
    assert model.classes_.tolist() == [9, 10]
    assert model.predict_proba(X).shape == (36, 2)
    assert model.decision_function(X).shape == (36,)
    agree = (model.decision_function(X) > 0) == (model.predict(X) == 10)
    assert agree.all()


def test_clone_and_parameters() -> None:
    model = fv.ImageClassifier(c=3.0, resolution=96)
    assert clone(model).get_params() == model.get_params()


def test_saved_file_predicts_the_same(images: tuple[list[str], list[str]], tmp_path: Path) -> None:
    X, y = images
    model = fv.ImageClassifier(resolution=64, c=1.0).fit(X, y)
    model.save(tmp_path / "m.onnx")
    loaded = fv.load(tmp_path / "m.onnx")
    assert [p.label for p in loaded.predict(X)] == model.predict(X).tolist()


def test_bad_image_is_named(images: tuple[list[str], list[str]], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    with pytest.raises(fv.ImageRefused, match=r"bad\.jpg"):
        fv.ImageFeaturizer(resolution=64).fit_transform([*images[0], str(bad)])


def test_a_single_path_is_not_a_sequence_of_images() -> None:
    with pytest.raises(ValueError, match="sequence"):
        fv.ImageFeaturizer().fit("one.jpg")
