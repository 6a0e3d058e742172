"""Fit heads on a cluster, on features that lie in a DataFrame.

The answers are the local ones. Rows are brought to unit length first, C is chosen on a sample on
the driver by the code that does so without a cluster, and the result is a `Head` of plain arrays.

- Logistic regression minimises the very objective of `heads.LogisticRegression`.
- So does the SVM that of `heads.LinearSVM`, by passes of our own over the rows; see `svm`.
- The forest splits at 31 quantiles of a feature rather than anywhere, and is bounded by its depth
  rather than by its leaves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from foveate.errors import ClusterError
from foveate.heads import Head, fit_head, unit_rows
from foveate.heads.calibration import DEFAULT_TEMPERATURE, fit_temperature
from foveate.heads.folds import deal_folds
from foveate.heads.forest import FEWEST_TREES, log_shares
from foveate.heads.trees import TreeForest
from foveate.settings import Settings
from foveate.spark.cluster.failures import in_a_sentence
from foveate.spark.heads.svm import fit_squared_hinge
from foveate.spark.heads.trees import read_trees
from foveate.spark.heads.vectors import as_vectors, kept, mirror

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_COLUMNS: Mapping[str, Any] = {"featuresCol": "features", "labelCol": "code", "weightCol": "weight"}
# L-BFGS, which knows the curvature only from its last ten steps, needs hundreds of passes over
# 1,280 features where C is large; without an end to them it would go on for the last digits. On
# 1,575 images of 21 labels its objective is then 1e-7 (C = 1) or 2e-6 (C = 30) above the minimum,
# and probabilities of other images are within 0.0001 or 0.0013 of those there.
_LOGISTIC: Mapping[str, Any] = {"family": "multinomial", "tol": 1e-6, "maxIter": 300}
# On 1,575 images of 21 labels, forests of depth 8 were right for 89 % of others, of depth 12 and 16
# for 92 %; Spark's own depth is 5.
_FOREST: Mapping[str, Any] = {"maxDepth": 12, "featureSubsetStrategy": "sqrt"}
# An image is out of the bag of this share of the trees, which is how many of them calibrate a
# forest that is fitted locally.
_OUT_OF_BAG = math.exp(-1)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Training rows on the driver, for all that takes few rows and many fits.

    Attributes:
        rows: (m,) int64, the `row` of each in the DataFrame.
        features: (m, d) float32, not normalised.
        codes: (m,) positions of their labels; every label is there.
        groups: (m,) rows with equal numbers are near duplicates. A group is in the sample as a
            whole or not at all.
    """

    rows: NDArray[np.int64]
    features: NDArray[np.float32]
    codes: NDArray[np.intp]
    groups: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class LinearWeights:
    """A linear head on rows of unit length.

    Attributes:
        coef_: (K, d) float32; (1, d) of an SVM of two labels.
        intercept_: (K,) or (1,) float32.
    """

    coef_: NDArray[np.float32]
    intercept_: NDArray[np.float32]

    @classmethod
    def of(cls, weights: NDArray[np.float64]) -> LinearWeights:
        """From (K, d + 1) or (1, d + 1) weights, the intercepts last."""
        narrow = weights.astype(np.float32)
        return cls(np.ascontiguousarray(narrow[:, :-1]), narrow[:, -1].copy())


@dataclass(frozen=True, slots=True, eq=False)
class SparkFit:
    """What was fitted.

    Attributes:
        head: as plain arrays.
        model: the same as Spark's own model, on what `vectors.as_vectors` makes of rows; lives as
            long as the session.
    """

    head: Head
    model: Any


