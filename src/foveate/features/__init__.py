"""Features: one float32 row per image, computed once and kept."""

from foveate.features.cache import (
    FeatureCache,
    StoredFeatures,
    as_arrow,
    as_numpy,
    feature_key,
    gather,
)
from foveate.features.pipeline import Extraction, Featurizer, Rate, featurize, threads
from foveate.features.table import write_features

__all__ = [
    "Extraction",
    "FeatureCache",
    "Featurizer",
    "Rate",
    "StoredFeatures",
    "as_arrow",
    "as_numpy",
    "feature_key",
    "featurize",
    "gather",
    "threads",
    "write_features",
]
