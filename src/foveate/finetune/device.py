"""Where a training computes: on which device, in which precision, and with how many others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from foveate.errors import SettingsError
from foveate.launch.position import find_position


@dataclass(frozen=True, slots=True)
class Device:
    """One of `count` processes that train together, and the device it computes on.

    Attributes:
        torch: the device.
        bfloat16: whether the network computes in bfloat16; float32 else.
        rank: number of this process; 0 writes.
        count: number of processes.
    """

    torch: torch.device
    bfloat16: bool
    rank: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        """As people know it."""
        if self.torch.type == "cuda":
            return str(torch.cuda.get_device_name(self.torch))
        threads = torch.get_num_threads()
        return f"CPU, {threads} thread{'s' * (threads != 1)}"

    def autocast(self) -> torch.autocast:
        """The context in which the network runs."""
        return torch.autocast(self.torch.type, torch.bfloat16, enabled=self.bfloat16)

    def finish(self) -> None:
        """Wait until the device has computed what it was given."""
        if self.torch.type == "cuda":
            torch.cuda.synchronize(self.torch)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()

    def add_up(self, values: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one message."""
        if self.count > 1 and values:
            together = torch.cat([value.flatten() for value in values])
            distributed.all_reduce(together)
            parts = together.split([value.numel() for value in values])
            for value, part in zip(values, parts, strict=True):
                value.copy_(part.view_as(value))

    def as_the_first(self, values: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by that of the first process."""
        if self.count > 1:
            for value in values:
                distributed.broadcast(value, src=0)

    def share(self, n: int) -> slice:
        """The part of a batch of n that is this process's."""
        return slice(self.rank * n // self.count, (self.rank + 1) * n // self.count)


@contextmanager
def open_device(wanted: str, precision: str, workers: int = 0) -> Iterator[Device]:
    """The device to train on; within, the processes that torchrun started know each other.

    Args:
        wanted: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        precision: "auto" (bfloat16 where the device computes in it), "bfloat16", "float32".
        workers: threads that PyTorch computes with on a CPU, in all processes of this machine
            together; afterwards it has as many as before. 0: as many as it would take by itself.

    Raises:
        SettingsError: the device that was asked for is not there.
    """
    position = find_position()
    device = _find(wanted, position.local_rank)
    bfloat16 = _has_bfloat16(device) if precision == "auto" else precision == "bfloat16"
    if position.count > 1:
        # The first process may decode millions of images while the others wait for it.
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, timeout=timedelta(days=1))
    threads = torch.get_num_threads()
    if workers:
        torch.set_num_threads(position.threads(workers))
    try:
        yield Device(device, bfloat16, position.rank, position.count)
    finally:
        if workers:
            torch.set_num_threads(threads)
        if position.count > 1:
            distributed.destroy_process_group()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device has not enough memory."""
    message = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError)
        and any(words in message for words in ("out of memory", "allocate memory", "alloc_failed"))
    )


def halved(images: int) -> int:
    """Half as many images at once.

    Raises:
        SettingsError: it was one already.
    """
    if images <= 1:
        raise SettingsError(
            "The device has not enough memory for a single image. Use a lower `--resolution`, a "
            "smaller backbone, or `--device cpu`."
        )
    return math.ceil(images / 2)


@contextmanager
def enough_memory() -> Iterator[None]:
    """Within, a lack of memory is a sentence, wherever fewer images at once would not help.

    Raises:
        SettingsError: the device has not enough memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise SettingsError(
            "The device has not enough memory to train this network, however few images it takes "
            "at once. Use a smaller backbone, `--depth head` or `last_only`, or `--device cpu`."
        ) from error


def _find(wanted: str, local: int) -> torch.device:
    there = torch.cuda.is_available()
    if wanted == "auto":
        wanted = "cuda" if there else "cpu"
    if wanted == "cpu":
        return torch.device("cpu")
    kind, _, number = wanted.partition(":")
    if kind != "cuda" or not (number or "0").isdigit():
        raise SettingsError(f"The device is ‘{wanted}’; use auto, cpu, cuda or cuda:N.")
    if not there:
        raise SettingsError(
            f"The device ‘{wanted}’ was asked for, but PyTorch finds no GPU on this machine. "
            "Use `--device cpu`, or look whether `nvidia-smi` lists one."
        )
    index = int(number) if number else local
    if index >= torch.cuda.device_count():
        raise SettingsError(
            f"There is no GPU {index}; this machine has {torch.cuda.device_count()}, from 0 on."
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Where the CPU has to emulate it, bfloat16 is several times slower than float32.
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and (
        torch.cpu._is_avx512_bf16_supported()
    )
