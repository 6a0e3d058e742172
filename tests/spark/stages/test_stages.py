"""The stages for Spark ML pipelines: the local answers, on a real cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import foveate as fv
from conftest import LABELS, draw_folder
from foveate.classifier import Classifier
from foveate.errors import BackboneError, ClusterError, ModelFileError, SettingsError
from foveate.image import Resize
from foveate.settings import FeatureKind
from foveate.spark.stages import work as stage_work
from foveate.spark.stages.work import Work, in_batches, local_path, run_partition

pytest.importorskip("pyspark", reason="needs the [spark] extra")

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import IndexToString, StringIndexer
from pyspark.sql.types import ArrayType, BinaryType, LongType, StringType, StructField, StructType

from foveate.spark import ImageClassifierModel, ImageFeaturizer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SIDE = 64
PAGE = Path(__file__).parents[3] / "docs" / "spark-notebook.md"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty images of three labels; tests must not change them."""
    return draw_folder(tmp_path_factory.mktemp("images"), 20)


@pytest.fixture(scope="module")
def classifier(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return fv.train(images, resolution=SIDE, folds=2).classifier


@pytest.fixture
def paths(images: Path, tmp_path: Path) -> list[str | None]:
    """The sixty, and among them what is no image: damaged, missing, null."""
    whole = (images / "dots" / "0.png").read_bytes()
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(whole[: len(whole) // 2])
    found: list[str | None] = [str(path) for path in sorted(images.rglob("*.png"))]
    found[7:7] = [str(damaged)]
    found[30:30] = [str(tmp_path / "missing.png")]
    return [*found, None]


class Shipped:
    """What stands for a broadcast where there is no Spark."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self.loads = 0

    @property
    def value(self) -> bytes:
        self.loads += 1
        return self._value


@given(st.lists(st.lists(st.integers(), max_size=20), max_size=8), st.integers(1, 9))
def test_batches_are_full_whatever_the_parts(parts: list[list[int]], size: int) -> None:
    batches = list(in_batches(parts, size))
    assert [item for batch in batches for item in batch] == [i for part in parts for i in part]
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(0 < len(batch) <= size for batch in batches)


def test_batches_take_no_more_than_they_need() -> None:
    taken = []

    def parts() -> Iterator[list[int]]:
        for start in range(0, 100, 5):
            taken.append(start)
            yield list(range(start, start + 5))

    assert next(in_batches(parts(), 8)) == list(range(8))
    assert taken == [0, 5]


@pytest.mark.parametrize(
    ("spark", "ours"),
    [
        ("file:/a/b c.png", "/a/b c.png"),
        ("file:///a.png", "file:///a.png"),
        ("/file:/a.png", "/file:/a.png"),
        ("abfss://c@a.dfs.core.windows.net/x", "abfss://c@a.dfs.core.windows.net/x"),
    ],
)
def test_paths_as_spark_writes_them(spark: str, ours: str) -> None:
    assert local_path(spark) == ours


def test_a_partition_without_spark(classifier: Classifier, paths: list[str | None]) -> None:
    work = Work(classifier.id, None, "auto", 4)
    shipped = Shipped(classifier.onnx_bytes)
    parts = [paths[:5], [], paths[5:6], paths[6:40], paths[40:]]
    batches: Any = [list(run_partition(parts, work, shipped, {})) for _ in range(2)]  # type: ignore[arg-type]
    assert shipped.loads == 1  # the second partition finds it compiled
    assert [len(batch) for batch in batches[0][:-1]] == [4] * 15
    found = [one for batch in batches[1] for one in batch]
    assert [one.label for one in found[:-1]] == [
        one.label for one in classifier.predict([path or "" for path in paths[:-1]])
    ]
    assert [index for index, one in enumerate(found) if one.error] == [7, 30, 62]
    assert str(found[62].error).startswith("empty: ")


def test_a_partition_of_urls(classifier: Classifier, images: Path) -> None:
    store = fsspec.filesystem("memory")
    for n in range(9):
        store.pipe_file(f"/stages/{n}.png", (images / "dots" / f"{n}.png").read_bytes())
    urls: list[str | None] = [f"memory://stages/{n}.png" for n in range(10)]
    work = Work(classifier.id, None, "auto", 2)
    batches = run_partition([urls], work, Shipped(classifier.onnx_bytes), {"memory": {}})  # type: ignore[arg-type]
    found = [one for batch in batches for one in batch]
    ours = classifier.predict([images / "dots" / f"{n}.png" for n in range(9)])
    assert [one.label for one in found] == [*(one.label for one in ours), None]
    assert str(found[-1].error).startswith("unreadable: ")


def test_what_a_store_says_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> bytes:
        raise RuntimeError("403, whoever you are")

    monkeypatch.setattr(stage_work.files, "file_entry", refuse)
    with pytest.raises(fv.ImageRefused, match=r"unreadable: RuntimeError: 403"):
        stage_work._read("s3://bucket/a.png")


def test_another_version_on_the_worker() -> None:
    work = Work("0", Resize(SIDE), "auto", 0, foveate="0.0.1")
    with pytest.raises(ClusterError, match=r"driver has foveate 0\.0\.1, this worker"):
        next(run_partition([["a.png"]], work, Shipped(b""), {}))  # type: ignore[arg-type]


def schema(**columns: Any) -> StructType:
    return StructType([StructField(name, kind) for name, kind in columns.items()])


def test_the_schema_is_known_before(classifier: Classifier) -> None:
    table = schema(content=BinaryType(), nested=ArrayType(schema(a=LongType())))
    features = ImageFeaturizer(inputCol="content").transformSchema(table)
    assert features.simpleString() == (
        "struct<content:binary,nested:array<struct<a:bigint>>,features:vector,error:string>"
    )
    stage = ImageClassifierModel(
        model=classifier, inputCol="content", outputType="array", errorCol=""
    )
    assert stage.transformSchema(table).simpleString() == (
        "struct<content:binary,nested:array<struct<a:bigint>>,"
        "prediction:string,probability:array<float>>"
    )
    assert stage.labels == LABELS


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "needs inputCol"),
        ({"inputCol": "image"}, "no column ‘image’; the columns are: path, n, Error"),
        ({"inputCol": "n"}, "‘n’ holds bigint; images are paths"),
        ({"inputCol": "path"}, "a column ‘error’ already"),
        ({"inputCol": "path", "errorCol": "", "outputCol": "N"}, "a column ‘N’ already"),
        ({"inputCol": "path", "outputType": "list"}, "must be vector or array"),
        ({"inputCol": "path", "precision": "fp16"}, "precision = 'fp16'"),
        ({"inputCol": "path", "resolution": 8}, "resolution = 8"),
        ({"inputCol": "path", "resize": "pad"}, "resize = 'pad'"),
        ({"inputCol": "path", "batch": -1}, "batch is -1"),
    ],
)
def test_what_is_wrong_is_said_before(params: dict[str, Any], sentence: str) -> None:
    table = schema(path=StringType(), n=LongType(), Error=StringType())
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        ImageFeaturizer(**params).transformSchema(table)


def test_a_backbone_that_is_not_here() -> None:
    with pytest.raises(BackboneError, match="no backbone ‘resnet50’"):
        ImageFeaturizer(backbone="resnet50").network_bytes()


def test_setters_and_getters() -> None:
    one = ImageFeaturizer().setInputCol("a").setOutputCol("b").setErrorCol("c").setResize("squash")
    one = one.setBackbone("x").setResolution(320).setPrecision("float32").setBatch(4)
    one = one.setOutputType("array").setStorageOptions({"s3": {"key": "s3cr3t"}})
    assert (one.getInputCol(), one.getOutputCol(), one.getErrorCol()) == ("a", "b", "c")
    assert (one.getBackbone(), one.getResolution(), one.getResize()) == ("x", 320, "squash")
    assert (one.getPrecision(), one.getBatch(), one.getOutputType()) == ("float32", 4, "array")
    assert "s3cr3t" not in one.explainParams() + repr(one)
    assert one.copy()._storage_options == {"s3": {"key": "s3cr3t"}}


def test_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"none\.onnx"):
        ImageClassifierModel.fromFile(tmp_path / "none.onnx", inputCol="path")


def as_frame(session: SparkSession, paths: list[str | None]) -> DataFrame:
    """Rows in order, with columns that have nothing to do with images."""
    rows = [(n, path, {"k": [n, n + 1]}, [(str(n), None)]) for n, path in enumerate(paths)]
    columns = (
        "n long, path string, map map<string, array<int>>, list array<struct<a: string, b: double>>"
    )
    return session.createDataFrame(rows, columns)


def evaluations(data: DataFrame) -> int:
    """How often a plan runs a network."""
    plan: str = data._jdf.queryExecution().executedPlan().toString()
    return plan.count("ArrowEvalPython ")


@pytest.mark.slow
@pytest.mark.parametrize("features", ["last", "depths"])
def test_features_are_the_local_ones(
    session: SparkSession, images: Path, paths: list[str | None], features: FeatureKind
) -> None:
    data = as_frame(session, paths)
    stage = ImageFeaturizer(inputCol="path", resolution=SIDE, features=features)
    found = stage.transform(data)
    assert found.schema.simpleString() == stage.transformSchema(data.schema).simpleString()
    assert evaluations(found.filter("error is null").select("features", "error")) == 1
    assert evaluations(found.groupBy("n").count()) == 0  # nobody asks for features
    rows = found.collect()
    assert [tuple(row)[:4] for row in rows] == [tuple(row) for row in data.collect()]
    errors = {row.n: row.error.partition(":")[0] for row in rows if row.error}
    assert errors == {7: "truncated", 30: "unreadable", 62: "empty"}
    assert {row.n for row in rows if row.features is None} == set(errors)
    local = fv.featurize(images, resolution=SIDE, features=features)
    values = dict(zip(local.paths, local.values, strict=True))
    for row in rows:
        if row.features is not None:
            ours = values[row.path]
            gap = np.linalg.norm(row.features.toArray() - ours) / np.linalg.norm(ours)
            assert gap < 1e-3


@pytest.mark.slow
def test_predictions_are_the_local_ones_from_paths_and_from_bytes(
    session: SparkSession, classifier: Classifier, paths: list[str | None], tmp_path: Path
) -> None:
    stage = ImageClassifierModel(model=classifier, inputCol="path", batch=5)
    rows = stage.transform(as_frame(session, paths).repartition(3, "n")).orderBy("n").collect()
    for row, ours in zip(rows, classifier.predict([p or "" for p in paths]), strict=True):
        assert row.prediction == ours.label
        if ours.label is not None:
            gaps = row.probability.toArray() - list(ours.probabilities.values())
            assert abs(gaps).max() < 1e-3
    labels = {row.path: row.prediction for row in rows}
    folder = Path(next(path for path in paths if path)).parent
    content = session.read.format("binaryFile").load(str(folder))  # its path is file:/…
    both = stage.copy({stage.errorCol: "e1"}).transform(content)
    both = ImageClassifierModel(
        model=classifier,
        inputCol="content",
        predictionCol="from_bytes",
        probabilityCol="p",
        outputType="array",
    ).transform(both)
    rows = both.collect()
    assert len(rows) == 20
    for row in rows:
        assert row.prediction == row.from_bytes == labels[local_path(row.path)]
        np.testing.assert_allclose(row.p, row.probability.toArray(), atol=1e-6)
        assert row.e1 is row.error is None


@pytest.mark.slow
def test_a_pipeline_of_spark_ml_learns_and_is_saved(
    session: SparkSession, images: Path, tmp_path: Path
) -> None:
    def labelled(folder: Path) -> DataFrame:
        rows = [(str(path), path.parent.name) for path in sorted(folder.rglob("*.png"))]
        return session.createDataFrame(rows, "path string, label string")

    fresh = labelled(draw_folder(tmp_path / "fresh", 6, first=100))
    featurizer = ImageFeaturizer(inputCol="path", resolution=SIDE)
    featurizer.setStorageOptions({"s3": {"secret": "s3cr3t"}})
    indexer = StringIndexer(inputCol="label", outputCol="code")
    regression = LogisticRegression(featuresCol="features", labelCol="code", maxIter=10)
    pipeline = Pipeline(stages=[featurizer, indexer, regression])
    pipeline.save(str(tmp_path / "pipeline"))
    model = Pipeline.load(str(tmp_path / "pipeline")).fit(labelled(images))
    model.save((tmp_path / "model").as_uri())
    loaded = PipelineModel.load((tmp_path / "model").as_uri())
    names = IndexToString(inputCol="prediction", outputCol="name", labels=loaded.stages[1].labels)
    rows = [names.transform(one.transform(fresh)).collect() for one in (model, loaded)]
    assert rows[0] == rows[1]
    assert np.mean([row.name == row.label for row in rows[0]]) > 0.75
    saved = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".png"]
    assert sum(path.name == "network.onnx" for path in saved) == 2
    assert not [path for path in saved if b"s3cr3t" in path.read_bytes()]


@pytest.mark.slow
def test_save_and_load(
    session: SparkSession, classifier: Classifier, images: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "stage"
    stage = ImageClassifierModel(model=classifier, inputCol="path", predictionCol="label")
    stage.save(str(folder))
    stage.write().overwrite().save(str(folder))
    assert (folder / "network.onnx").read_bytes() == classifier.onnx_bytes
    loaded = ImageClassifierModel.load(str(folder))
    assert (loaded.uid, loaded.labels) == (stage.uid, stage.labels)
    data = session.createDataFrame([(str(images / "dots" / "3.png"),)], "path string")
    assert loaded.transform(data).collect() == stage.transform(data).collect()
    with pytest.raises(ModelFileError, match=r"not a foveate\.spark\.ImageFeaturizer"):
        ImageFeaturizer.load(str(folder))
    for file in folder.glob("*network.onnx*"):
        file.unlink()
    (folder / "network.onnx").write_bytes(b"something else")
    with pytest.raises(ModelFileError, match="damaged or was changed"):
        ImageClassifierModel.load(str(folder))


@pytest.mark.slow
def test_nothing_in_nothing_out(session: SparkSession, images: Path) -> None:
    stage = ImageFeaturizer(inputCol="the.path", resolution=SIDE, outputType="array")
    none = session.createDataFrame([], "`the.path` string, n int")
    assert stage.transform(none).collect() == []
    one = session.createDataFrame([(str(images / "dots" / "0.png"), 1)], none.schema)
    rows = stage.transform(one.repartition(5)).collect()  # four of five are empty
    assert [len(row.features) for row in rows] == [1280]


@pytest.mark.slow
def test_the_page_works(
    session: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_folder(tmp_path / "photos", 8)
    image = Image.open(tmp_path / "photos" / "dots" / "0.png")
    (tmp_path / "new").mkdir()
    image.save(tmp_path / "new" / "a.jpg")
    (tmp_path / "new" / "b.jpg").write_text("no image")
    fv.train(tmp_path / "photos", resolution=SIDE, folds=2).save(tmp_path / "model.onnx")
    # Relative paths are Spark's own, and its Java process was not started in this folder.
    page = re.sub(r'"(photos/|new/|model\.onnx|saved/)', rf'"{tmp_path}/\1', PAGE.read_text())
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {"spark": session}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    names["features"].unpersist()
    shown = capsys.readouterr().out
    assert re.search(r"/new/b\.jpg *\|null *\|null *\|unsupported", shown, re.IGNORECASE)
    assert [row.error is None for row in names["again"].orderBy("path").collect()] == [True, False]
