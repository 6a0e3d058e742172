"""The same command in several processes that refine together, started by PyTorch's torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from foveate.errors import SettingsError

_ENDING = (signal.SIGINT, signal.SIGTERM)


def is_one_of_many() -> bool:
    """Whether torchrun started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_helper() -> bool:
    """Whether another process does the talking and the writing."""
    return is_one_of_many() and os.environ["RANK"] != "0"


def run_many(count: int, device: str) -> int:
    """Run this very command in `count` processes on this machine.

    Several machines start it themselves: `torchrun --nnodes … -m foveate train …`.

    Args:
        count: processes.
        device: as the settings name it; every process gets a GPU of its own.

    Returns:
        The exit status: 0 where all did their work.

    Raises:
        BackboneError: PyTorch is not installed.
        SettingsError: there are fewer GPUs than processes.
    """
    from foveate.backbones import need_torch

    need_torch("To refine on several devices")
    _check(count, device)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(count), "-m", "foveate", *sys.argv[1:]]
    # Each process gets its part of the cores; PyTorch's own choice is a single one.
    threads = str(max((os.cpu_count() or 1) // count, 1))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    # Our own interpreter with our own arguments, and no shell.
    process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own words
    # What would end this program ends the others first: they have a session of their own.
    before = {end: signal.signal(end, lambda *_: process.terminate()) for end in _ENDING}
    try:
        return process.wait()
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


def _check(count: int, device: str) -> None:
    """Whether there is a GPU for each process, where GPUs are wanted."""
    import torch

    kind, _, index = device.partition(":")
    if index:
        raise SettingsError(
            f"‘{device}’ is a single GPU, but {count} devices are asked for. Use `--device cuda`; "
            "CUDA_VISIBLE_DEVICES says which ones."
        )
    gpus = torch.cuda.device_count()
    if (kind == "cuda" or (kind == "auto" and gpus)) and gpus < count:
        raise SettingsError(
            f"{count} devices are asked for, but PyTorch finds {gpus} GPU{'s' * (gpus != 1)} on "
            "this machine. Ask for fewer, or use `--device cpu`."
        )
