from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from foveate.history.environment import environment


def test_machine_and_libraries(tmp_path: Path) -> None:
    found = environment(tmp_path)
    assert found["library.numpy"] == np.__version__
    assert int(found["machine.cores"]) >= 1
    assert not any(name.startswith("git") for name in found)  # no repository


def test_state_of_the_code(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    git("init", "--initial-branch", "work")
    (tmp_path / "a").write_text("one")
    git("add", "a")
    git("commit", "-m", "a")
    found = environment(tmp_path)
    assert len(found["mlflow.source.git.commit"]) == 40
    assert (found["git.branch"], found["git.changed"]) == ("work", "no")
    (tmp_path / "a").write_text("two")
    assert environment(tmp_path)["git.changed"] == "yes"
