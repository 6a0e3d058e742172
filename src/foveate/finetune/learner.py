"""A pretrained network with a new last layer: what is trained; and all that a training is about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.backbones.network import PretrainedNetwork
from foveate.finetune.device import Device
from foveate.finetune.samples import Samples
from foveate.settings import Depth, Settings


class Learner(nn.Module):
    """Network and last layer.

    Args:
        network: the network up to its penultimate features; None where only the last layer
            learns, from features.
        dimension: d, features per image.
        n_labels: K.
        depth: "all" trains every parameter; "head" the last part of the network and the new
            layer; "last_only" the new layer alone, which then takes features instead of pixels.

    Attributes:
        network: as given.
        last: the new layer, features (n, d) → scores (n, K).
        depth: as given.
        learned: the parameters that are trained.
    """

    def __init__(
        self, network: PretrainedNetwork | None, dimension: int, n_labels: int, depth: Depth
    ) -> None:
        super().__init__()
        self.network = network
        self.last = nn.Linear(dimension, n_labels)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.depth: Depth = depth
        if network is not None and depth == "head":
            network.requires_grad_(False)
            for parameter in network.head_parameters():
                parameter.requires_grad_(True)
        self.learned = [p for p in self.parameters() if p.requires_grad]

    def start_from(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        """Give the last layer its first weights (K, d) and bias (K,)."""
        with torch.no_grad():
            self.last.weight.copy_(torch.from_numpy(weight))
            self.last.bias.copy_(torch.from_numpy(bias))

    @property
    def stages(self) -> list[list[nn.Parameter]]:
        """The network's parameters in groups from input to output."""
        return self.network.stages() if self.network is not None else []

    def forward(self, inputs: Tensor, kept: Tensor | None = None) -> Tensor:
        """Scores (n, K).

        Args:
            inputs: (n, 3, r, r) pixels in 0 to 255; features (n, d) where only the last layer
                learns.
            kept: (n, d) factors that dropout multiplies the features by.
        """
        features = inputs if self.network is None else self.features(inputs)
        scores: Tensor = self.last(features if kept is None else features * kept)
        return scores

    def features(self, images: Tensor) -> Tensor:
        """Features (n, d) of pixels (n, 3, r, r) in 0 to 255."""
        network = self.network
        if network is None:
            raise ValueError("there is no network: only the last layer learns")
        mean, std = network.mean.view(1, 3, 1, 1), network.std.view(1, 3, 1, 1)
        normalised = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
        return network.features_of(normalised)


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
