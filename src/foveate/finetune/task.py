"""What a training is about."""

from __future__ import annotations

from dataclasses import dataclass

from foveate.finetune.device import Device
from foveate.finetune.learner import Learner
from foveate.finetune.samples import Samples
from foveate.settings import Settings


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained, on what, how, and where.

    Attributes:
        learner: the network and its last layer; trained in place.
        samples: what to learn from and to validate on.
        settings: all of them.
        device: where to compute, and with how many others.
    """

    learner: Learner
    samples: Samples
    settings: Settings
    device: Device
