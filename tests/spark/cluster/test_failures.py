"""Spark's failures, in a sentence."""

from __future__ import annotations

import pytest

from foveate.spark.cluster.failures import in_a_sentence

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

LOST = """An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "distributor.py", line 500, in _execute_command
    raise RuntimeError(
RuntimeError: Command ['python', '-m', 'pyspark.ml.torch'] failed with return code 1.
 The task output is included below: Traceback (most recent call last):
  File "train.py", line 8, in <module>
    output = fn(*args, **kwargs)
{cause}
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
train.py FAILED
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PYTHON, "lost: ValueError: every row must have features."),
        (OURS, "The worker says: every row must have features"),
        (JAVA, "lost: OutOfMemoryError: Java heap space."),
        ("something else.\nand more", "lost: something else."),
        (
            "ModuleNotFoundError: No module named 'foveate'",
            "The workers have no ‘foveate’. Install",
        ),
        ("", "lost: RuntimeError."),
        ('java.io.IOException: Cannot run program "/opt/py": error=2', "no Python at ‘/opt/py’"),
        ("[PYTHON_VERSION_MISMATCH] Python in worker has 3.9", "the same minor version"),
        ("Job aborted\njava.lang.SomeError: away\n\tat org.x.Y", "lost: SomeError: away."),
    ],
)
def test_the_cause_is_found(text: str, says: str) -> None:
    assert says in in_a_sentence(RuntimeError(text), "It is lost: {cause}.")


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        ("foveate.errors.BackboneError: No ‘x’ here. Add it.", "No ‘x’ here. Add it."),
        ("ValueError: 3 is too many", "lost: ValueError: 3 is too many"),
        ("[rank1]: RuntimeError: Connection closed by peer", "Connection closed by peer"),
        ("ModuleNotFoundError: No module named 'torch'", "have no ‘torch’. Install foveate"),
        ("Signal 9 (SIGKILL) received by PID 7", "memory was short"),
        ("", "lost: An exception was thrown"),
    ],
)
def test_what_torchrun_says_around_it_is_left_out(cause: str, says: str) -> None:
    sentence = in_a_sentence(RuntimeError(LOST.replace("{cause}", cause)), "It is lost: {cause}.")
    assert says in sentence
    assert "Traceback" not in sentence
    assert "\n" not in sentence
