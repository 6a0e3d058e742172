"""The same command in several processes that refine together, started by PyTorch's torchrun."""

from __future__ import annotations

import os
import subprocess
import sys


def is_one_of_many() -> bool:
    """Whether torchrun started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_helper() -> bool:
    """Whether another process does the talking and the writing."""
    return is_one_of_many() and os.environ["RANK"] != "0"


def run_many(count: int) -> int:
    """Run this very command in `count` processes on this machine.

    Several machines start it themselves: `torchrun --nnodes … -m foveate train …`.

    Returns:
        The exit status: 0 where all did their work.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(count), "-m", "foveate", *sys.argv[1:]]
    # Each process gets its part of the cores; PyTorch's own choice is a single one.
    threads = str(max((os.cpu_count() or 1) // count, 1))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    # Our own interpreter with our own arguments, and no shell.
    return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
