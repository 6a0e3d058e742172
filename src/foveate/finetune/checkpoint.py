"""How far a training is, on disk: killed at any moment, it goes on to the same result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foveate.files import atomic_write

FORMAT = 1


@dataclass(slots=True)
class Progress:
    """Everything about a training that changes from step to step, besides the optimiser.

    Attributes:
        step: steps done.
        loss: sum of the losses of this epoch's steps so far.
        average: exponential moving average of the learned parameters.
        best: that average after the best epoch.
        best_epoch: which one that was, from 0.
        epochs: how each epoch ended, as plain numbers.
        scores: validation scores after the best epoch.
        minibatch: images that go through the device at once.
    """

    average: list[Tensor]
    minibatch: int
    step: int = 0
    loss: float = 0.0
    best: list[Tensor] = field(default_factory=list)
    best_epoch: int = 0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    scores: Tensor | None = None


def save_checkpoint(
    path: Path,
    key: str,
    learned: Sequence[Tensor],
    optimiser: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: the file.
        key: what must be the same for the training to go on: data, settings, versions.
        learned: the parameters that are trained.
        optimiser: with its moments.
        progress: everything else.
    """
    state = {
        "format": FORMAT,
        "key": key,
        "learned": [parameter.detach() for parameter in learned],
        "optimiser": optimiser.state_dict(),
        "progress": {name: getattr(progress, name) for name in Progress.__slots__},
    }
    with atomic_write(path, durable=False) as file:
        torch.save(state, file)


def load_checkpoint(
    path: Path,
    key: str,
    learned: Sequence[Tensor],
    optimiser: torch.optim.Optimizer,
    progress: Progress,
) -> bool:
    """Take up a training where a checkpoint of the same training left it.

    Returns:
        Whether there was one.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError):
        return False  # none, or derived data that is damaged: the training starts again
    except Exception as error:
        if "Unpickling" not in type(error).__name__:
            raise
        return False
    if state.get("format") != FORMAT or state.get("key") != key:
        return False
    with torch.no_grad():
        for parameter, value in zip(learned, state["learned"], strict=True):
            parameter.copy_(value)
    optimiser.load_state_dict(state["optimiser"])
    device = learned[0].device
    for name, value in state["progress"].items():
        found = [v.to(device) for v in value] if name in ("average", "best") else value
        setattr(progress, name, found)
    return True
