"""A real standalone cluster on loopback, and one application on it a process, for benchmarks."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

sys.path.insert(0, str(ROOT / "tests"))
from support.spark_cluster import Cluster, running_cluster

__all__ = ["Cluster", "application", "cluster_of_two"]


@contextmanager
def cluster_of_two() -> Iterator[Cluster]:
    """A master and two workers of one core each."""
    with (
        tempfile.TemporaryDirectory(prefix="foveate-bench-") as folder,
        running_cluster(Path(folder)) as cluster,
    ):
        yield cluster


@contextmanager
def application(cluster: Cluster, cores: int = 2, memory: str = "1g") -> Iterator[SparkSession]:
    """A session with so many of the cluster's cores; verbs called inside use it."""
    from foveate.spark.cluster.session import open_session

    target = cluster.target(memory=memory, conf={"spark.cores.max": str(cores)})
    with open_session(target, name="benchmark") as session:
        yield session
    cluster.free()
