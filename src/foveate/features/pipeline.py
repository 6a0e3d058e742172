"""Bytes on disk → features: read, decode, run, write, with flat memory.

The unit of work is one batch of images, and one thread does all of it: read, decode, and run the
network on its own core. As many threads as cores then keep every core busy with whatever is due,
which no division into decoding and computing threads does better: the rate reaches the bound
1 / (1/d + 1/m), where d is the rate of decoding alone and m that of the network alone. At most two
batches a thread are in flight, so memory does not grow with the number of images.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from foveate import files
from foveate.catalog import Catalog, Entry, Facts, FactStore, ImageRow, Source, inspect
from foveate.features.cache import FeatureCache
from foveate.image import Limits, Resize
from foveate.runtime import Network, usable_cores

BATCHES_PER_WORKER = 2
REMOTE_WORKERS_PER_CORE = 4
"""Threads that wait for a network drive leave the cores idle; more of them fill the gaps."""

T = TypeVar("T")

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
    if featurizer is not None and pending:
        featurizer.network.prepare()
    start = time.perf_counter()
    work = _Work(source.entries, store, featurizer, limits)
    done = len(facts)
    try:
        for results in _in_threads(work.run, pending, work.batch, workers or _workers(source)):
            for index, found, features in results:
                facts[index] = found
                store.add(source.entries[index], found)
                if featurizer is not None and features is not None:
                    featurizer.cache.add(found.id, features)
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


@dataclass(frozen=True, slots=True)
class _Work:
    """The work of one thread on one batch."""

    entries: Sequence[Entry]
    store: FactStore
    featurizer: Featurizer | None
    limits: Limits

    @property
    def batch(self) -> int:
        return self.featurizer.network.batch if self.featurizer else 8

    def run(self, indices: Sequence[int]) -> list[tuple[int, Facts, NDArray[np.float32] | None]]:
        """Facts and features of a batch of entries."""
        resize = self.featurizer.resize if self.featurizer else None
        featurized: Container[str] = self.featurizer.cache if self.featurizer else frozenset()
        inspected = [
            inspect(
                self.entries[index].file,
                limits=self.limits,
                resize=resize,
                known=self.store.by_id,
                featurized=featurized,
            )
            for index in indices
        ]
        pixels = [shown for _, shown in inspected if shown is not None]
        computed: Iterator[NDArray[np.float32]] = iter(())
        if self.featurizer is not None and pixels:
            computed = iter(self.featurizer.network.run(np.stack(pixels)))
        return [
            (index, facts, None if shown is None else next(computed))
            for index, (facts, shown) in zip(indices, inspected, strict=True)
        ]


def _workers(source: Source) -> int:
    return usable_cores() * (REMOTE_WORKERS_PER_CORE if files.is_url(source.root) else 1)


def _in_threads(
    run: Callable[[Sequence[int]], T], items: Sequence[int], batch: int, workers: int
) -> Iterator[T]:
    """Results of `run` on batches of items, in order, with a bounded number in flight."""
    flying: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="foveate") as pool:
        try:
            for start in range(0, len(items), batch):
                flying.append(pool.submit(run, items[start : start + batch]))
                if len(flying) >= workers * BATCHES_PER_WORKER:
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()
        finally:
            for future in flying:
                future.cancel()
