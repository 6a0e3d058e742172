"""Whether the workers of a cluster have what it takes to refine a network.

A look at every worker before the work turns a mistake into a sentence; in the middle of it, it
would be four attempts and a page of Java.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from foveate import files
from foveate.errors import BackboneError, ClusterError
from foveate.spark.check.asking import ask_all
from foveate.spark.check.worker import Question

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, slots=True)
class RefineJob:
    """What every process of a cluster is told.

    Attributes:
        source: as the workers find it: a URL or an absolute path.
        shown: the same, as the user named it.
        settings: those that were set, as JSON.
        backbone: that they name.
        name: of the run.
        model: where the classifier goes on the machine that gave the work.
        report: where the report goes there.
        limit: images to use at most.
        sample: share of the images to use.
        quiet: whether to say nothing while working.
        cache: folder for derived data that all processes share; empty: each has its own.
        backbones: folder of added backbones, for workers that see it.
        storage: folder or URL that all reach, for results too large to come back through Spark.
        storage_options: with their secrets; see `targets.Target`.
    """

    source: str
    shown: str
    settings: str
    backbone: str
    name: str
    model: str
    report: str
    limit: int | None = None
    sample: float = 1.0
    quiet: bool = False
    cache: str = ""
    backbones: str = ""
    storage: str = ""
    storage_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    def begin(self) -> None:
        """Make this process one that works on the job."""
        files.use_storage_options(self.storage_options)
        if Path(self.backbones).is_dir():
            os.environ["FOVEATE_BACKBONES"] = self.backbones
        os.environ["FOVEATE_HISTORY"] = "off"


def look_at_all(session: SparkSession, job: RefineJob) -> bool:
    """Whether all workers share the job's cache.

    Raises:
        ClusterError: one of them lacks something.
    """
    with _marked(job.cache) as mark:
        workers = ask_all(session, Question(work=partial(problems_here, job), mark=mark))
    if said := [sentence for worker in workers for sentence in worker.sentences]:
        raise ClusterError(said[0])
    return all(worker.shares for worker in workers)


def problems_here(job: RefineJob) -> list[str]:
    """What keeps this worker from doing the job."""
    from foveate.backbones import find_backbone
    from foveate.backbones.extra import NEEDED

    if missing := [name for name in NEEDED if find_spec(name) is None]:
        return [
            f"there is no {', '.join(missing)}; to refine there, install foveate[refine] in the "
            "Python or the environment that the target names"
        ]
    job.begin()
    shown = files.printable(job.source)
    try:
        there = files.exists(job.source)
    except OSError as error:
        return [f"‘{shown}’ cannot be read: {error}"]
    if not there:
        return [
            f"‘{shown}’ is not there; name a URL, or a folder that all workers have under the same "
            "path"
        ]
    try:
        find_backbone(job.backbone)
    except BackboneError as error:
        return [f"{error} FOVEATE_BACKBONES may name a folder that all workers see"]
    return []


@contextmanager
def _marked(folder: str) -> Iterator[str]:
    """A file in a folder, by which a worker knows that its folder is the same one."""
    if not folder:
        yield ""
        return
    mark = Path(folder) / f"shared-{uuid.uuid4().hex}"
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:
        yield ""
        return
    try:
        yield str(mark)
    finally:
        mark.unlink(missing_ok=True)
