"""One interface for every runtime, and the choice between them."""

from __future__ import annotations

import logging
from functools import cache

import numpy as np
from numpy.typing import NDArray

from foveate.errors import ModelFileError
from foveate.runtime.cores import usable_cores
from foveate.runtime.exactness import (
    LARGEST,
    PAIR_FITS,
    SIDE,
    pairs_fit,
    stays_white,
    white_network,
)
from foveate.runtime.interface import Network, Precision, RuntimeName
from foveate.runtime.untrusted import first_line

logger = logging.getLogger(__name__)


def open_network(
    onnx_bytes: bytes,
    *,
    resolution: int,
    precision: Precision = "auto",
    runtime: RuntimeName = "auto",
    workers: int | None = None,
    batch: int | None = None,
) -> Network:
    """Load a network `pixels` uint8 (N, H, W, 3) → `features` float32 (N, d).

    Args:
        onnx_bytes: the ONNX file.
        resolution: pixels a side of every image that will come.
        precision: "auto" is bfloat16 where the CPU computes in it, float32 elsewhere.
        runtime: "auto" is OpenVINO, or ONNX Runtime where OpenVINO is missing or cannot run the
            network.
        workers: how many threads will call `run` at once; all usable cores by default.
        batch: images a call; None is what the runtime is fastest with.

    Raises:
        ImportError: the runtime that was asked for is not installed.
        ModelFileError: the network is not one that foveate runs (`untrusted.read_graph`), the
            runtime that was asked for cannot run it, or it is in int8 and would be computed wrong
            on this machine.
    """
    try:
        return SafeNetwork(_choose(onnx_bytes, resolution, precision, runtime, workers, batch))
    except RuntimeError as error:
        raise ModelFileError(first_line(error)) from None


class SafeNetwork:
    """A network that says in a sentence that it cannot be run; see `Network`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.runtime = network.runtime
        self.precision = network.precision
        self.batch = network.batch

    def prepare(self) -> None:
        """Compile for full batches now rather than at the first call."""
        try:
            self._network.prepare()
        except RuntimeError as error:
            raise _cannot_run(error) from None

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (n, d) of pixels (n, resolution, resolution, 3), for any n."""
        try:
            features = self._network.run(pixels)
        except RuntimeError as error:
            raise _cannot_run(error) from None
        if features.ndim != 2 or len(features) != len(pixels) or features.dtype != np.float32:
            raise ModelFileError(
                f"This network gives no features: {features.dtype} of shape {features.shape} for "
                f"{len(pixels)} images."
            )
        return features


def _cannot_run(error: Exception) -> ModelFileError:
    return ModelFileError(f"This network cannot be run: {first_line(error)}.")


def _choose(
    onnx_bytes: bytes,
    resolution: int,
    precision: Precision,
    runtime: RuntimeName,
    workers: int | None,
    batch: int | None,
) -> Network:
    workers = workers or usable_cores()
    if runtime != "onnxruntime":
        try:
            network = _open("openvino", onnx_bytes, resolution, precision, workers, batch)
            _check_sums(network, onnx_bytes, precision)
            return network
        except (ImportError, RuntimeError, ModelFileError) as error:
            if runtime == "openvino":
                raise
            logger.warning("OpenVINO cannot run this network, ONNX Runtime will: %s", error)
    network = _open("onnxruntime", onnx_bytes, resolution, precision, workers, batch)
    _check_sums(network, onnx_bytes, precision)
    return network


def _open(
    runtime: str,
    onnx_bytes: bytes,
    resolution: int,
    precision: Precision,
    workers: int,
    batch: int | None = None,
) -> Network:
    if runtime == "openvino":
        from foveate.runtime.openvino import OpenVinoNetwork

        return OpenVinoNetwork(onnx_bytes, resolution, precision, workers, batch)
    from foveate.runtime.onnxruntime import OnnxRuntimeNetwork

    return OnnxRuntimeNetwork(onnx_bytes, batch)


RUNTIMES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}


def _check_sums(network: Network, onnx_bytes: bytes, precision: Precision) -> None:
    """Refuse a network in int8 whose sums come out wrong in this runtime on this machine.

    Raises:
        ModelFileError: they do.
    """
    if network.precision != "int8":
        return
    fits = pairs_fit(onnx_bytes)
    if sums_are_exact(network.runtime, PAIR_FITS // 2 if fits else LARGEST, precision):
        return
    advice = (
        "Use the original"
        if fits
        else "Foveate made such files before it knew of this: make the file again from its "
        "original with `foveate export --int8`, or use the original"
    )
    raise ModelFileError(
        f"{RUNTIMES[network.runtime]} computes this int8 network wrong on this processor, whose "
        f"integer instructions lose part of large sums. {advice}."
    )


@cache
def sums_are_exact(runtime: str, weight: int, precision: Precision) -> bool:
    """Whether a runtime computes networks in int8 right on this machine; tried once a process.

    Args:
        runtime: "openvino" or "onnxruntime".
        weight: the magnitude of all weights that are tried.
        precision: of what is not in int8.
    """
    return stays_white(_open(runtime, white_network(weight), SIDE, precision, workers=1))
