"""The last layer of a refined network as a head: it was trained with the network, not fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .calibration import fit_temperature
from .head import Head


@dataclass(frozen=True, slots=True)
class LastLayer:
    """A linear layer on features as they are, not brought to unit length.

    Attributes:
        coef_: (K, d) float32.
        intercept_: (K,) float32.
    """

    coef_: NDArray[np.float32]
    intercept_: NDArray[np.float32]


def head_of_last_layer(
    labels: tuple[str, ...],
    layer: LastLayer,
    held_out: NDArray[np.float32],
    codes: NDArray[np.intp],
) -> Head:
    """A calibrated head.

    Args:
        labels: in the order of the layer's rows.
        layer: the trained layer.
        held_out: (m, K) float32 scores of images that it was not trained on; m may be 0, and the
            temperature is then 1, which is what the layer was trained with.
        codes: (m,) positions of their labels.
    """
    if len(codes) == 0:
        return Head("dnn", labels, None, layer, 1.0, (), None)
    accuracy = float((held_out.argmax(1) == codes).mean())
    return Head("dnn", labels, None, layer, fit_temperature(held_out, codes), (), accuracy)
