"""Cut imagery on a cluster: the rasters are dealt to its workers, which read windows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from foveate import files
from foveate.aerial.cutting.tasks import Progress, R, T, TileEngine
from foveate.errors import ClusterError, FoveateError
from foveate.spark.cluster.collecting import collect
from foveate.spark.cluster.failures import in_a_sentence
from foveate.spark.cluster.session import open_session
from foveate.targets import Target

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def cluster(target: Target, progress: Progress | None = None) -> Iterator[TileEngine]:
    """An engine whose tasks run on a cluster, each on one core.

    Args:
        target: the cluster.
        progress: told how far it is.

    Raises:
        ClusterError: it cannot be reached, cannot run foveate, or lost the work.
        SettingsError: the environment lacks a secret of the target.
    """
    options = target.opened_storage_options()
    with open_session(target, name="foveate tiles cut") as session:

        def run(work: Callable[[T], R], tasks: Sequence[T], stage: str) -> list[R]:
            if not tasks:
                return []

            def told(done: int) -> None:
                if progress is not None:
                    total = sum(map(len, tasks))
                    progress(stage, min(done, total), total)  # a task may be done twice

            return _run(session, _Work(work, options), tasks, told)

        yield run


class _Work:
    """What one task does on a worker.

    Args:
        work: of the task.
        options: what URLs are opened with; not shown in any log.
    """

    def __init__(self, work: Callable[[T], R], options: Mapping[str, Mapping[str, str]]) -> None:
        self._work: Callable[[Any], Any] = work
        self._options = options

    def __call__(self, task: Any) -> Any:
        files.use_storage_options(self._options)
        try:
            return self._work(task)
        except ImportError as error:
            raise ClusterError(
                f"The workers lack what reads rasters ({error}). They need "
                "pip install 'foveate[aerial]'; `foveate target pack --with aerial` packs it."
            ) from None
        except FoveateError as error:  # `failures.in_a_sentence` finds the sentence by this name
            raise ClusterError(str(error)) from None


def _run(
    session: SparkSession, work: _Work, tasks: Sequence[T], told: Callable[[int], None]
) -> list[Any]:
    """The results of all tasks, in their order."""
    context = session.sparkContext
    done = context.accumulator(0)

    def one(task: T) -> Any:
        result = work(task)
        done.add(len(task))
        return result

    rows = context.parallelize(list(tasks), len(tasks)).map(one)
    try:
        results: list[Any] = collect(
            session, rows.collect, name="foveate tiles cut", news=lambda _: told(done.value)
        )
    except Exception as error:
        said = in_a_sentence(error, "The cluster could not cut the tiles: {cause}.")
        raise ClusterError(said) from error
    told(done.value)
    return results
