"""Fit a calibrated head on features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight

from foveate.errors import SettingsError, TooFewImages
from foveate.settings import Settings

from .basis import Basis
from .calibration import DEFAULT_TEMPERATURE, fit_temperature
from .folds import deal_folds
from .forest import FEWEST_TREES, fit_forest, log_shares
from .linear import ClassWeight, LinearSVM, LogisticRegression
from .loss import Rows
from .norm import softmax, unit_rows
from .search import SearchPoint, one_column_each, search_c

HeadKind = Literal["svm", "logistic", "forest"]
"""What can be fitted on features."""

DEFAULT_C: Mapping[str, float] = {"svm": 1.0, "logistic": 10.0}
"""C where no image could be held out to choose it, or the nearest in the grid. Logistic regression
wants more on features of unit length: its loss is flatter."""

# On a few hundred images the luck of one deal decides between values of C. On 80 overlapping
# splits of three sets of about 500, four deals were better by 0.0, 0.3 and 0.3 points.
_REPEATS = 4
_SMALL = 1000
# Above this many rows, C is chosen on a part of them: the choice between powers of ten does not
# need more, and the search is by far the longest part of a fit.
_SEARCHED = 5000

_DEFAULTS = Settings()

_LINEAR = {"svm": LinearSVM, "logistic": LogisticRegression}


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted, calibrated head.

    Attributes:
        kind: which learner; "dnn" is the last layer of a network that was trained with it.
        labels: in the order of the columns of scores and probabilities.
        c: the chosen C; None for a forest.
        estimator: a fitted scikit-learn estimator on features of unit length, whose classes are
            positions in `labels`; of "dnn" a `LastLayer`, on features as they are.
        temperature: probabilities are softmax(scores / temperature), which never changes the
            predicted label.
        search: what the search over C saw; empty where there was none.
        held_out_accuracy: accuracy in [0, 1] on training images that the fit did not see (mean
            over the folds; out of bag for a forest); None where none could be held out.
        held_out_right: (n,) float32, the same image by image: the share of the fits without it
            that were right; NaN for an image that was not held out. None where none was.
    """

    kind: HeadKind | Literal["dnn"]
    labels: tuple[str, ...]
    c: float | None
    estimator: Any
    temperature: float
    search: tuple[SearchPoint, ...]
    held_out_accuracy: float | None
    held_out_right: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (n, K) float32 of (n, d) float32 features, which need not be normalised."""
        if self.kind == "forest":
            return log_shares(self.estimator.predict_proba(unit_rows(features)))
        unit = features if self.kind == "dnn" else unit_rows(features)
        return one_column_each(unit @ self.estimator.coef_.T + self.estimator.intercept_)

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (n, K) float32 of (n, d) float32 features; rows sum to 1."""
        return softmax(self.scores(features) / np.float32(self.temperature))


