"""Tuning: which backbone, resolution and head suit these images, and what would help further."""

from foveate.tuning.candidates import Candidate
from foveate.tuning.result import Tuning
from foveate.tuning.search import Tried
from foveate.tuning.tuning import tune

__all__ = ["Candidate", "Tried", "Tuning", "tune"]
