"""How far a training is, on disk: killed at any moment, it goes on to the same result.

A checkpoint is what `torch.save` writes, then `_SEAL`, then the SHA-256 of what came before the
seal. Nothing is believed of a file whose digest does not match: a single wrong bit may otherwise
be a weight that nobody ever looks at.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from foveate.files import atomic_write
from foveate.finetune.device import out_of_memory

FORMAT = 2

_SEAL = b"foveate\x00"
_TRAILER = len(_SEAL) + hashlib.sha256().digest_size
_AT_ONCE = 2**20
"""Bytes that are read for the digest at a time."""


@dataclass(slots=True)
class TrainingState:
    """Everything about a training that changes from step to step, besides the optimiser.

    Attributes:
        average: exponential moving average of the learned parameters.
        minibatch: images that go through the device at once.
        step: steps done.
        loss: sum of the losses of this epoch's steps so far.
        best: that average after the best epoch.
        best_epoch: which one that was, from 0.
        epochs: how each epoch ended, as plain numbers.
        scores: validation scores after the best epoch.
    """

    average: list[Tensor]
    minibatch: int
    step: int = 0
    loss: float = 0.0
    best: list[Tensor] = field(default_factory=list)
    best_epoch: int = 0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    scores: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a training keeps how far it is.

    Attributes:
        path: the file.
        key: what must be the same for a training to go on: data, settings, versions.
    """

    path: Path
    key: str = ""

    def save(
        self, learned: Sequence[Tensor], optimiser: torch.optim.Optimizer, state: TrainingState
    ) -> None:
        """Write it, whole or not at all.

        Args:
            learned: the parameters that are trained.
            optimiser: with its moments.
            state: everything else.
        """
        contents = {
            "format": FORMAT,
            "key": self.key,
            "learned": [parameter.detach() for parameter in learned],
            "optimiser": optimiser.state_dict(),
            "state": {name: getattr(state, name) for name in TrainingState.__slots__},
        }
        with atomic_write(self.path, durable=False) as file:
            digesting = _Digesting(file)
            torch.save(contents, digesting)
            file.write(_SEAL + digesting.digest())

    def load(
        self, learned: Sequence[Tensor], optimiser: torch.optim.Optimizer, state: TrainingState
    ) -> bool:
        """Take up a training where a checkpoint of the same training left it.

        A file that is damaged, of another training, of an earlier format or no checkpoint at all
        is as good as none: it is derived data, and the training begins again.

        Args:
            learned: the parameters that are trained; they get their values.
            optimiser: gets its moments.
            state: gets everything else.

        Returns:
            Whether there was one; where there was none, nothing has changed.
        """
        try:
            with self.path.open("rb") as file:
                if not _is_whole(file):
                    return False
                file.seek(0)
                contents = torch.load(file, map_location="cpu", weights_only=True)
            if (contents["format"], contents["key"]) != (FORMAT, self.key):
                return False
            values, left = contents["learned"], TrainingState(**contents["state"])
            if not all(_fit(each, learned) for each in (values, left.average, left.best or values)):
                return False
            for name in ("average", "best"):
                setattr(left, name, [value.to(learned[0].device) for value in getattr(left, name)])
            optimiser.load_state_dict(contents["optimiser"])
        except Exception as error:
            if out_of_memory(error):
                raise  # of a checkpoint that may be sound
            return False
        with torch.no_grad():
            for parameter, value in zip(learned, values, strict=True):
                parameter.copy_(value)
        for name in TrainingState.__slots__:
            setattr(state, name, getattr(left, name))
        return True


class _Digesting:
    """A file to write to that remembers the digest of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._sha.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> bytes:
        return self._sha.digest()


def _is_whole(file: IO[bytes]) -> bool:
    """Whether a file ends in the digest of the rest of it."""
    left = file.seek(0, os.SEEK_END) - _TRAILER
    if left < 0:
        return False
    file.seek(0)
    sha = hashlib.sha256()
    while left > 0 and (data := file.read(min(left, _AT_ONCE))):
        sha.update(data)
        left -= len(data)
    return file.read() == _SEAL + sha.digest()


def _fit(values: Sequence[Tensor], learned: Sequence[Tensor]) -> bool:
    """Whether tensors can be the values of the parameters."""
    return [(v.shape, v.dtype) for v in values] == [(p.shape, p.dtype) for p in learned]
