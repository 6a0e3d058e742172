"""Programs of our own leave the garbage to the system when they end; a library changes nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

AT_THE_END = (
    "import atexit, gc, sys\natexit.register(lambda: print(gc.get_freeze_count() > 1000))\n"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "frozen"),
    [
        ("import foveate.cli as cli; sys.argv[1:] = ['--version']; cli.main()", True),
        ("import foveate.cli as cli; cli.run(['--version'])", False),
        ("import foveate.api", False),
    ],
)
def test_only_programs_end_without_a_last_look(program: str, frozen: bool) -> None:
    done = subprocess.run([sys.executable, "-c", AT_THE_END + program], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == str(frozen).encode()
