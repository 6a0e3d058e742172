"""Whether the workers of a cluster have what it takes to refine a network.

A look at every worker before the work turns a mistake into a sentence; in the middle of it, it
would be four attempts and a page of Java.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from foveate import __version__, files
from foveate.errors import BackboneError, ClusterError

if TYPE_CHECKING:
    import pyarrow as pa
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
        version: of foveate.
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
    version: str = __version__

    def begin(self) -> None:
        """Make this process one that works on the job."""
        files.use_storage_options(self.storage_options)
        if Path(self.backbones).is_dir():
            os.environ["FOVEATE_BACKBONES"] = self.backbones
        os.environ["FOVEATE_HISTORY"] = "off"


def look_at_all(session: SparkSession, count: int, job: RefineJob) -> bool:
    """Whether all workers share the job's cache.

    Raises:
        ClusterError: one of them lacks something.
    """
    with _marked(job.cache) as mark:
        tasks = session.range(0, count, 1, count)
        # In a barrier stage all tasks run at once, so every executor gets one.
        found = tasks.mapInArrow(
            partial(_look, job, mark), "problem string, shares boolean", barrier=True
        ).collect()
    for row in found:
        if row.problem:
            raise ClusterError(row.problem)
    return all(row.shares for row in found)


def _look(
    job: RefineJob, mark: str, _batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    shares = bool(mark) and Path(mark).is_file() and os.access(Path(mark).parent, os.W_OK)
    yield pa.RecordBatch.from_pydict({"problem": [_problem(job)], "shares": [shares]})


def _problem(job: RefineJob) -> str:
    """What keeps this worker from doing the job, in a sentence; nothing where it can."""
    from foveate.backbones import find_backbone
    from foveate.backbones.extra import NEEDED

    here = f"The worker {socket.gethostname()}"
    if job.version != __version__:
        return (
            f"{here} has foveate {__version__}, and this machine {job.version}. Install the same "
            "on both, or pack this environment: foveate target pack."
        )
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        return (
            f"{here} has no {', '.join(missing)}. To refine there, install foveate[refine] in "
            "the Python or the environment that the target names."
        )
    job.begin()
    try:
        there = files.exists(job.source)
    except OSError as error:
        return f"{here} cannot read ‘{files.printable(job.source)}’: {error}"
    if not there:
        return (
            f"{here} does not see ‘{files.printable(job.source)}’. Name a URL, or a folder that "
            "all workers have under the same path."
        )
    try:
        find_backbone(job.backbone)
    except BackboneError as error:
        return f"{here}: {error} FOVEATE_BACKBONES may name a folder that all workers see."
    return ""


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
