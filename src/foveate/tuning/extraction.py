"""The features of one backbone at one resolution, and how fast it is on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from foveate.backbones import find_backbone
from foveate.catalog import FactStore, ImageRow
from foveate.errors import SourceError
from foveate.features import FeatureCache, Featurizer, Rate, featurize
from foveate.image import Resize
from foveate.runtime import usable_cores
from foveate.settings import Settings
from foveate.tuning.training_set import TrainingSet
from foveate.workflow.preparation import Extractor, open_featurizer

MEASURED = 64
"""Images that speed is measured on, or two batches a thread where that is more."""

PASSES = 3
"""How often they are shown; the median counts."""

SECONDS = 5.0
"""No further pass after so many seconds."""


class Extraction:
    """A backbone at a resolution, loaded.

    Args:
        data: the training images.
        backbone: name of the backbone.
        resolution: pixels a side.
        settings: how an image becomes pixels, and what runs the network.
    """

    def __init__(
        self, data: TrainingSet, backbone: str, resolution: int, settings: Settings
    ) -> None:
        pretrained = find_backbone(backbone, resolution=resolution, features=settings.features)
        extractor = Extractor.of(pretrained, Resize(resolution, settings.resize))
        self._data = data
        self._settings = settings
        self._featurizer = open_featurizer(extractor, data.workspace, settings)
        self._store = FactStore(data.workspace)

    def features(
        self, rows: Sequence[ImageRow], progress: Callable[[int, int], None]
    ) -> NDArray[np.float32]:
        """The features (n, d) of n images, from the cache or computed and kept there.

        Args:
            rows: the images.
            progress: told how many are done, of how many.

        Raises:
            SourceError: an image cannot be read any more.
        """
        self._featurize(rows, self._featurizer, self._store, progress)
        cache = self._featurizer.cache
        if gone := [row for row in rows if row.facts.id not in cache]:
            raise SourceError(
                f"‘{gone[0].path}’ was changed while the search went on, or can be read no more. "
                "Run the same command again."
            )
        return cache.load([row.facts.id for row in rows])

    def images_per_second(self, progress: Callable[[int, int], None]) -> float:
        """How fast images become features here, reading and decoding included.

        The same for all: training images taken evenly, through the pipeline that `train` uses,
        with nothing known and nothing in a cache; the network is compiled before the clock starts.
        """
        network, resize = self._featurizer.network, self._featurizer.resize
        n = len(self._data.rows)
        threads = self._settings.workers or usable_cores()
        count = min(n, max(MEASURED, 2 * threads * network.batch))
        rows = [self._data.rows[i * n // count] for i in range(count)]
        passes: list[Rate] = []
        while len(passes) < PASSES and sum(rate.seconds for rate in passes) < SECONDS:
            with TemporaryDirectory() as scratch:
                cache = FeatureCache(Path(scratch), self._featurizer.cache.dimension)
                empty = Featurizer(network, resize, cache)
                passes.append(self._featurize(rows, empty, FactStore(None), progress))
        return median(rate.images / rate.seconds for rate in passes)

    def _featurize(
        self,
        rows: Sequence[ImageRow],
        featurizer: Featurizer,
        store: FactStore,
        progress: Callable[[int, int], None],
    ) -> Rate:
        _, rate = featurize(
            self._data.source.of(row.entry for row in rows),
            store,
            featurizer,
            limits=self._settings.limits,
            workers=self._settings.workers or None,
            progress=progress,
        )
        return rate
