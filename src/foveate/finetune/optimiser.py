"""What moves the parameters: their groups, their rates, and the average that follows them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from foveate.finetune.learner import Learner
from foveate.finetune.schedule import layer_factors, rate_factor
from foveate.settings import Settings

DEFAULT_RATES = {"cosine": 5e-4, "step": 0.01}
"""The peak learning rate where the settings leave it open."""


def make_optimiser(learner: Learner, settings: Settings) -> torch.optim.Optimizer:
    """AdamW with a rate for each group of layers ("cosine"), or SGD with one for all ("step")."""
    peak = settings.learning_rate or DEFAULT_RATES[settings.schedule]
    learned = {id(parameter) for parameter in learner.learned}
    stages = [[p for p in stage if id(p) in learned] for stage in learner.stages]
    decay = settings.layer_decay if settings.schedule == "cosine" else 1.0
    factors = [*layer_factors(len(stages), decay), 1.0]
    groups = [
        {"params": parameters, "peak": peak * factor, "weight_decay": weight_decay}
        for stage, factor in zip([*stages, list(learner.last.parameters())], factors, strict=True)
        for parameters, weight_decay in (
            # Biases and the factors of normalisation are not drawn to zero.
            ([p for p in stage if p.ndim > 1], settings.weight_decay),
            ([p for p in stage if p.ndim <= 1], 0.0),
        )
        if parameters
    ]
    if settings.schedule == "step":
        return torch.optim.SGD(groups, peak, momentum=settings.momentum)
    return torch.optim.AdamW(groups, peak)


def set_rate(optimiser: torch.optim.Optimizer, settings: Settings, done: float) -> None:
    """The learning rate of every group of layers, when a share `done` of the steps is done."""
    factor = rate_factor(settings.schedule, done)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor


def follow(average: Sequence[Tensor], learned: Sequence[Tensor], ema: float, step: int) -> None:
    """Move the average towards the parameters; in the first steps faster, to forget the start."""
    weight = 1 - min(ema, step / (step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(list(average), [p.detach() for p in learned], weight)
