"""Bytes on disk → features: read, decode, run, write, with flat memory.

The unit of work is one batch of images, and one thread does all of it: read, decode, and run the
network on its own core. As many threads as cores then keep every core busy with whatever is due,
which no division into decoding and computing threads does better: the rate reaches the bound
1 / (1/d + 1/m), where d is the rate of decoding alone and m that of the network alone. At most two
batches a thread are in flight, so memory does not grow with the number of images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate import files
from foveate.catalog import Catalog, Entry, Facts, FactStore, ImageRow, Source, inspect
from foveate.features.cache import FeatureCache
from foveate.image import Limits, Resize
from foveate.ordered import map_in_order
from foveate.runtime import Network, usable_cores

BATCHES_PER_WORKER = 2
REMOTE_WORKERS_PER_CORE = 4
"""Threads that wait for a network drive leave the cores idle; more of them fill the gaps."""

T = TypeVar("T")
Item = TypeVar("Item")

Progress = Callable[[int, int], None]
"""Told how many images are done, of how many."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How much was computed, and how fast.

    Attributes:
        images: images opened in this run; the others were known already.
        seconds: wall time, from the first byte read to the last feature kept; loading and
            compiling the network is not in it.
    """

    images: int
    seconds: float

    @property
    def images_per_second(self) -> float | None:
        """None where nothing had to be computed."""
        return self.images / self.seconds if self.images else None


@dataclass(frozen=True, slots=True)
class Featurizer:
    """What it takes to turn a file into features.

    Attributes:
        network: the backbone.
        resize: how an image becomes pixels.
        cache: where the features go.
    """

    network: Network
    resize: Resize
    cache: FeatureCache


Opened = tuple[Facts, NDArray[np.float32] | None]
"""What was found out about one image; no features where it was refused, or they were known."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What to find out about images, and with what. A cluster's workers use it as it is.

    Attributes:
        limits: the largest image to accept.
        network: the backbone; None to inspect only.
        resize: how an image becomes pixels; None to inspect only.
        known: facts of images seen before, by id.
        featurized: ids whose features are known.
    """

    limits: Limits
    network: Network | None = None
    resize: Resize | None = None
    known: Mapping[str, Facts] = field(default_factory=lambda: MappingProxyType({}))
    featurized: Container[str] = frozenset()

    def batches(self, entries: Sequence[Entry], workers: int) -> Iterator[list[Opened]]:
        """What there is to find out, in the order of the entries, some images at a time.

        Args:
            entries: the files.
            workers: threads.
        """
        size = self.network.batch if self.network else 8
        parts = (entries[start : start + size] for start in range(0, len(entries), size))
        return map_in_order(self._open, parts, workers, ahead=BATCHES_PER_WORKER)

    def _open(self, entries: Sequence[Entry]) -> list[Opened]:
        """The work of one thread on one batch."""
        inspected = [
            inspect(
                entry.file,
                limits=self.limits,
                resize=self.resize,
                known=self.known,
                featurized=self.featurized,
            )
            for entry in entries
        ]
        pixels = [shown for _, shown in inspected if shown is not None]
        computed: Iterator[NDArray[np.float32]] = iter(())
        if self.network is not None and pixels:
            computed = iter(self.network.run(np.stack(pixels)))
        return [(facts, None if shown is None else next(computed)) for facts, shown in inspected]


def featurize(
    source: Source,
    store: FactStore,
    featurizer: Featurizer | None,
    *,
    limits: Limits,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Catalog, Rate]:
    """Inspect every file of a source, and compute the features that are not in the cache.

    Args:
        source: the files.
        store: remembers what was inspected.
        featurizer: None to inspect only.
        limits: the largest image to accept.
        workers: threads; as many as cores by default, more where the source is remote.
        progress: told how many images are done.

    Returns:
        One row per file, and how fast it went.
    """
    facts: dict[int, Facts] = {}
    pending: list[int] = []
    for index, entry in enumerate(source.entries):
        known = store.facts_of(entry)
        if known is None or (featurizer is not None and known.id not in featurizer.cache):
            pending.append(index)
        else:
            facts[index] = known
    extraction = Extraction(limits, known=store.by_id)
    if featurizer is not None:
        network, resize, cache = featurizer.network, featurizer.resize, featurizer.cache
        extraction = Extraction(limits, network, resize, store.by_id, cache)
        if pending:
            network.prepare()
    start = time.perf_counter()
    done = len(facts)
    indices = iter(pending)
    entries = [source.entries[index] for index in pending]
    try:
        for batch in extraction.batches(entries, workers or threads(source.root, usable_cores())):
            for index, (looked_at, features) in zip(
                islice(indices, len(batch)), batch, strict=True
            ):
                facts[index] = looked_at
                store.add(source.entries[index], looked_at)
                if featurizer is not None and features is not None:
                    featurizer.cache.add(looked_at.id, features)
                done += 1
            if progress is not None:
                progress(done, len(source.entries))
    finally:
        # Also after Ctrl-C: what was computed is kept.
        if featurizer is not None:
            featurizer.cache.flush()
        store.flush()
    catalog = Catalog(tuple(ImageRow(entry, facts[i]) for i, entry in enumerate(source.entries)))
    return catalog, Rate(len(pending), time.perf_counter() - start)


def threads(root: str, cores: int) -> int:
    """How many threads keep some cores busy with files from a folder or URL."""
    return cores * (REMOTE_WORKERS_PER_CORE if files.is_url(root) else 1)
