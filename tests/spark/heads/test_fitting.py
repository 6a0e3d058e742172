"""Heads that Spark ML fitted: the same as the file that comes of them, and as the local ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight

from foveate.errors import ClusterError
from foveate.heads import (
    Head,
    LinearSVM,
    LogisticRegression,
    encode,
    fit_head,
    unit_rows,
    weights_of,
)
from foveate.heads.basis import Basis
from foveate.heads.forest import log_shares
from foveate.heads.loss import NOTHING_HELD, Rows, SquaredHinge
from foveate.heads.norm import softmax
from foveate.settings import Settings
from foveate.spark.heads import svm
from foveate.spark.heads.fitting import (
    Sample,
    SparkFit,
    fit_on_spark,
    regularisation,
)
from foveate.spark.heads.svm import Scaling, sum_rows
from foveate.spark.heads.trees import parse_tree
from foveate.spark.heads.vectors import as_vectors, mirror, ready_rows
from support.exported_heads import run
from support.point_clusters import clusters

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 200
DIMENSION = 16


def spark_predictions(fit: SparkFit, data: DataFrame) -> DataFrame:
    """What Spark's own model says about each row.

    Args:
        fit: from `fit_on_spark`.
        data: columns as there.

    Returns:
        Columns `row`, `predicted` (int, position of the label) and `scores` (array of double): the
        scores of a linear head, the mean shares of a forest's trees.
    """
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql.functions import col

    scores = "probability" if fit.head.kind == "forest" else "rawPrediction"
    answers: DataFrame = fit.model.transform(as_vectors(data, mirrored=fit.head.kind == "logistic"))
    return answers.select(
        "row",
        col("prediction").cast("int").alias("predicted"),
        vector_to_array(col(scores)).alias("scores"),
    )


@given(st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_a_mirror_keeps_inner_products_and_undoes_itself(d: int, seed: int) -> None:
    rows, weights = np.random.default_rng(seed).standard_normal((2, 5, d + 1))
    np.testing.assert_allclose(mirror(rows) @ mirror(weights).T, rows @ weights.T, atol=1e-9)
    np.testing.assert_allclose(mirror(mirror(rows)), rows, atol=1e-12)


def test_no_column_is_constant_in_the_mirror() -> None:
    features, _ = clusters(50, DIMENSION, 3)
    features[:, 5] = 0  # a dead feature
    rows = np.hstack([unit_rows(features), np.ones((50, 1))])
    assert mirror(rows).std(0).min() > 1e-3


@given(st.floats(1e-4, 100), st.integers(0, 100))
def test_sparks_objective_is_ours_but_for_a_factor(c: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, losses, square = rng.random(9) + 0.1, rng.random(9), rng.random()
    ours = square / 2 + c * (weights * losses).sum()
    penalty = regularisation(c, weights.sum())
    sparks = (weights * losses).sum() / weights.sum() + penalty * square / 2
    assert sparks * c * weights.sum() == pytest.approx(ours)


def test_a_worker_makes_the_very_rows_of_a_local_head() -> None:
    features, _ = clusters(40, 7, 2)
    batch = pa.RecordBatch.from_pydict(
        {
            "row": pa.array(range(40)),
            "features": pa.array(list(features), pa.list_(pa.float32())),
            "code": pa.array(np.zeros(40)),
            "weight": pa.array(np.ones(40)),
        }
    )
    (made,) = ready_rows(iter([batch.slice(3, 30)]), mirrored=False)
    rows = np.array(made["features"].to_pylist())
    np.testing.assert_array_equal(rows, unit_rows(features[3:33]))
    assert made["row"].to_pylist() == list(range(3, 33))
    (turned,) = ready_rows(iter([batch]), mirrored=True)
    assert np.array(turned["features"].to_pylist()).shape == (40, 8)


def test_rows_without_features_are_refused() -> None:
    columns = [pa.array([1]), pa.array([None], pa.list_(pa.float32())), *[pa.array([1.0])] * 2]
    batch = pa.RecordBatch.from_arrays(columns, names=["row", "features", "code", "weight"])
    with pytest.raises(ValueError, match="must have features"):
        list(ready_rows(iter([batch]), mirrored=False))


def node(
    id_: int, left: int, right: int, stats: list[float], category: int = -1
) -> dict[str, object]:
    threshold = [0.1] if left >= 0 else []
    split = {"featureIndex": 2, "leftCategoriesOrThreshold": threshold, "numCategories": category}
    return {
        "id": id_,
        "leftChild": left,
        "rightChild": right,
        "impurityStats": stats,
        "split": split,
    }


def test_nodes_become_a_tree_whatever_their_order() -> None:
    nodes = [node(2, -1, -1, [1, 0]), node(0, 1, 2, [2, 3]), node(1, -1, -1, [1, 3])]
    tree = parse_tree(json.dumps(nodes))
    assert tree.left.tolist() == [1, -1, -1]
    assert tree.threshold[0] == 0.1
    np.testing.assert_array_equal(tree.shares, [[0, 0], [0.25, 0.75], [1, 0]])


def test_a_tree_of_categories_is_refused() -> None:
    nodes = [node(0, 1, 2, [2, 3], 4), node(1, -1, -1, [1, 3]), node(2, -1, -1, [1, 0])]
    with pytest.raises(ValueError, match="compares a category"):
        parse_tree(json.dumps(nodes))


def test_weights_are_those_of_scikit_learn() -> None:
    codes = np.array([0, 0, 0, 1])
    np.testing.assert_array_equal(weights_of("none", codes), np.ones(4))
    np.testing.assert_array_equal(
        weights_of("balanced", codes), compute_sample_weight("balanced", codes)
    )


def batch_of(
    features: NDArray[np.float32], codes: NDArray[np.intp], weights: NDArray[np.float64]
) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "features": pa.array(list(features), pa.list_(pa.float32())),
            "code": pa.array(codes.astype(np.int32)),
            "weight": pa.array(weights),
        }
    )


@pytest.mark.parametrize("n_labels", [2, 4])
def test_workers_sum_the_loss_of_the_local_svm(n_labels: int) -> None:
    features, labels = clusters(70, 9, n_labels)
    codes = encode(labels)[1]
    rng = np.random.default_rng(0)
    weights = rng.random(70)
    at = rng.standard_normal((n_labels if n_labels > 2 else 1, 10)).astype(np.float32)
    batch = batch_of(features, codes, weights)
    (sums,) = sum_rows(iter([batch.slice(0, 30), batch.slice(30)]), weights=at)
    rows = np.hstack([unit_rows(features), np.ones((70, 1), np.float32)])
    known = Rows.in_one_fold(codes, n_labels, weights.astype(np.float32))
    local = SquaredHinge.of(known, NOTHING_HELD).at((at @ rows.T)[:, None])
    assert sums["loss"][0].as_py() == pytest.approx(local.value.sum(), rel=1e-5)
    slope = np.frombuffer(sums["slope"][0].as_py()).reshape(at.shape)
    np.testing.assert_allclose(slope, local.slope[:, 0] @ rows, rtol=1e-4, atol=1e-4)


def test_a_worker_without_rows_sums_to_nothing() -> None:
    (sums,) = sum_rows(iter([]), weights=np.ones((3, 5), np.float32))
    assert sums["loss"].to_pylist() == [0.0]
    assert not np.frombuffer(sums["slope"][0].as_py()).any()


def test_the_scaling_undoes_itself_and_flattens_what_is_steep() -> None:
    features, labels = clusters(60, 9, 3)
    unit = unit_rows(features)
    start = np.random.default_rng(0).standard_normal((3, 10))
    scaling = Scaling.of(unit, encode(labels)[1], start, c=2.0, total_weight=600.0)
    np.testing.assert_allclose(scaling.shrunk(scaling.stretched(start)), start, atol=1e-5)
    steepest = Basis.of(unit).axes[-1:].astype(np.float64).repeat(3, 0)
    assert (np.linalg.norm(scaling.shrunk(steepest), axis=1) < 0.1).all()


def test_the_descent_ends_at_the_local_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = clusters(ROWS, DIMENSION, 3, spread=2)
    codes = encode(labels)[1]
    batch = batch_of(features, codes, np.ones(ROWS))
    passes = []

    def here(data: object, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        passes.append(data)
        (sums,) = sum_rows(iter([batch]), weights=weights.astype(np.float32))
        slope = np.frombuffer(sums["slope"][0].as_py()).reshape(weights.shape)
        return sums["loss"][0].as_py(), slope

    monkeypatch.setattr(svm, "_sums", here)
    part = unit_rows(features[:60])
    alone = LinearSVM(10.0).fit(part, codes[:60])
    found = svm.fit_squared_hinge(
        None,  # type: ignore[arg-type]
        np.hstack([alone.coef_, alone.intercept_[:, None]]).astype(np.float64),
        part,
        codes[:60],
        c=10.0,
        total_weight=ROWS,
    )
    local = LinearSVM(10.0, tol=1e-8).fit(unit_rows(features), codes)
    assert 1 < len(passes) < 40
    scores = unit_rows(features) @ found[:, :-1].T + found[:, -1]
    np.testing.assert_allclose(scores, local.decision_function(unit_rows(features)), atol=0.05)


class Problem:
    """Generated rows, locally and on the cluster."""

    def __init__(self, session: SparkSession, n_labels: int) -> None:
        self.features, labels = clusters(ROWS, DIMENSION, n_labels, spread=2)
        self.labels, self.codes = encode(labels)
        self.weights = np.where(self.codes == 0, 2.0, 1.0)
        self.session = session
        self.sample = self.sample_of(ROWS)

    def sample_of(self, m: int) -> Sample:
        part = np.arange(m)
        return Sample(part, self.features[:m], self.codes[:m], part)

    def fit_on_the_sample(self, kind: str) -> Head:
        names = np.array(self.labels)[self.sample.codes]
        return fit_head(self.sample.features, names, kind=kind, c_grid=[1.0])

    def data(self) -> DataFrame:
        table = pa.table(
            {
                "row": pa.array(np.arange(ROWS)),
                "features": pa.array(list(self.features), pa.list_(pa.float32())),
                "code": pa.array(self.codes.astype(np.int32)),
                "weight": pa.array(self.weights),
            }
        )
        return self.session.createDataFrame(table).repartition(2)

    def fit(self, **settings: object) -> SparkFit:
        return fit_on_spark(
            self.data(), self.labels, self.sample, Settings.model_validate(settings)
        )

    def said(self, fit: SparkFit) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Predicted codes and scores by Spark's own model, in the order of the rows."""
        table = spark_predictions(fit, self.data()).toArrow().sort_by("row")
        assert table["row"].to_pylist() == list(range(ROWS))
        return table["predicted"].to_numpy(), np.array(table["scores"].to_pylist())


