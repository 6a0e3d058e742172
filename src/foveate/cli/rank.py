"""Which of several processes this one is, as torchrun says in the environment."""

from __future__ import annotations

import os


def is_one_of_many() -> bool:
    """Whether torchrun started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_helper() -> bool:
    """Whether another process does the talking and the writing."""
    return is_one_of_many() and os.environ["RANK"] != "0"
