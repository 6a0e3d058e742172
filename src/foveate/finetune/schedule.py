"""The learning rate over the course of a training."""

from __future__ import annotations

import math

from foveate.settings import Schedule

WARM_UP = 0.05
"""Share of the steps in which the rate of "cosine" rises from 0."""

STEPS = (20 / 45, 40 / 45)
"""Shares of the epochs after which the rate of "step" falls to a tenth: of 45 epochs, 20 at the
full rate, 20 at a tenth, 5 at a hundredth."""


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
