"""The same command in several processes that refine together, started by PyTorch's torchrun."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from foveate import __version__
from foveate.errors import SettingsError
from foveate.files import digest
from foveate.launch.position import share_of_threads
from foveate.launch.torchrun import hushed, run_processes

if TYPE_CHECKING:
    from foveate.settings import Settings
    from foveate.targets import Target

_MEETING = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}")


def run_many(count: int, settings: Settings) -> None:
    """Run this very command in `count` processes on this machine.

    Several machines start it themselves: `torchrun --nnodes … -m foveate train …`.

    Args:
        count: processes.
        settings: every process gets a GPU of its own, where they ask for GPUs.

    Raises:
        BackboneError: PyTorch is not installed.
        SettingsError: there are fewer GPUs than processes.
        FoveateError: as `torchrun.run_processes` raises.
    """
    from foveate.backbones import need_torch

    need_torch("To refine on several devices")
    with hushed():
        _check(count, settings.device)
        run_processes(["--standalone"], count, threads_of_each(count, settings))


def run_machines(
    target: Target, settings: Settings, source: str, *, remark: Callable[[str], None]
) -> None:
    """Run this very command in processes of this machine and of others, which are given it, too.

    Args:
        target: of kind torch: how many machines, processes on each, and where they meet.
        settings: machines whose settings differ never meet.
        source: likewise.
        remark: told that the others are waited for.

    Raises:
        BackboneError: PyTorch is not installed.
        SettingsError: the target does not say where the machines meet or how many there are, or
            there are fewer GPUs than processes.
        FoveateError: as `torchrun.run_processes` raises.
    """
    from foveate.backbones import need_torch

    if not (target.executors and _MEETING.fullmatch(target.master)):
        raise SettingsError(
            "A target of kind torch needs `master`, the HOST:PORT of one of its machines, and "
            "`executors`, how many machines there are."
        )
    need_torch("To refine on several machines")
    same = settings.model_dump_json(exclude={"workers", "device", "tracking"})
    meeting = ["--nnodes", str(target.executors), "--rdzv-backend", "c10d"]
    meeting += ["--rdzv-endpoint", target.master]
    meeting += ["--rdzv-id", digest(f"{__version__} {source} {same}".encode())[:16]]
    with hushed():
        count = target.cores or _gpus(settings.device) or 1
        _check(count, settings.device)
        if others := target.executors - 1:
            remark(
                f"Waiting at {target.master} for {others} other machine{'s' * (others != 1)}; "
                "give the same command there. One of them writes the classifier and says so."
            )
        run_processes(meeting, count, threads_of_each(count, settings))


def threads_of_each(count: int, settings: Settings) -> int:
    """Threads that a process of `count` computes with: its part of the cores.

    PyTorch's own choice under torchrun is a single one. What the user says counts more: --workers,
    then OMP_NUM_THREADS.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if not settings.workers and wanted.isdigit() and int(wanted):
        return int(wanted)
    return share_of_threads(settings.workers, count)


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