def fit_on_spark(
    data: DataFrame, labels: Sequence[str], sample: Sample, settings: Settings
) -> SparkFit:
    """Fit `settings.head` on all rows of a DataFrame.

    C is chosen, and the temperature of a linear head fitted, by cross-validation on the sample;
    see `heads.fit_head`. The temperature of a forest comes from a fold of the sample that a first,
    smaller forest on all other rows has not seen. Where no group of a label can be held out, both
    are defaults.

    Rows are kept on the workers (memory, then disk) while they are fitted on: 4 bytes for each
    feature for the SVM, 8 for a forest, and 16 for logistic regression, of which Spark itself
    keeps the second copy.

    Args:
        data: columns `row` (long, unique), `features` (array of float, not normalised), `code`
            (int, position in `labels`) and `weight` (double, > 0, class weights included).
        labels: in the order of the columns of scores; two or more.
        sample: some of the rows.
        settings: `head`, `c`, `class_weight`, `folds`, `trees` and `seed` are looked at.

    Raises:
        ClusterError: Spark failed.
        ValueError: the sample lacks a label.
    """
    if not np.array_equal(np.unique(sample.codes), np.arange(len(labels))):
        raise ValueError("the sample must hold every label")
    fit = {"svm": _fit_svm, "logistic": _fit_logistic, "forest": _fit_forest}[settings.head]
    with _failures_in_words():
        return fit(data, tuple(labels), sample, settings)


def regularisation(c: float, total_weight: float) -> float:
    """Spark's regParam that means C.

    Ours is ½‖W‖² + C Σ wᵢ lossᵢ. Spark ML's, in `LogisticRegression` with elasticNetParam 0
    and standardization off, is Σ wᵢ lossᵢ / Σ wᵢ + ½ regParam ‖W‖² (its guide,
    "Linear methods", and RDDLossFunction and L2Regularization in its source). Divided by C Σ wᵢ
    ours is that one with regParam = 1 / (C Σ wᵢ).

    Args:
        c: C, > 0.
        total_weight: Σ wᵢ over all rows.
    """
    return 1 / (c * total_weight)


def _choose(sample: Sample, labels: tuple[str, ...], settings: Settings) -> tuple[Head, float]:
    """A linear head on the sample alone, and its C."""
    head = fit_head(
        sample.features,
        np.array(labels)[sample.codes],
        kind=settings.head,
        c_grid=settings.c,
        class_weight=None if settings.class_weight == "none" else settings.class_weight,
        folds=settings.folds,
        seed=settings.seed,
        groups=sample.groups,
        label_order=labels,
    )
    return head, cast(float, head.c)  # only a forest has none


def _weights_of(head: Head) -> NDArray[np.float64]:
    """(K, d + 1) or (1, d + 1) weights of a linear head, the intercepts last."""
    coef, intercept = head.estimator.coef_, head.estimator.intercept_
    return np.hstack([coef, intercept[:, None]]).astype(np.float64)


def _fit_svm(
    data: DataFrame, labels: tuple[str, ...], sample: Sample, settings: Settings
) -> SparkFit:
    head, c = _choose(sample, labels, settings)
    with kept(data) as rows:
        estimator = LinearWeights.of(
            fit_squared_hinge(
                rows,
                _weights_of(head),
                unit_rows(sample.features),
                sample.codes,
                c=c,
                total_weight=_total_weight(rows),
            )
        )
    return SparkFit(replace(head, estimator=estimator, held_out_right=None), _svm_model(estimator))


def _svm_model(estimator: LinearWeights) -> Any:
    """Spark's model of the same weights, as its LinearSVC and OneVsRest would return it."""
    from pyspark.ml.classification import LinearSVCModel, OneVsRestModel
    from pyspark.ml.common import _py2java
    from pyspark.ml.linalg import Vectors
    from pyspark.ml.wrapper import JavaWrapper
    from pyspark.sql import SparkSession

    context = SparkSession.active().sparkContext
    models: list[Any] = []
    for number, row in enumerate(estimator.coef_.astype(np.float64)):
        java = JavaWrapper._new_java_obj(
            "org.apache.spark.ml.classification.LinearSVCModel",
            f"foveate_svm_{number}",
            _py2java(context, Vectors.dense(row)),
            float(estimator.intercept_[number]),
        )
        models.append(LinearSVCModel(java))
    return models[0] if len(models) == 1 else OneVsRestModel(models)


