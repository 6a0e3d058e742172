"""OpenVINO: the fast runtime on CPUs, in bfloat16 where the CPU has it."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.runtime.exactness import is_quantised
from foveate.runtime.privacy import openvino_silenced
from foveate.runtime.untrusted import read_graph

with openvino_silenced():
    import openvino

if TYPE_CHECKING:
    from foveate.runtime.interface import Precision

BATCH = 8
"""Images a call. Measured on two cores with bfloat16: batches of 4 to 32 are within 10 % of each
other, small ones keep memory low and start sooner."""


# OpenVINO sets up its conversion of NumPy arrays at the first one, and two threads that both come
# first wait for each other forever (its binding holds the interpreter's lock while it waits for
# the other's). Python runs an import once, in one thread.
openvino.Tensor(np.zeros(1, np.uint8))


class OpenVinoNetwork:
    """A network compiled for one resolution and one batch; see `foveate.runtime.Network`.

    The batch is fixed because a static shape is 20 to 40 % faster than a dynamic one. The last
    batch of a run is padded, which costs nothing in correctness: rows do not influence each other.

    Raises:
        ModelFileError: the network is not one that foveate runs (`untrusted.read_graph`).
        RuntimeError: OpenVINO lacks an operator of the network, or cannot read it.
    """

    runtime = "openvino"

    def __init__(
        self,
        onnx_bytes: bytes,
        resolution: int,
        precision: Precision,
        workers: int,
        batch: int | None = None,
    ) -> None:
        read_graph(onnx_bytes)
        self.batch = batch or BATCH
        self._core = openvino.Core()
        if precision == "auto":
            capable = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            precision = "bfloat16" if capable else "float32"
        # Read now: an operator that OpenVINO lacks has to show before the work begins.
        self._model = self._core.read_model(onnx_bytes)
        self.precision: str = "int8" if is_quantised(onnx_bytes) else precision
        self._resolution = resolution
        self._options = {
            "INFERENCE_PRECISION_HINT": {"bfloat16": "bf16", "float32": "f32"}[precision],
            # One stream a worker, one thread a stream: no two threads wait for each other.
            "NUM_STREAMS": workers,
            "INFERENCE_NUM_THREADS": workers,
            # The decoding threads move between cores; pinned streams would get in their way.
            "ENABLE_CPU_PINNING": False,
        }
        self._workers = workers
        self._idle: dict[int, SimpleQueue[openvino.InferRequest]] = {}
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Compile for full batches, and run once in every stream: the first run is the slowest."""
        requests = self._requests(self.batch)
        pixels = np.zeros((self.batch, self._resolution, self._resolution, 3), np.uint8)
        warm = [requests.get() for _ in range(self._workers)]
        for request in warm:
            request.infer([pixels])
            requests.put(request)

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (n, d) of pixels (n, resolution, resolution, 3), for any n."""
        if len(pixels) == 1:
            return self._infer(pixels)
        parts = []
        for start in range(0, len(pixels), self.batch):
            part = pixels[start : start + self.batch]
            padding = self.batch - len(part)
            padded = np.pad(part, ((0, padding), (0, 0), (0, 0), (0, 0))) if padding else part
            parts.append(self._infer(padded)[: len(part)])
        return np.concatenate(parts)

    def _infer(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        requests = self._requests(len(pixels))
        request = requests.get()
        try:
            # Shared: OpenVINO reads the pixels where they are; the features are copied once, here.
            outputs = request.infer(
                [np.ascontiguousarray(pixels)], share_inputs=True, share_outputs=True
            )
            features: NDArray[np.float32] = outputs[0].copy()
        finally:
            requests.put(request)
        return features

    def _requests(self, batch: int) -> SimpleQueue[openvino.InferRequest]:
        """As many requests as workers, for this batch; a thread takes one and gives it back."""
        with self._lock:
            if batch not in self._idle:
                model = self._model.clone()
                model.reshape([batch, self._resolution, self._resolution, 3])
                compiled = self._core.compile_model(model, "CPU", self._options)
                self._idle[batch] = SimpleQueue()
                for _ in range(self._workers):
                    self._idle[batch].put(compiled.create_infer_request())
            return self._idle[batch]
