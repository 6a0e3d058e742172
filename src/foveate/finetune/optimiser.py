"""What moves the parameters: their groups and rates, and the average that follows them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from foveate.finetune.learner import Learner
from foveate.settings import LEARNING_RATES, Schedule, Settings

WARM_UP = 0.05
"""Share of the steps in which the rate of "cosine" rises from 0."""

STEPS = (20 / 45, 40 / 45)
"""Shares of the epochs after which the rate of "step" falls to a tenth: of 45 epochs, 20 at the
full rate, 20 at a tenth, 5 at a hundredth."""


def make_optimiser(learner: Learner, settings: Settings) -> torch.optim.Optimizer:
    """AdamW with a rate for each group of layers ("cosine"), or SGD with one for all ("step")."""
    peak = settings.learning_rate or LEARNING_RATES[settings.schedule]
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


def rate_factor(schedule: Schedule, done: float) -> float:
    """The learning rate as a share of its peak.

    Args:
        schedule: "cosine": a linear rise, then half a cosine (Loshchilov and Hutter, "SGDR",
            ICLR 2017); "step": full, a tenth, a hundredth.
        done: share of the training that is done, in [0, 1].
    """
    if schedule == "step":
        return math.prod(0.1 for at in STEPS if done >= at)
    if done < WARM_UP:
        return done / WARM_UP
    return (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


def layer_factors(count: int, decay: float) -> list[float]:
    """How fast each of `count` groups of layers learns, from the input to the output.

    The last layer learns at the full rate and each group before it at `decay` times that of the
    next: what is near the input is general and needs the least change (Clark et al., "ELECTRA",
    ICLR 2020, appendix A).
    """
    return [decay ** (count - index) for index in range(count)]
