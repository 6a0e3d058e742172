"""A network refined on a cluster: what is sent there, and what comes back."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from foveate import errors, files
from foveate.errors import ClusterError

if TYPE_CHECKING:
    from foveate.history import Outcome
    from foveate.settings import Settings
    from foveate.spark.refining.readiness import RefineJob
    from foveate.spark.refining.worker import Terminal
    from foveate.targets import Target
    from foveate.workflow.places import Destination
    from foveate.workflow.record import Remark

_KINDS = {
    kind.__name__: kind
    for kind in (
        errors.BackboneError,
        errors.ClusterError,
        errors.SettingsError,
        errors.SourceError,
        errors.TooFewImages,
    )
}


@dataclass(frozen=True, slots=True)
class RefinedThere:
    """What a target made of a source.

    Attributes:
        model: the classifier file, on this machine.
        report: its report.
        result: what `--json` prints.
        text: what is printed else.
        remarks: what a reader should know before trusting the numbers.
    """

    model: Path
    report: Path
    result: dict[str, object]
    text: str
    remarks: str


def refine_on_target(
    target: Target,
    source: str,
    settings: Settings,
    *,
    name: str,
    destination: Destination,
    limit: int | None = None,
    sample: float = 1.0,
    terminal: Terminal,
    remark: Remark,
    notice: Remark,
    quiet: bool = False,
) -> RefinedThere:
    """Refine a network on a cluster, and put the run on record here.

    Args:
        target: the cluster, of kind spark.
        source: as the user named it; the workers must reach it.
        settings: all of them; `settings.refines`.
        name: of the target.
        destination: where classifier and report go.
        limit: images to use at most.
        sample: share of the images to use.
        terminal: how a person is told.
        remark: told, in a sentence, what a person should know of the record.
        notice: told what the cluster says.
        quiet: whether workers say nothing while they work.

    Raises:
        ClusterError: the cluster cannot be reached, a worker lacks something, or work was lost.
        FoveateError: as `training.train_classifier` raises.
    """
    from foveate.history.packing import unpack_outcome
    from foveate.spark.refining.processes import run_on_cluster
    from foveate.spark.refining.worker import Failed, Made, refine_here
    from foveate.workflow.places import find_project
    from foveate.workflow.record import on_record

    known = settings.as_text() | {
        "limit": str(limit),
        "target": name,
        "sample_frac": str(sample) if sample < 1 else None,
    }
    with on_record(
        "train", source, settings, known, label=settings.classifier, remark=remark
    ) as record:
        model, report = map(Path, destination.of(record.name))
        project = find_project(source)
        job = _job(target, source, settings, project, record.name, model, report)
        job = replace(job, limit=limit, sample=sample, quiet=quiet)
        made = run_on_cluster(
            target,
            partial(refine_here, terminal=terminal),
            job,
            device=settings.device,
            notice=notice,
        )
        if isinstance(made, Failed):
            raise _KINDS.get(made.kind, ClusterError)(made.said)
        if not isinstance(made, Made):
            raise ClusterError("The cluster gave nothing back. The same command again may.")
        outcome = unpack_outcome(_fetched(made.outcome))
        outcome = replace(
            outcome, tags={**outcome.tags, "model": str(model.absolute()), "cluster.target": name}
        )
        result = _written(outcome, model, report) | {"target": name}
        if made.checkpoint:
            Path(made.checkpoint).unlink(missing_ok=True)
        record.finish(outcome)
    return RefinedThere(model, report, result, made.text, made.remarks)


def _job(
    target: Target,
    source: str,
    settings: Settings,
    project: Path | None,
    name: str,
    model: Path,
    report: Path,
) -> RefineJob:
    from foveate.backbones.registry import user_folder
    from foveate.catalog.workspace import user_cache
    from foveate.spark.refining.readiness import RefineJob

    if settings.test_list:
        wanted = files.absolute(settings.test_list)
        settings = settings.model_copy(update={"test_list": wanted})
    there = files.absolute(source)
    cache = user_cache()
    if project is not None:
        # A project's own derived data would be made in it, which workers may not be able to do.
        there, cache = files.join(there, "images"), project / ".foveate" / "refine"
    if target.storage and not files.is_url(target.storage):
        cache = Path(target.storage) / "cache"
    return RefineJob(
        source=there,
        shown=source,
        # What was left open is settled by what the worker's device can do.
        settings=settings.model_dump_json(exclude_unset=True),
        backbone=settings.backbone,
        name=name,
        model=str(model),
        report=str(report),
        cache=str(cache.absolute()),
        backbones=str(user_folder().absolute()),
        storage=target.storage,
        storage_options=target.opened_storage_options(),
    )


def _fetched(outcome: bytes | str) -> bytes:
    if isinstance(outcome, bytes):
        return outcome
    packed = files.read_bytes(outcome)
    files.remove(outcome)
    return packed


def _written(outcome: Outcome, model: Path, report: Path) -> dict[str, object]:
    """Write model and report of an outcome, and say what `--json` prints."""
    with tempfile.TemporaryDirectory(prefix="foveate-") as folder:
        there = Path(folder)
        outcome.write_artifacts(there)
        files.write_bytes(model, (there / "model.onnx").read_bytes())
        files.write_bytes(report, (there / "report.html").read_bytes())
        result: dict[str, object] = json.loads((there / "result.json").read_bytes())
    return result
