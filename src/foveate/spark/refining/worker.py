"""What each process on a cluster does to refine a network; the first hands back what came out."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from foveate import files
from foveate.errors import FoveateError
from foveate.launch.position import is_helper
from foveate.spark.refining.processes import OURS

if TYPE_CHECKING:
    from foveate.progress import Progress
    from foveate.spark.refining.readiness import RefineJob
    from foveate.workflow.training import Training

MOST_BYTES = 128 * 2**20
"""That come back through Spark, whose driver takes 1 GB of results; more go by the storage."""


@dataclass(frozen=True, slots=True)
class Made:
    """What the first process hands back.

    Attributes:
        outcome: as `history.packing` packs it, or the path or URL of a file that holds it.
        text: what is printed.
        remarks: likewise, on stderr.
        checkpoint: what is not needed any more once the classifier is safe.
    """

    outcome: bytes | str
    text: str
    remarks: str
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An error that is nobody's defect, from the first process.

    Attributes:
        kind: class of the error.
        said: its sentence.
    """

    kind: str
    said: str


@dataclass(frozen=True, slots=True)
class Terminal:
    """How a person is told; functions of the command line, which go to the workers by name.

    Attributes:
        progress: opens what is told how far the training is; takes `quiet`.
        show: prints a training, given where its classifier and its report will be.
    """

    progress: Callable[..., AbstractContextManager[Progress]]
    show: Callable[[Training, Path, Path], None]


def refine_here(job: RefineJob, terminal: Terminal) -> Made | Failed | None:
    """What each process on the cluster does; the first one alone has something to say.

    Raises:
        SystemExit: this is one of several processes of a machine, of which one alone may answer.
    """
    job.begin()
    done: Made | Failed | None = None
    watched = _Watched()
    quiet = job.quiet or is_helper()
    try:
        with (
            _cache(job),
            redirect_stderr(_Prefixed(sys.stderr)),
            terminal.progress(quiet=quiet) as watched.progress,
        ):
            done = _refine(job, watched, terminal)
    except SystemExit:  # how helpers end
        pass
    except Exception as error:
        if not is_helper() and isinstance(error, FoveateError | OSError | MemoryError):
            # Not raised: Spark would try again, and again.
            done = Failed(type(error).__name__, str(error))
        elif is_helper() and (watched.met or isinstance(error, RuntimeError)):
            # Whatever happens now ends the first process, too, and that one says why.
            sys.stderr.write(f"a helper ends: {error}\n")
        else:
            raise
    if os.environ["LOCAL_RANK"] != "0":
        raise SystemExit(0)
    return done


class _Watched:
    """Knows whether the processes have met, which they do before the first image is opened."""

    met = False
    progress: Progress

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.met = True
        self.progress(stage, done, total, note)


class _Prefixed(io.TextIOBase):
    """Marks lines for people; see `processes.OURS`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._stream.write(f"{OURS}{line}\n" if line else "")
        self._stream.flush()
        return len(text)


@contextmanager
def _cache(job: RefineJob) -> Iterator[None]:
    """Within, derived data goes where all processes share it, or to a folder of this one's own."""
    if job.cache:
        os.environ["FOVEATE_CACHE"] = job.cache
        yield
        return
    with tempfile.TemporaryDirectory(prefix="foveate-refine-") as folder:
        os.environ["FOVEATE_CACHE"] = folder
        yield


def _refine(job: RefineJob, progress: Progress, terminal: Terminal) -> Made:
    from foveate.history.environment import environment
    from foveate.history.packing import pack_outcome
    from foveate.settings import Settings
    from foveate.workflow.results.training import (
        training_json,
        training_outcome,
        training_report,
    )
    from foveate.workflow.training import train_classifier

    settings = Settings.model_validate_json(job.settings)
    # Spark gave this process so many cores; the others are somebody else's.
    threads = settings.workers or int(os.environ.get("OMP_NUM_THREADS", "0"))
    training = train_classifier(
        job.source,
        settings.model_copy(update={"workers": threads}),
        limit=job.limit,
        sample=job.sample,
        name=job.name,
        progress=progress,
    )
    settled = training.settings.model_copy(update={"workers": settings.workers})
    training = replace(training, settings=settled)
    model, report = Path(job.model), Path(job.report)
    details = training_report(training, model=model, source=job.shown)
    result = training_json(training, model=model, report=report)
    result["processes"] = int(os.environ["WORLD_SIZE"])
    outcome = training_outcome(training, details, model=model)

    def write(folder: Path) -> None:
        outcome.write_artifacts(folder)
        text = json.dumps(result, ensure_ascii=False, indent=1)
        files.write_bytes(folder / "result.json", text.encode())

    about = {
        f"worker.{key}": value for key, value in environment(Path.cwd()).items() if _is_about(key)
    }
    about["cluster.processes"] = os.environ["WORLD_SIZE"]
    packed = pack_outcome(replace(outcome, tags={**outcome.tags, **about}, write_artifacts=write))
    place: bytes | str = packed
    if job.storage and len(packed) > MOST_BYTES:
        place = files.join(job.storage, f"refined/{job.name}.zip")
        files.write_anywhere(place, packed)
    text, remarks = io.StringIO(), io.StringIO()
    with redirect_stdout(text), redirect_stderr(remarks):
        terminal.show(training, model, report)
    checkpoint = training.refinement.checkpoint if training.refinement and job.cache else ""
    return Made(place, text.getvalue(), remarks.getvalue(), str(checkpoint))


def _is_about(fact: str) -> bool:
    """Whether a fact of a worker is worth keeping beside those of this machine."""
    return fact.startswith("machine") or fact in ("python", "library.torch")
