"""The same command in several processes that refine together, started by PyTorch's torchrun."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from foveate import __version__
from foveate.errors import SettingsError
from foveate.files import digest

if TYPE_CHECKING:
    from foveate.settings import Settings
    from foveate.targets import Target

_MEETING = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}")
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
    return _torchrun(["--standalone"], count, "foveate")


def run_machines(target: Target, settings: Settings, source: str, *, quiet: bool = False) -> int:
    """Run this very command in processes of this machine and of others, which are given it, too.

    Each process is `foveate.cli.together`.

    Args:
        target: of kind torch: how many machines, processes on each, and where they meet.
        settings: machines whose settings differ never meet.
        source: likewise.
        quiet: whether to say nothing while waiting for the others.

    Returns:
        The exit status: 0 where all did their work.

    Raises:
        BackboneError: PyTorch is not installed.
        SettingsError: the target does not say where the machines meet or how many there are, or
            there are fewer GPUs than processes.
    """
    from foveate.backbones import need_torch

    if not (target.executors and _MEETING.fullmatch(target.master)):
        raise SettingsError(
            "A target of kind torch needs `master`, the HOST:PORT of one of its machines, and "
            "`executors`, how many machines there are."
        )
    need_torch("To refine on several machines")
    count = target.cores or _gpus(settings.device) or 1
    _check(count, settings.device)
    same = settings.model_dump_json(exclude={"workers", "device", "tracking"})
    meeting = ["--nnodes", str(target.executors), "--rdzv-backend", "c10d"]
    meeting += ["--rdzv-endpoint", target.master]
    meeting += ["--rdzv-id", digest(f"{__version__} {source} {same}".encode())[:16]]
    if not quiet and target.executors > 1:
        others = target.executors - 1
        print(
            f"Waiting at {target.master} for {others} other machine{'s' * (others != 1)}; give "
            "the same command there. One of them writes the classifier and says so.",
            file=sys.stderr,
        )
    return _torchrun(meeting, count, "foveate.cli.together")


def _torchrun(meeting: list[str], count: int, module: str) -> int:
    """Run a module with this command's arguments in `count` processes here."""
    command = [sys.executable, "-m", "torch.distributed.run", *meeting]
    command += ["--nproc-per-node", str(count), "-m", module, *sys.argv[1:]]
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


def _gpus(device: str) -> int:
    """GPUs of this machine that the settings let us use."""
    import torch

    return 0 if device == "cpu" else torch.cuda.device_count()
