"""A job on a cluster: plan it, run what is missing, commit it.

The result is a folder of parts, one a shard. What the driver keeps about it lies beside them, in
`_foveate/`: which job it is, its plan, and a tally of every part. A job that was killed is so gone
on with by whoever starts the same one again. `_SUCCESS` comes last and says that all parts are
there; until then the folder is not a result.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from foveate import files
from foveate.catalog import Entry
from foveate.errors import ClusterError, SettingsError
from foveate.predictions import COMMITTED
from foveate.spark.cluster.collecting import collect
from foveate.spark.cluster.failures import in_a_sentence
from foveate.spark.jobs.plan import Shard, plan_shards, read_plan, write_plan
from foveate.spark.jobs.worker import META, REFUSED, SparkJob, Tally, run_shard

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

JOB_FILE = f"{META}/job.json"
READERS = 16
"""Small files that are read from a blob store at once."""

_OURS = re.compile(
    rf"(?:{REFUSED}/)?part-[0-9a-f]{{16}}\.(?:parquet|csv)"
    rf"|{META}/(?:plan-[0-9a-f]{{16}}/\d+\.parquet|tallies/[0-9a-f]{{16}}\.json)"
)

_LOST = (
    "The cluster could not do it: {cause}. What is done is kept: the same command goes on from "
    "here; with --debug it shows all that Spark says."
)

Progress = Callable[[int, int], None]
"""Told about how many images are done, of how many."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A job whose parts are all there.

    Attributes:
        job: which one.
        shards: ids, in the order of their images.
        tallies: of all shards, in the same order.
        images: how many this run did; the others an earlier one had done.
        seconds: that the cluster worked for them.
    """

    job: SparkJob
    shards: tuple[str, ...]
    tallies: tuple[Tally, ...]
    images: int
    seconds: float

    @property
    def all_images(self) -> int:
        """Files in all parts."""
        return sum(tally.images for tally in self.tallies)

    @property
    def refused(self) -> int:
        """Files that could not be used."""
        return sum(tally.refused for tally in self.tallies)

    @property
    def predicted(self) -> Counter[str]:
        """Images by predicted label."""
        counts: Counter[str] = Counter()
        for tally in self.tallies:
            counts.update(tally.predicted)
        return counts

    @property
    def precisions(self) -> tuple[str, ...]:
        """What the workers computed in; more than one where they differ."""
        return tuple(sorted({tally.precision for tally in self.tallies}))


def run_job(
    session: SparkSession,
    job: SparkJob,
    entries: Sequence[Entry],
    onnx_bytes: bytes,
    *,
    storage_options: Mapping[str, Mapping[str, str]],
    progress: Progress | None = None,
) -> Finished:
    """Do what is missing of a job, and commit it.

    Args:
        session: of the cluster.
        job: what to do with every shard; where its plan lies is decided here.
        entries: the files, in the order in which their rows come.
        onnx_bytes: the classifier or the backbone, which travels once to every executor.
        storage_options: what the workers open URLs with; not shown in any log.
        progress: told how far it is.

    Raises:
        SettingsError: the folder of the result holds something else.
        ClusterError: the cluster failed, or its parts cannot be seen from here.
    """
    shared = job.kind == "prepare"  # a store of parts that several jobs may add to
    known = {} if shared else _known_job(job)
    earlier = list(read_plan(known["plan"], known["shards"])) if known else []
    shards = plan_shards(
        entries, key=job.key, cores=session.sparkContext.defaultParallelism, earlier=earlier
    )
    job = _keep_plan(job, shards, known if shards == earlier else {})
    there = _names(job.out)
    done = _tallies_of(job, [shard.id for shard in shards], there)
    pending = [index for index, shard in enumerate(shards) if shard.id not in done]
    if pending and COMMITTED in there:
        files.remove(files.join(job.out, COMMITTED))
    start = time.perf_counter()
    sizes = [len(shards[index].entries) for index in pending]
    fresh = _run(session, job, pending, onnx_bytes, storage_options, len(entries), sizes, progress)
    seconds = time.perf_counter() - start
    ids = tuple(shard.id for shard in shards)
    done |= {tally.shard: tally for tally in fresh}
    tallies = tuple(done[shard] for shard in ids)
    finished = Finished(job, ids, tallies, sum(tally.images for tally in fresh), seconds)
    commit(finished, rows=len(entries), clean=not shared)
    return finished


def _run(
    session: SparkSession,
    job: SparkJob,
    pending: Sequence[int],
    onnx_bytes: bytes,
    storage_options: Mapping[str, Mapping[str, str]],
    total: int,
    sizes: Sequence[int],
    progress: Progress | None,
) -> list[Tally]:
    """Run some shards, one a task."""
    if not pending:
        return []
    context = session.sparkContext
    network = context.broadcast(onnx_bytes)
    indices = list(pending)

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow
        from pyspark import TaskContext

        task = TaskContext.get()
        cores = task.cpus() if task is not None else 1
        files.use_storage_options(storage_options)
        for batch in batches:
            for number in batch.column(0).to_pylist():
                tally = run_shard(job, indices[number], network.value, cores)
                yield pyarrow.RecordBatch.from_pydict({"tally": [tally.to_json()]})

    # `range` gives every task exactly one shard, whatever their number.
    frame = session.range(0, len(indices), 1, len(indices)).mapInArrow(work, "tally string")
    done_before = total - sum(sizes)

    def news(group: str) -> None:
        if progress is not None:
            share = _tasks_done(session, group) / len(indices)
            progress(done_before + int(share * sum(sizes)), total)

    try:
        rows = collect(session, frame.collect, name=f"foveate {job.kind}", news=news)
    except Exception as error:
        raise ClusterError(in_a_sentence(error, _LOST)) from error
    finally:
        network.unpersist()
    if progress is not None:
        progress(total, total)
    return [Tally.from_json(row["tally"]) for row in rows]


def _tasks_done(session: SparkSession, group: str) -> int:
    tracker = session.sparkContext.statusTracker()
    done = 0
    for number in tracker.getJobIdsForGroup(group):
        job = tracker.getJobInfo(number)
        for stage in job.stageIds if job else ():
            info = tracker.getStageInfo(stage)
            done += info.numCompletedTasks if info else 0
    return done


def _known_job(job: SparkJob) -> dict[str, Any]:
    """What an earlier start left; nothing where there was none.

    Raises:
        SettingsError: the folder holds another job's result, or other files.
    """
    path = files.join(job.out, JOB_FILE)
    if not files.exists(path):
        # A start that was killed early has left a plan there, but no job.
        if any(not name.startswith(f"{META}/") for name in _names(job.out)):
            raise SettingsError(
                f"‘{job.out}’ is not empty and not a result of foveate. Name another folder."
            )
        return {}
    try:
        known = json.loads(files.read_bytes(path))
        key, plan, count = known["key"], known["plan"], known["shards"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SettingsError(f"‘{path}’ cannot be read. Name another folder.") from None
    if key != job.key:
        raise SettingsError(
            f"‘{job.out}’ holds what another classifier, source, sample or other settings gave. "
            "Name another folder, or remove this one."
        )
    return {"plan": files.join(job.out, plan), "shards": int(count)}


def _keep_plan(job: SparkJob, shards: Sequence[Shard], known: Mapping[str, Any]) -> SparkJob:
    """Write the plan, unless it is the known one; the job that knows where it is."""
    if known:
        return replace(job, plan=known["plan"])
    plan = f"{META}/plan-{files.digest(''.join(shard.id for shard in shards).encode())[:16]}"
    job = replace(job, plan=files.join(job.out, plan))
    write_plan(job.plan, shards)
    content = {"key": job.key, "plan": plan, "shards": len(shards), "kind": job.kind}
    files.write_anywhere(files.join(job.out, JOB_FILE), json.dumps(content).encode())
    return job


def _names(folder: str) -> set[str]:
    if not files.is_folder(folder):
        return set()
    return {entry.relative for entry in files.list_files(folder)}


def _below(job: SparkJob, path: str) -> str:
    return path.removeprefix(job.out).lstrip("/")


def _tallies_of(job: SparkJob, ids: Sequence[str], there: Container[str]) -> dict[str, Tally]:
    """The tallies of the shards that need not be done again.

    Those are again done of which an image could not be read: the store may answer today.
    """

    def read(shard: str) -> Tally | None:
        try:
            tally = Tally.from_json(files.read_bytes(job.tally(shard)))
        except (OSError, ValueError):  # written half, when the power failed
            return None
        return None if tally.unread else tally

    kept = [
        shard
        for shard in ids
        if _below(job, job.part(shard)) in there and _below(job, job.tally(shard)) in there
    ]
    with ThreadPoolExecutor(READERS) as pool:
        tallies = pool.map(read, kept)
        return {tally.shard: tally for tally in tallies if tally is not None}


def commit(finished: Finished, *, rows: int, clean: bool) -> None:
    """Check that nothing is missing, remove what is not of this plan, and say that it is whole.

    Args:
        finished: the job.
        rows: how many there have to be.
        clean: remove parts of earlier plans; nothing that foveate has not made.

    Raises:
        ClusterError: a part is missing, or rows are, or somebody else works on the same folder.
    """
    job = finished.job
    there = _names(job.out)
    wanted = {_below(job, job.part(shard)) for shard in finished.shards}
    if missing := wanted - there:
        raise ClusterError(
            f"{len(missing)} of {len(wanted)} parts are not in ‘{job.out}’ as this machine sees "
            f"it: the workers have written to disks of their own. {job.place} must be a URL, or a "
            "folder that all of them share."
        )
    if finished.all_images != rows:
        raise ClusterError(
            f"{rows} files were to be done, but the parts hold {finished.all_images}. Remove "
            f"‘{job.out}’ and start again; please report it."
        )
    if clean:
        if _known_job(job).get("plan") != job.plan:
            raise ClusterError(
                f"Another run of the same command has taken ‘{job.out}’ over. Start one at a time."
            )
        known = {*wanted, *(_below(job, job.tally(shard)) for shard in finished.shards)}
        known |= {f"{REFUSED}/part-{shard}.parquet" for shard in finished.shards}
        plan = _below(job, job.plan)
        for name in sorted(there - known):
            if _OURS.fullmatch(name) and not name.startswith(f"{plan}/"):
                files.remove(files.join(job.out, name))
    content = {
        "kind": job.kind,
        "network": job.network,
        "images": finished.all_images,
        "refused": finished.refused,
        "parts": [f"part-{shard}{job.suffix}" for shard in finished.shards],
        "foveate": job.foveate,
    }
    files.write_anywhere(files.join(job.out, COMMITTED), json.dumps(content).encode())
