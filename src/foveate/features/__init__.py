"""Features: one float32 row per image, computed once and kept."""

from foveate.features.cache import FeatureCache, feature_key
from foveate.features.pipeline import Featurizer, Rate, featurize
from foveate.features.table import write_features

__all__ = ["FeatureCache", "Featurizer", "Rate", "feature_key", "featurize", "write_features"]
