"""Tuning: which backbone, resolution and head suit these images, and what would help further."""

from foveate.tuning.candidates import Candidate
from foveate.tuning.result import Tuning
from foveate.tuning.search import Tried
from foveate.tuning.tuning import MINUTES, tune

__all__ = ["MINUTES", "Candidate", "Tried", "Tuning", "tune"]
