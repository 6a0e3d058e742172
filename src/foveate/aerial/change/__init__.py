"""Predictions of two years → what changed, where, and how much of it is error alone."""

from foveate.aerial.change.change import Changes, find_changes

__all__ = ["Changes", "find_changes"]
