"""Foveate: a folder of pictures becomes an evaluated, portable image classifier."""

__version__ = "0.1.0"