def fit_head(
    features: NDArray[np.float32],
    labels: Sequence[str] | NDArray[np.str_],
    *,
    kind: HeadKind = "svm",
    c_grid: Sequence[float] = _DEFAULTS.c,
    class_weight: ClassWeight = None,
    folds: int = _DEFAULTS.folds,
    seed: int = 0,
    trees: int = _DEFAULTS.trees,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    label_order: Sequence[str] | None = None,
    held_out: NDArray[np.bool_] | None = None,
) -> Head:
    """Choose C, fit on all rows, and calibrate; all inside these training images.

    C is chosen by cross-validation, and the temperature fitted to the held-out scores at that C
    (of a forest, which has no C, to its out-of-bag scores). Where a label has a single image or
    group, nothing can be held out: C is then the one nearest to a default, the temperature is a
    default, and `Head.search` is empty.

    Args:
        features: (n, d) float32, not normalised.
        labels: (n,) the label of each row.
        kind: "svm", "logistic" or "forest".
        c_grid: the values of C to try.
        class_weight: weights by label (1 where it names none); "balanced" gives every label the
            same total.
        folds: of the cross-validation, on about 5,000 rows where there are more; fewer where a
            label has fewer images. Below 1,000 images they are dealt four times.
        seed: of the folds and of the forest.
        trees: of the forest.
        groups: (n,) rows with equal values are near duplicates: never in different folds, and
            left out of the calibration of a forest, whose bags they would straddle.
        label_order: the order of the columns; sorted where None.
        held_out: (n,) the rows that C and temperature are chosen on, by a fit to the others,
            instead of by cross-validation: where what made the features has itself learned the
            others. Not for a forest.

    Raises:
        TooFewImages: there are fewer than two labels.
        SettingsError: an argument is out of range.
        ValueError: the features are not (n, d) finite numbers with one label for each row.
    """
    _check_settings(kind, c_grid, folds, trees)
    names, codes = encode(labels, label_order)
    if features.ndim != 2 or len(features) != len(codes):
        raise ValueError(f"features {features.shape} do not match {len(codes)} labels")
    unit = unit_rows(np.asarray(features, np.float32))
    if not np.isfinite(unit.sum()):
        raise ValueError("features must be finite")
    group = np.arange(len(codes)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(group) != len(codes):
        raise ValueError(f"{len(group)} groups do not match {len(codes)} labels")
    weight = _encode_class_weight(class_weight, names)
    if kind == "forest":
        return _fit_forest(unit, codes, names, weight, group, trees=trees, seed=seed)

    row_weights = compute_sample_weight(weight, codes).astype(np.float32)
    repeats = _REPEATS if len(codes) < _SMALL else 1
    part = rows_to_search(codes, group, folds, seed)
    dealt, held = _deal(codes, group, part, held_out, folds=folds, repeats=repeats, seed=seed)
    chosen = right = None
    if dealt is not None:
        searched = Rows(codes[part], len(names), row_weights[part], dealt)
        loss = _LINEAR[kind].loss
        chosen = search_c(Basis.of(unit[part]), searched, loss=loss, c_grid=c_grid, held=held)
        unseen = slice(None) if held is None else np.isin(dealt[0], held)
        temperature = fit_temperature(chosen.scores[unseen], codes[part][unseen])
        right = _spread(chosen.right[unseen], part[unseen], len(codes))
    basis = Basis.of(unit)
    del unit  # the basis holds a copy; on 30,000 images each is 150 MB
    whole = Rows.in_one_fold(codes, len(names), row_weights)
    c = chosen.c if chosen else min(c_grid, key=lambda c: abs(math.log(c / DEFAULT_C[kind])))
    estimator = _LINEAR[kind](c, class_weight=weight)
    return Head(
        kind=kind,
        labels=names,
        c=c,
        estimator=estimator.fit_rows(basis, whole, np.arange(len(names))),
        temperature=temperature if chosen else DEFAULT_TEMPERATURE[kind],
        search=chosen.points if chosen else (),
        held_out_accuracy=max(point.accuracy for point in chosen.points) if chosen else None,
        held_out_right=right,
    )


def _deal(
    codes: NDArray[np.intp],
    group: NDArray[np.intp],
    part: NDArray[np.intp],
    held_out: NDArray[np.bool_] | None,
    *,
    folds: int,
    repeats: int,
    seed: int,
) -> tuple[NDArray[np.intp] | None, NDArray[np.intp] | None]:
    """Folds of some rows, and which of the folds to hold out; None for all."""
    if held_out is None or not held_out[part].any():
        return deal_folds(
            codes[part], groups=group[part], folds=folds, repeats=repeats, seed=seed
        ), None
    return np.where(held_out[part], 0, 1)[None], np.array([0])


def rows_to_search(
    codes: NDArray[np.intp], group: NDArray[np.intp], folds: int, seed: int
) -> NDArray[np.intp]:
    """Rows (m,) that C is chosen on: all, or of many about 5,000, whole groups of each label.

    Args:
        codes: (n,) positions of their labels.
        group: (n,) rows with equal numbers are near duplicates.
        folds: of the cross-validation; each label keeps twice as many groups where it has them.
        seed: of the choice.
    """
    if len(codes) <= _SEARCHED:
        return np.arange(len(codes))
    rng = np.random.default_rng(seed)
    share = _SEARCHED / len(codes)
    chosen: list[NDArray[np.intp]] = []
    for code in np.unique(codes):
        groups = rng.permutation(np.unique(group[codes == code]))
        chosen.append(groups[: max(round(share * len(groups)), 2 * folds)])
    return np.flatnonzero(np.isin(group, np.concatenate(chosen)))


def _fit_forest(
    unit: NDArray[np.float32],
    codes: NDArray[np.intp],
    names: tuple[str, ...],
    class_weight: dict[int, float] | Literal["balanced"] | None,
    group: NDArray[np.intp],
    *,
    trees: int,
    seed: int,
) -> Head:
    estimator = fit_forest(unit, codes, class_weight=class_weight, trees=trees, seed=seed)
    alone = np.bincount(group)[group] == 1
    temperature, accuracy, right = DEFAULT_TEMPERATURE["forest"], None, None
    if alone.any():
        held_out = log_shares(estimator.oob_decision_function_[alone])
        temperature = fit_temperature(held_out, codes[alone])
        hits = held_out.argmax(1) == codes[alone]
        accuracy = float(hits.mean())
        right = _spread(hits.astype(np.float32), np.flatnonzero(alone), len(codes))
    return Head("forest", names, None, estimator, temperature, (), accuracy, right)


def _spread(values: NDArray[np.float32], rows: NDArray[np.intp], n: int) -> NDArray[np.float32]:
    """Values of some of n rows as (n,) float32, NaN for the others."""
    every = np.full(n, np.nan, np.float32)
    every[rows] = values
    return every


def _check_settings(kind: str, c_grid: Sequence[float], folds: int, trees: int) -> None:
    if kind not in get_args(HeadKind):
        raise SettingsError(f"no head is called ‘{kind}’; choose svm, logistic or forest")
    if not c_grid or not all(0 < c < np.inf for c in c_grid):
        raise SettingsError(f"C must be tried at one positive number or more, not {c_grid}")
    if folds < 2:
        raise SettingsError(f"cross-validation needs 2 folds or more, not {folds}")
    if kind == "forest" and trees < FEWEST_TREES:
        raise SettingsError(
            f"a forest of {trees} trees cannot be calibrated; it takes {FEWEST_TREES} or more"
        )


def encode(
    labels: Sequence[str] | NDArray[np.str_], label_order: Sequence[str] | None = None
) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """The labels in the order of the columns, and the column (n,) of each row.

    Args:
        labels: (n,) the label of each row.
        label_order: the order of the columns; sorted where None.

    Raises:
        TooFewImages: there are fewer than two labels.
        SettingsError: the order does not name each label once.
    """
    names, codes = np.unique(np.asarray(labels, np.str_), return_inverse=True)
    if len(names) < 2:
        seen = f"all {len(codes)} images are ‘{names[0]}’" if len(names) else "there are no images"
        raise TooFewImages(f"A classifier tells labels apart, but {seen}. Add a second label.")
    if label_order is None:
        return tuple(names.tolist()), codes
    if sorted(label_order) != names.tolist():
        raise SettingsError(
            f"the label order names {', '.join(label_order)}, "
            f"but the images are labelled {', '.join(names)}; name each of these once"
        )
    column = np.array([label_order.index(label) for label in names])
    return tuple(label_order), column[codes]


def weights_of(
    class_weight: Literal["none", "balanced"], codes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """The weight (n,) of each row, as the setting `class_weight` wants it."""
    weight = None if class_weight == "none" else class_weight
    weights: NDArray[np.float64] = compute_sample_weight(weight, codes)
    return weights


def _encode_class_weight(
    class_weight: ClassWeight, names: tuple[str, ...]
) -> dict[int, float] | Literal["balanced"] | None:
    """The class weight by column instead of by label."""
    if class_weight is None or class_weight == "balanced":
        return class_weight
    if not isinstance(class_weight, Mapping):
        raise SettingsError(f"class_weight is ‘balanced’ or a weight by label, not {class_weight}")
    if unknown := sorted(set(class_weight) - set(names)):
        raise SettingsError(
            f"class_weight names ‘{unknown[0]}’, which no training image is labelled; "
            f"the labels are {', '.join(names)}"
        )
    if not all(0 < weight < np.inf for weight in class_weight.values()):
        raise SettingsError("class_weight must be positive for every label")
    return {code: float(class_weight.get(name, 1.0)) for code, name in enumerate(names)}


@dataclass(frozen=True, slots=True)
class LastLayer:
    """A linear layer on features as they are, not brought to unit length.

    Attributes:
        coef_: (K, d) float32.
        intercept_: (K,) float32.
    """

    coef_: NDArray[np.float32]
    intercept_: NDArray[np.float32]


def head_of_last_layer(
    labels: tuple[str, ...],
    layer: LastLayer,
    held_out: NDArray[np.float32],
    codes: NDArray[np.intp],
) -> Head:
    """A calibrated head.

    Args:
        labels: in the order of the layer's rows.
        layer: the trained layer.
        held_out: (m, K) float32 scores of images that it was not trained on; m may be 0, and the
            temperature is then 1, which is what the layer was trained with.
        codes: (m,) positions of their labels.
    """
    if len(codes) == 0:
        return Head("dnn", labels, None, layer, 1.0, (), None)
    accuracy = float((held_out.argmax(1) == codes).mean())
    return Head("dnn", labels, None, layer, fit_temperature(held_out, codes), (), accuracy)
