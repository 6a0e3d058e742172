"""What every runtime offers."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Precision = Literal["auto", "bfloat16", "float32"]
RuntimeName = Literal["auto", "openvino", "onnxruntime"]


class Network(Protocol):
    """A loaded backbone at one resolution.

    `run` may be called from several threads at once: each call uses one core, which leaves
    the sharing out of the cores to the caller, who also has images to decode on them.

    Attributes:
        runtime: "openvino" or "onnxruntime".
        precision: what it computes in, "bfloat16" or "float32"; "int8" where it was quantised,
            whatever the layers that were left out compute in.
        batch: the number of images a call is fastest with.
    """

    runtime: str
    precision: str
    batch: int

    def prepare(self) -> None:
        """Compile for full batches now rather than at the first call."""
        ...

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (n, d) of pixels (n, resolution, resolution, 3), for any n.

        The same image gives the same features to the bit, whatever the images beside it.

        Raises:
            ModelFileError: the network cannot be run on them, or gives no features.
        """
        ...
