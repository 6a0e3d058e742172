"""Score and featurize sets of any size on a cluster: the result goes straight to its folder.

Nothing of the size of the result passes through the driver, so neither its memory nor that of the
workers grows with the number of images.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from foveate.backbones import find_backbone
from foveate.catalog import Source, read_source
from foveate.classifier import Classifier
from foveate.errors import SettingsError
from foveate.files import absolute, digest, remove, use_storage_options
from foveate.image import Resize
from foveate.progress import Progress, Stopwatch
from foveate.settings import Settings
from foveate.spark.cluster.session import open_session
from foveate.spark.jobs.job import Finished, run_job
from foveate.spark.jobs.merge import merge_parts
from foveate.spark.jobs.worker import NAMED, Kind, SparkJob
from foveate.targets import Target
from foveate.workflow.results.bulk import BulkResult, ClusterUse

FILE_SUFFIXES = {"score": (".parquet", ".csv"), "featurize": (".parquet",)}
PARTS = ".parts"
"""What the folder of parts is called beside a single file, as long as that is not there."""


def score(
    classifier: Classifier,
    source: str | Path,
    settings: Settings | None = None,
    *,
    target: Target,
    out: str | Path,
    limit: int | None = None,
    sample: float = 1.0,
    progress: Progress | None = None,
) -> BulkResult:
    """Predictions for every image of a source, computed on a cluster.

    Args:
        classifier: of any kind.
        source: see `catalog.read_source`; the workers must reach it by the same path or URL.
        settings: those that concern reading and running.
        target: the cluster.
        out: a file (`.parquet`, `.csv`) or a folder of parts, on storage that the workers reach.
        limit: score at most so many files, taken evenly.
        sample: score about this share of the files, in (0, 1], chosen by the seed.
        progress: told how far it is.

    Raises:
        SourceError: the source cannot be read.
        SettingsError: the folder holds something else.
        ClusterError: the cluster cannot be reached, or failed.
    """
    work = _Work(
        kind="score",
        onnx_bytes=classifier.onnx_bytes,
        dimension=classifier.metadata.backbone.dimension,
        resize=classifier.resize,
        labels=classifier.labels,
    )
    images = _Images(source, limit, sample)
    return _bulk(work, images, settings or Settings(), target, str(out), progress)


def featurize(
    source: str | Path,
    settings: Settings | None = None,
    *,
    target: Target,
    out: str | Path,
    limit: int | None = None,
    sample: float = 1.0,
    progress: Progress | None = None,
) -> BulkResult:
    """The features of every image of a source, computed on a cluster.

    Images that cannot be used are listed in `_refused/` of a folder of parts.

    Args:
        source: see `catalog.read_source`; the workers must reach it by the same path or URL.
        settings: backbone, resolution, and those that concern reading and running.
        target: the cluster.
        out: a file (`.parquet`) or a folder of parts, on storage that the workers reach.
        limit: use at most so many files, taken evenly.
        sample: use about this share of the files, in (0, 1], chosen by the seed.
        progress: told how far it is.

    Raises:
        SourceError: the source cannot be read.
        SettingsError: the folder holds something else.
        ClusterError: the cluster cannot be reached, or failed.
    """
    settings = settings or Settings()
    backbone = find_backbone(
        settings.backbone, resolution=settings.resolution, features=settings.features
    )
    work = _Work(
        kind="featurize",
        onnx_bytes=backbone.onnx_bytes(),
        dimension=backbone.card.dimension,
        resize=Resize(settings.resolution, settings.resize),
    )
    return _bulk(work, _Images(source, limit, sample), settings, target, str(out), progress)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is done with every image.

    Attributes:
        kind: of the result.
        onnx_bytes: the classifier or the backbone.
        dimension: features an image.
        resize: how an image becomes pixels.
        labels: of the classifier; empty for features.
    """

    kind: Kind
    onnx_bytes: bytes
    dimension: int
    resize: Resize
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Images:
    """Which images: a source, at most how many of its files, and what share of them."""

    source: str | Path
    limit: int | None
    sample: float

    def listed(self, seed: int) -> Source:
        return read_source(self.source).sampled(self.sample, seed).limited(self.limit)

    def selection(self, seed: int) -> str:
        """Which files of the source, in words."""
        words = [] if self.limit is None else [f"limit {self.limit}"]
        if self.sample < 1:
            words.append(f"sample {self.sample:g}, seed {seed}")
        return ", ".join(words)


def _bulk(
    work: _Work,
    images: _Images,
    settings: Settings,
    target: Target,
    out: str,
    progress: Progress | None,
) -> BulkResult:
    watch = Stopwatch()
    out = absolute(out).rstrip("/")
    suffix = check_out(out, work.kind)
    use_storage_options(target.opened_storage_options())
    with watch.stage("list"):
        listed = images.listed(settings.seed)
    if f"{out}/".startswith(f"{listed.root.rstrip('/')}/"):
        raise SettingsError(
            f"‘{out}’ lies among the images: its files would be taken for such. Name another place."
        )
    job = SparkJob(
        kind=work.kind,
        out=out + PARTS if suffix else out,
        suffix=suffix or ".parquet",
        root=listed.root,
        selection=images.selection(settings.seed),
        plan="",
        network=digest(work.onnx_bytes),
        dimension=work.dimension,
        resize=work.resize,
        limits=settings.limits,
        precision=settings.precision,
        runtime=settings.runtime,
    )
    stage = "score" if work.kind == "score" else "features"
    with ExitStack() as stack:
        with watch.stage("connect"):
            session = stack.enter_context(open_session(target, name=f"foveate {work.kind}"))
        with watch.stage(stage):
            finished = run_job(
                session,
                job,
                [replace(entry, place=None) for entry in listed.entries],
                work.onnx_bytes,
                storage_options=target.opened_storage_options(),
                progress=None if progress is None else lambda done, n: progress(stage, done, n),
            )
    if suffix:
        with watch.stage("merge"):
            merge_parts(finished, out)
            remove(job.out)
    return _summary(finished, out, work.labels, watch.seconds)


def check_out(out: str, kind: Kind) -> str:
    """The suffix of a result that is a single file; empty where it is a folder of parts.

    Raises:
        SettingsError: it is a file of a kind that cannot be written.
    """
    suffix = Path(out).suffix.lower()
    if suffix in FILE_SUFFIXES[kind]:
        return suffix
    if suffix in (".csv", ".parquet", ".json", ".jsonl", ".txt"):
        wanted = " or ".join(FILE_SUFFIXES[kind])
        raise SettingsError(
            f"‘{out}’ ends in ‘{suffix}’. Give a name that ends in {wanted}, or a folder."
        )
    return ""


def _summary(
    finished: Finished, out: str, labels: tuple[str, ...], seconds: Mapping[str, float]
) -> BulkResult:
    read = finished.all_images - finished.refused
    counts = finished.predicted
    named = [one for tally in finished.tallies for one in tally.named]
    return BulkResult(
        out=out,
        files=finished.all_images,
        refused=finished.refused,
        named=tuple(named[:NAMED]),
        predicted={label: counts[label] for label in labels},
        confidence=sum(tally.confidence for tally in finished.tallies) / read
        if labels and read
        else None,
        computed=finished.images,
        images_per_second=finished.images / finished.seconds if finished.images else None,
        seconds=dict(seconds),
        cluster=ClusterUse(
            finished.precisions, max((tally.peak for tally in finished.tallies), default=0)
        ),
    )
