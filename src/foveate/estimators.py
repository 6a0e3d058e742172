"""Foveate in scikit-learn's terms: estimators whose X are images.

X is a sequence of paths, URLs, bytes of image files, or pixel arrays (H, W, 3) uint8. They work in
`Pipeline`, `GridSearchCV` and `clone`. Features of files are kept in the user's cache, so a
search that changes the head only computes them once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from foveate import __version__, files
from foveate.backbones import find_backbone
from foveate.catalog import Entry, FactStore, Source, user_cache
from foveate.classifier import ImageLike, image_pixels
from foveate.errors import ImageRefused
from foveate.features import FeatureCache, Featurizer, feature_key, featurize
from foveate.heads import HeadKind, fit_head
from foveate.image import Limits, Resize, ResizeRule
from foveate.model_file import Summary, compose
from foveate.runtime import Precision, open_network
from foveate.settings import FeatureKind, Settings

DEFAULTS = Settings()


class ImageFeaturizer(TransformerMixin, BaseEstimator):
    """Images to features of a frozen, pretrained backbone.

    Args:
        backbone: name of the network.
        resolution: pixels a side.
        resize: "crop" or "squash".
        precision: "auto", "bfloat16" or "float32".
        workers: threads; None is one a core.
        features: "depths" of the network or its "last".

    Attributes:
        n_features_out_: features per image.
    """

    def __init__(
        self,
        backbone: str = DEFAULTS.backbone,
        resolution: int = DEFAULTS.resolution,
        resize: ResizeRule = DEFAULTS.resize,
        precision: Precision = "auto",
        workers: int | None = None,
        features: FeatureKind = DEFAULTS.features,
    ) -> None:
        self.backbone = backbone
        self.features = features
        self.resolution = resolution
        self.resize = resize
        self.precision = precision
        self.workers = workers

    def fit(self, X: Sequence[ImageLike], y: object = None) -> Self:  # noqa: ARG002 - the contract
        """Look the backbone up; there is nothing to learn."""
        _check_images(X)
        backbone = find_backbone(self.backbone, resolution=self.resolution, features=self.features)
        self.n_features_out_ = backbone.card.dimension
        return self

    def transform(self, X: Sequence[ImageLike]) -> NDArray[np.float32]:
        """Features (n, d) of n images.

        Raises:
            ImageRefused: one of them cannot be used; the message names it.
        """
        check_is_fitted(self)
        return _featurize(self, _check_images(X))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:  # noqa: ARG002
        """Names of the features: `efficientnet-lite0_0`, `efficientnet-lite0_1` and so on."""
        check_is_fitted(self)
        names = [f"{self.backbone}_{i}" for i in range(self.n_features_out_)]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        return _image_tags(super().__sklearn_tags__())


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """A head on the features of a frozen backbone, as `foveate train` fits it.

    Args:
        classifier: "svm", "logistic" or "forest".
        c: inverse strength of the regularisation; None chooses it by cross-validation.
        class_weight: None or "balanced".
        backbone: name of the network.
        resolution: pixels a side.
        resize: "crop" or "squash".
        precision: "auto", "bfloat16" or "float32".
        folds: of the cross-validation that chooses C and calibrates.
        trees: of a forest.
        random_state: seed of folds and forest.
        workers: threads; None is one a core.
        features: "depths" of the network or its "last".

    Attributes:
        classes_: (K,) the labels, sorted.
        head_: the fitted head.
    """

    def __init__(
        self,
        classifier: HeadKind = "svm",
        c: float | None = None,
        class_weight: Literal["balanced"] | None = None,
        backbone: str = DEFAULTS.backbone,
        resolution: int = DEFAULTS.resolution,
        resize: ResizeRule = DEFAULTS.resize,
        precision: Precision = "auto",
        folds: int = DEFAULTS.folds,
        trees: int = DEFAULTS.trees,
        random_state: int = 0,
        workers: int | None = None,
        features: FeatureKind = DEFAULTS.features,
    ) -> None:
        self.classifier = classifier
        self.c = c
        self.class_weight = class_weight
        self.backbone = backbone
        self.features = features
        self.resolution = resolution
        self.resize = resize
        self.precision = precision
        self.folds = folds
        self.trees = trees
        self.random_state = random_state
        self.workers = workers

    def fit(self, X: Sequence[ImageLike], y: ArrayLike) -> Self:
        """Fit the head on images X with labels y (n,).

        Raises:
            ImageRefused: an image cannot be used; the message names it.
            ValueError: X and y differ in length.
        """
        X, labels = _check_images(X), np.asarray(y)
        if labels.shape != (len(X),):
            raise ValueError(f"y has the shape {labels.shape}; it must be ({len(X)},).")
        self.classes_, index = np.unique(labels, return_inverse=True)
        names = [str(label) for label in self.classes_]
        self.head_ = fit_head(
            _featurize(self, X),
            [names[i] for i in index],
            kind=self.classifier,
            c_grid=DEFAULTS.c if self.c is None else (self.c,),
            class_weight=self.class_weight,
            folds=self.folds,
            trees=self.trees,
            seed=self.random_state,
            label_order=names,
        )
        self._n_train = len(X)
        return self

    def predict_proba(self, X: Sequence[ImageLike]) -> NDArray[np.float32]:
        """Probabilities (n, K), columns as in `classes_`."""
        check_is_fitted(self)
        probabilities: NDArray[np.float32] = self.head_.probabilities(
            _featurize(self, _check_images(X))
        )
        return probabilities

    def decision_function(self, X: Sequence[ImageLike]) -> NDArray[np.float32]:
        """Scores (n, K), or (n,) for two labels, as scikit-learn wants it."""
        check_is_fitted(self)
        scores: NDArray[np.float32] = self.head_.scores(_featurize(self, _check_images(X)))
        return scores[:, 1] if len(self.classes_) == 2 else scores

    def predict(self, X: Sequence[ImageLike]) -> NDArray[np.generic]:
        """The most probable label of each image (n,)."""
        best: NDArray[np.generic] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return best

    def save(self, path: str | Path) -> None:
        """Write the one-file classifier that `foveate predict` and any ONNX runtime read."""
        check_is_fitted(self)
        backbone = find_backbone(self.backbone, features=self.features)
        summary = Summary(
            classifier=self.head_.kind,
            c=self.head_.c,
            n_train=self._n_train,
            n_test=0,
            seed=self.random_state,
            foveate=__version__,
        )
        resize = Resize(self.resolution, self.resize)
        data = compose(
            backbone.onnx_bytes(), self.head_, backbone.card, resize, summary, trained_on=()
        )
        files.write_bytes(Path(path), data)

    def __sklearn_tags__(self) -> Tags:
        return _image_tags(super().__sklearn_tags__())


def _image_tags(tags: Tags) -> Tags:
    tags.input_tags.two_d_array = False
    tags.input_tags.string = True
    tags.no_validation = True
    return tags


def _check_images(X: Sequence[ImageLike]) -> Sequence[ImageLike]:
    if isinstance(X, str | bytes | Path):
        raise ValueError("X must be a sequence of images, not a single one.")
    if len(X) == 0:
        raise ValueError("X holds no images.")
    return X


def _featurize(
    estimator: ImageFeaturizer | ImageClassifier, X: Sequence[ImageLike]
) -> NDArray[np.float32]:
    backbone = find_backbone(
        estimator.backbone, resolution=estimator.resolution, features=estimator.features
    )
    resize = Resize(estimator.resolution, estimator.resize)
    network = open_network(
        backbone.onnx_bytes(),
        resolution=resize.resolution,
        precision=estimator.precision,
        workers=estimator.workers,
    )
    if not all(isinstance(image, str | Path) for image in X):
        pixels = [image_pixels(image, resize) for image in X]
        return network.run(np.stack(pixels))
    key = feature_key(backbone.card, resize, network.precision)
    cache = FeatureCache(user_cache() / "features" / key, backbone.card.dimension)
    entries = tuple(Entry(files.file_entry(str(path)), None, None) for path in X)
    catalog, _ = featurize(
        Source("", None, entries, ()),
        FactStore(None),
        Featurizer(network, resize, cache),
        limits=Limits(),
        workers=estimator.workers,
    )
    for row in catalog.quarantine:
        if row.facts.reason is not None:
            raise ImageRefused(row.facts.reason, f"{row.path}: {row.facts.detail}")
    return cache.load([row.facts.id for row in catalog.rows])
