"""ONNX Runtime: runs every ONNX network, on every machine."""

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from foveate.runtime.cores import usable_cores
from foveate.runtime.exactness import is_quantised
from foveate.runtime.untrusted import read_graph

BATCH = 8


class OnnxRuntimeNetwork:
    """A network in float32, or in int8 if it was quantised; see `foveate.runtime.Network`."""

    runtime = "onnxruntime"

    def __init__(self, onnx_bytes: bytes, batch: int | None = None) -> None:
        self.batch = batch or BATCH
        self._session = open_session(onnx_bytes)
        self.precision = "int8" if is_quantised(onnx_bytes) else "float32"

    def prepare(self) -> None:
        """Nothing to do: the session was made ready when it was opened."""

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (n, d) of pixels (n, resolution, resolution, 3), for any n."""
        if len(pixels) == 1:
            return self._infer(pixels)
        # Always the same batch: a kernel chosen by the shape may round differently.
        parts = []
        for start in range(0, len(pixels), self.batch):
            part = pixels[start : start + self.batch]
            padding = self.batch - len(part)
            padded = np.pad(part, ((0, padding), (0, 0), (0, 0), (0, 0))) if padding else part
            parts.append(self._infer(padded)[: len(part)])
        return np.concatenate(parts)

    def _infer(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            features: NDArray[np.float32] = self._session.run(["features"], {"pixels": pixels})[0]
        except Exception as error:  # see `open_session`
            raise RuntimeError(f"ONNX Runtime cannot run this network: {error}") from error
        return features


def open_session(onnx_bytes: bytes, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """A quiet ONNX Runtime session on the CPU.

    Args:
        onnx_bytes: the ONNX file.
        threads: threads within one call; 0 is one for each usable core.

    Raises:
        ModelFileError: the network is not one that foveate runs (`untrusted.read_graph`).
        RuntimeError: ONNX Runtime cannot run the network.
    """
    read_graph(onnx_bytes)
    options = onnxruntime.SessionOptions()
    # ONNX Runtime's own 0 is every core of the machine, whatever a container may use of them.
    options.intra_op_num_threads = threads or usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Where the processor's instructions for bytes lose part of large sums (x86 without VNNI), ONNX
    # Runtime takes others if asked to. Our own networks do not need it, files made before do, and
    # so do layers that ONNX Runtime itself quantises between those of a file.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        return onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types of its own
        raise RuntimeError(f"ONNX Runtime cannot run this network: {error}") from error
