"""A cluster on blob stores: images, plan and parts behind URLs, secrets only in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import numpy as np
import pytest

import foveate as fv
from conftest import draw_folder
from foveate import files
from foveate.predictions import read_predictions
from foveate.settings import Settings
from foveate.spark.check.target import check_target
from foveate.spark.engine import SparkEngine
from foveate.spark.jobs import bulk
from foveate.targets import is_secret
from foveate.workflow.scoring import score_source
from foveate.workflow.training import train_classifier

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from support.spark_cluster import Cluster
    from support.stores import Opened

pytest_plugins = ("support.stores",)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]


@pytest.mark.parametrize("kind", ["abfs", "s3"])
def test_scored_and_trained_behind_urls(
    session: SparkSession,
    cluster: Cluster,
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store: Opened = request.getfixturevalue(kind)
    folder = draw_folder(tmp_path / "images", count=12)
    (folder / "dots" / "broken.png").write_bytes(b"no image")
    copied = fv.copy(str(folder), f"{store.url}/images")
    assert len(list(folder.rglob("*.png"))) == copied.copied == 37

    options = {}
    for name, value in store.storage_options.items():
        options[name] = value
        if is_secret(name):
            monkeypatch.setenv(f"FOVEATE_TEST_{name.upper()}", value)
            options[name] = f"env:FOVEATE_TEST_{name.upper()}"
    assert any(value.startswith("env:") for value in options.values())
    target = cluster.target(
        storage=f"{store.url}/derived", storage_options={store.protocol: options}
    )
    # As in a new process: nobody but the target knows how to open the store.
    monkeypatch.delitem(fsspec.config.conf, store.protocol)
    fsspec.get_filesystem_class(store.protocol).clear_instance_cache()
    check = check_target(target)
    assert (check.problems, check.storage) == ((), target.storage)
    assert len(check.workers) == 2
    assert not files.is_folder(target.storage), "the check has tidied up"
    there = bulk.featurize(
        f"{store.url}/images", Settings(resolution=64), target=target, out=f"{store.url}/features"
    )
    assert (there.files, there.refused) == (37, 1)
    settings = Settings(classifier="logistic", resolution=64, c=(0.1,))
    training = train_classifier(
        f"{store.url}/images", settings, engine=SparkEngine(session, target)
    )
    assert training.evaluation.accuracy.value > 0.5, "chance is 0.33"
    assert training.prepared.rate.images == 37

    there = bulk.score(
        training.classifier, f"{store.url}/images", target=target, out=f"{store.url}/out"
    )
    assert (there.files, there.refused) == (37, 1)
    found = read_predictions(f"{store.url}/out")
    local = score_source(training.classifier, folder).predictions
    names = [Path(path).relative_to(folder).as_posix() for path in local.paths]
    order = [found.paths.index(f"{store.url}/images/{name}") for name in names]
    assert found.take(order).predicted == local.predicted
    np.testing.assert_allclose(
        found.probabilities[order], local.probabilities, atol=1e-3, equal_nan=True
    )
    single = f"{store.url}/single.parquet"
    bulk.score(training.classifier, f"{store.url}/images", target=target, out=single)
    assert read_predictions(single).paths == tuple(sorted(found.paths))
    assert not files.exists(f"{single}.parts")
