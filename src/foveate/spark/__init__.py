"""Foveate on a Spark cluster.

The engine behind `--engine spark` and `--target NAME`, and two stages for Spark ML pipelines:

    from foveate.spark import ImageClassifierModel, ImageFeaturizer
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foveate.spark.stages.stages import ImageClassifierModel, ImageFeaturizer

__all__ = ["ImageClassifierModel", "ImageFeaturizer"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'foveate.spark' has no attribute '{name}'")
    from foveate.spark.stages import (
        stages,  # brings pyspark.ml, which the engine's workers do not need
    )

    return getattr(stages, name)
