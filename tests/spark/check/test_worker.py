"""The question that travels to workers, answered here."""

from __future__ import annotations

from pathlib import Path

import foveate
from foveate.spark.check.worker import Question, ask


def test_a_question_can_be_answered_anywhere(tmp_path: Path) -> None:
    (tmp_path / "driver").write_bytes(b"abc")
    said = ask(Question(str(tmp_path), {}, b"abc", patience=0), 3)
    assert said["problems"] == []
    assert (said["foveate"], said["partition"]) == (foveate.__version__, 3)
    assert (tmp_path / "worker-3").read_bytes() == b"cba"
    assert ask(Question(str(tmp_path), {}, b"xyz", patience=0), 3)["problems"]
    assert (
        "cannot read" in ask(Question(str(tmp_path / "no"), {}, b"", patience=0), 3)["problems"][0]
    )