def assert_the_file_says_the_same(problem: Problem, fit: SparkFit) -> None:
    predicted, scores = problem.said(fit)
    if fit.head.kind == "forest":
        scores = log_shares(scores)
    in_file, probabilities = run(fit.head, problem.features)
    np.testing.assert_array_equal(in_file.argmax(1), predicted)
    np.testing.assert_array_equal(probabilities.argmax(1), predicted)
    np.testing.assert_allclose(softmax(in_file), softmax(scores.astype(np.float32)), atol=1e-5)
    assert (predicted == problem.codes).mean() > 0.7, "chance is 0.5 or less"


@pytest.mark.slow
@pytest.mark.parametrize("n_labels", [2, 3])
def test_logistic_regression_is_the_local_one(session: SparkSession, n_labels: int) -> None:
    problem = Problem(session, n_labels)
    from_all = problem.fit(classifier="logistic", c=[0.1, 1.0])
    assert from_all.head.search
    assert from_all.head.c in (0.1, 1.0)
    problem.sample = problem.sample_of(ROWS // 2)  # so that there is a way to go from it
    fit = problem.fit(classifier="logistic", c=[1.0])
    assert_the_file_says_the_same(problem, fit)
    local = LogisticRegression(1.0, class_weight={0: 2.0}, tol=1e-8)
    local.fit(unit_rows(problem.features), problem.codes)
    expected = local.predict_proba(unit_rows(problem.features))

    def error(head: Head) -> float:
        at_one = Head("logistic", problem.labels, 1.0, head.estimator, 1.0, (), None)
        return float(np.abs(at_one.probabilities(problem.features) - expected).max())

    assert error(fit.head) < 1e-3
    assert error(problem.fit_on_the_sample("logistic")) > 0.01, "the sample alone would have done"


@pytest.mark.slow
def test_logistic_regression_begins_at_the_minimum_of_the_sample(session: SparkSession) -> None:
    problem = Problem(session, 3)
    problem.weights[:] = 1  # as those of the sample
    fit = problem.fit(classifier="logistic", c=[1.0])
    first, *_, last = fit.model.summary.objectiveHistory
    assert first == pytest.approx(last, rel=1e-4), "at zero it is the logarithm of 3"


@pytest.mark.slow
@pytest.mark.parametrize("n_labels", [2, 3])
def test_the_svm_is_the_local_one(session: SparkSession, n_labels: int) -> None:
    problem = Problem(session, n_labels)
    problem.sample = problem.sample_of(ROWS // 2)  # so that there is a way to go from it
    fit = problem.fit(classifier="svm", c=[1.0])
    assert_the_file_says_the_same(problem, fit)
    local = LinearSVM(1.0, class_weight={0: 2.0}, tol=1e-7)
    local.fit(unit_rows(problem.features), problem.codes)
    scores = unit_rows(problem.features) @ local.coef_.T + local.intercept_
    found = fit.head.scores(problem.features)[:, -1]
    np.testing.assert_allclose(found, scores[:, -1], atol=0.02)
    alone = problem.fit_on_the_sample("svm").scores(problem.features)[:, -1]
    assert np.abs(alone - scores[:, -1]).max() > 0.05, "the sample alone would have done"


@pytest.mark.slow
def test_the_forest(session: SparkSession) -> None:
    problem = Problem(session, 3)
    fit = problem.fit(classifier="forest", trees=64)
    assert_the_file_says_the_same(problem, fit)
    assert fit.head.held_out_accuracy is not None
    assert fit.head.held_out_accuracy > 0.6
    assert 0.01 < fit.head.temperature < 10
    assert len(fit.head.estimator.trees) == 64


@pytest.mark.slow
def test_what_fails_on_a_worker_is_said_in_a_sentence(session: SparkSession) -> None:
    problem = Problem(session, 2)
    broken = problem.data().selectExpr(
        "row", "cast(null as array<float>) features", "code", "weight"
    )
    with pytest.raises(ClusterError, match="every row must have features"):
        fit_on_spark(broken, problem.labels, problem.sample, Settings(classifier="logistic"))


def test_a_sample_has_every_label() -> None:
    sample = Sample(np.arange(2), np.ones((2, 3), np.float32), np.array([0, 2]), np.arange(2))
    with pytest.raises(ValueError, match="every label"):
        fit_on_spark(None, ("a", "b", "c"), sample, Settings())  # type: ignore[arg-type]
