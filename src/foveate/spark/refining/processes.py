"""A function in many processes of a Spark cluster that refine a network together.

Spark's own `TorchDistributor` starts them: one barrier stage, a task a process, in each a torchrun
that knows the others. A user's mistake is found before, by looking at every worker.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from io import TextIOBase
from typing import TYPE_CHECKING, Any, TextIO

from foveate.errors import ClusterError, SettingsError
from foveate.spark.cluster.failures import in_a_sentence
from foveate.spark.refining.readiness import RefineJob, look_at_all
from foveate.targets import Target

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OURS = "foveate: "
"""Begins the lines on the workers' stderr that are for people; torchrun and Spark write others."""

_TASK_CPUS = "spark.task.cpus"
_TASK_GPUS = "spark.task.resource.gpu.amount"
_EXECUTOR_GPUS = "spark.executor.resource.gpu.amount"


def run_on_cluster(
    target: Target,
    function: Callable[[RefineJob], object],
    job: RefineJob,
    *,
    device: str,
    notice: Callable[[str], None],
) -> Any:
    """Run a function in as many processes as the cluster has places for.

    In each, the environment says by torchrun's names who the others are.

    Args:
        target: the cluster, of kind spark.
        function: of a module that the workers have, too.
        job: what it gets; its cache is emptied where the workers do not share that folder.
        device: as the settings name it.
        notice: told in a sentence what the user should know before the work.

    Returns:
        What it returned in the first process.

    Raises:
        ClusterError: the cluster cannot be reached, a worker lacks something, or work was lost.
        SettingsError: GPUs are asked for that the target does not hand out.
    """
    from foveate.spark.cluster.session import open_session

    with open_session(_one_task_an_executor(target), name="foveate refine") as session:
        count, gpus = _places(session, device)
        with _reported():
            shared = look_at_all(session, job)
        if not shared:
            notice(
                f"The workers do not share ‘{job.cache}’, so each prepares the images by itself, "
                "and work that is lost begins again. A folder that all of them reach, as `storage` "
                "of the target, is better."
            )
            job = replace(job, cache="")
        notice(f"{count} process{'es' * (count > 1)} of the cluster refine together.")
        from pyspark.ml.torch.distributor import TorchDistributor

        with _reported(), _only_ours(quiet=job.quiet):
            distributor = TorchDistributor(count, local_mode=False, use_gpu=gpus)
            return distributor.run(function, job)


def _one_task_an_executor(target: Target) -> Target:
    """The target, so that a process has all cores of an executor, or its part of them a GPU."""
    if not target.cores or _TASK_CPUS in target.conf:
        return target
    gpus = int(target.conf.get(_EXECUTOR_GPUS, "1"))
    cpus = str(max(target.cores // gpus, 1))
    return target.model_copy(update={"conf": {**target.conf, _TASK_CPUS: cpus}})


def _places(session: SparkSession, device: str) -> tuple[int, bool]:
    """How many processes the cluster has places for, and whether they compute on GPUs."""
    context = session.sparkContext
    conf = context.getConf()
    tasks = max(context.defaultParallelism // int(conf.get(_TASK_CPUS, "1") or 1), 1)
    gpus = int(float(conf.get(_TASK_GPUS, "0") or 0))
    kind, _, index = device.partition(":")
    if index:
        raise SettingsError(
            f"‘{device}’ is a single GPU of this machine; on a cluster use `--device cuda`."
        )
    if kind == "cpu" or (kind == "auto" and not gpus):
        return tasks, False
    if not gpus:
        raise SettingsError(
            f"The device ‘{device}’ was asked for, but the target hands out no GPUs. Set "
            f"{_EXECUTOR_GPUS} and {_TASK_GPUS} in its conf, or use `--device cpu`."
        )
    executors = max(context._jsc.sc().getExecutorMemoryStatus().size() - 1, 1)
    each = int(conf.get(_EXECUTOR_GPUS, str(gpus)) or gpus)
    return gpus * min(tasks, executors * (each // gpus)), True


class _OnlyOurs(TextIOBase):
    def __init__(self, stream: TextIO, *, quiet: bool) -> None:
        self._stream = stream
        self._quiet = quiet

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.startswith(OURS) and not self._quiet:
                self._stream.write(f"{line.removeprefix(OURS)}\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


@contextmanager
def _only_ours(*, quiet: bool) -> Iterator[None]:
    """Within, what the workers say reaches stderr as far as it is for people."""
    with redirect_stderr(_OnlyOurs(sys.stderr, quiet=quiet)):
        yield


@contextmanager
def _reported() -> Iterator[None]:
    """Within, whatever Spark raises becomes a sentence."""
    try:
        yield
    except (ClusterError, SettingsError):
        raise
    except Exception as error:
        raise ClusterError(
            in_a_sentence(
                error,
                "The cluster lost the work: {cause}. The same command again goes on where it can.",
            )
        ) from error
