"""Tuning: which backbone, resolution and head suit these images, and what would help further."""

from foveate.tuning.candidates import Candidate
from foveate.tuning.search import Tried
from foveate.tuning.tuning import MINUTES, Tuning, tune

__all__ = ["MINUTES", "Candidate", "Tried", "Tuning", "tune"]
