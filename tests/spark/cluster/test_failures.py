"""Spark's failures, in a sentence."""

from __future__ import annotations

import pytest

from foveate.spark.cluster.failures import cause_of, is_ours

PYTHON = """An exception was thrown from the Python worker:
Traceback (most recent call last):
  File "worker.py", line 3, in run
    raise ValueError("every row must have features")
ValueError: every row must have features
"""
OURS = PYTHON.replace("ValueError: every", "foveate.errors.ClusterError: The worker says: every")
JAVA = """org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 failed
\tat org.apache.spark.Task.run
Caused by: java.lang.OutOfMemoryError: Java heap space
\tat java.base
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PYTHON, "ValueError: every row must have features"),
        (OURS, "The worker says: every row must have features"),
        (JAVA, "OutOfMemoryError: Java heap space"),
        ("something else.\nand more", "something else"),
        ("ModuleNotFoundError: No module named 'foveate'", "the workers have no foveate"),
        ("", "RuntimeError"),
    ],
)
def test_the_cause_is_found(text: str, said: str) -> None:
    assert cause_of(RuntimeError(text)).startswith(said)
    assert is_ours(RuntimeError(text)) == (text == OURS)