def _fit_logistic(
    data: DataFrame, labels: tuple[str, ...], sample: Sample, settings: Settings
) -> SparkFit:
    from pyspark.ml.classification import LogisticRegression

    head, c = _choose(sample, labels, settings)
    with kept(as_vectors(data, mirrored=True)) as rows:
        fitter: Any = LogisticRegression(
            **_COLUMNS,
            **_LOGISTIC,
            regParam=regularisation(c, _total_weight(rows)),
            standardization=False,
            fitIntercept=False,  # see `mirror`
        )
        fitter._java_obj.setInitialModel(_logistic_model(mirror(_weights_of(head))))
        model = fitter.fit(rows)
    estimator = LinearWeights.of(mirror(model.coefficientMatrix.toArray()))
    return SparkFit(replace(head, estimator=estimator, held_out_right=None), model)


def _logistic_model(weights: NDArray[np.float64]) -> Any:
    """Spark's model, on the side of Java, of (K, d + 1) weights without intercepts."""
    from pyspark.ml.classification import LogisticRegressionModel
    from pyspark.ml.common import _py2java
    from pyspark.ml.linalg import DenseMatrix, Vectors
    from pyspark.ml.wrapper import JavaWrapper
    from pyspark.sql import SparkSession

    context = SparkSession.active().sparkContext
    by_columns = DenseMatrix(weights.shape[0], weights.shape[1], weights.ravel("F"))
    model = LogisticRegressionModel(
        JavaWrapper._new_java_obj(
            "org.apache.spark.ml.classification.LogisticRegressionModel",
            "foveate_logistic",
            _py2java(context, by_columns),
            _py2java(context, Vectors.dense(np.zeros(len(weights)))),
            len(weights),
            True,
        )
    )
    model._set(fitIntercept=False)
    model._transfer_params_to_java()
    return model._java_obj


def _total_weight(rows: DataFrame) -> float:
    (total,) = rows.agg({"weight": "sum"}).collect()[0]
    return float(total)


def _fit_forest(
    data: DataFrame, labels: tuple[str, ...], sample: Sample, settings: Settings
) -> SparkFit:
    from pyspark.ml.classification import RandomForestClassifier
    from pyspark.sql.functions import col

    def grow(rows: DataFrame, trees: int) -> tuple[Any, TreeForest]:
        grower = RandomForestClassifier(**_COLUMNS, **_FOREST, numTrees=trees, seed=settings.seed)
        model = grower.fit(rows)
        return model, read_trees(model)

    dealt = deal_folds(
        sample.codes, groups=sample.groups, folds=settings.folds, repeats=1, seed=settings.seed
    )
    temperature, accuracy = DEFAULT_TEMPERATURE["forest"], None
    with kept(as_vectors(data, mirrored=False)) as rows:
        if dealt is not None:
            held = dealt[0] == 0
            others = rows.filter(~col("row").isin(sample.rows[held].tolist()))
            _, small = grow(others, max(FEWEST_TREES, round(_OUT_OF_BAG * settings.trees)))
            scores = log_shares(small.predict_proba(unit_rows(sample.features[held])))
            temperature = fit_temperature(scores, sample.codes[held])
            accuracy = float((scores.argmax(1) == sample.codes[held]).mean())
        model, forest = grow(rows, settings.trees)
    return SparkFit(Head("forest", labels, None, forest, temperature, (), accuracy), model)


@contextmanager
def _failures_in_words() -> Iterator[None]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException) as error:
        raise ClusterError(
            in_a_sentence(
                error,
                "Spark failed while it fitted the classifier: {cause}. If executors ran out of "
                "memory, give the target more `memory` or more executors; their logs on the "
                "workers say more.",
            )
        ) from error
