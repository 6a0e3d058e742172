"""LitServe as its documentation shows it, with batches: PORT BATCH TIMEOUT WORKERS FAST_QUEUE."""

from __future__ import annotations

import sys

import litserve
import numpy as np
from numpy.typing import NDArray

from benchmarks.serve_plain import PlainModel


class PlainApi(litserve.LitAPI):  # type: ignore[misc]  # not typed
    """Decode, batch (NumPy arrays are stacked by LitServe itself), predict, encode."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the model, in every worker."""
        self.model = PlainModel()

    def decode_request(self, request: dict[str, list[str]]) -> NDArray[np.uint8]:
        """Pixels (resolution, resolution, 3) of the one image in a request."""
        (text,) = request["images"]
        return self.model.pixels(text)

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (n, K); LitServe deals the rows out again."""
        if pixels.ndim == 3:  # batches of one are not stacked
            return self.model.probabilities(pixels[None])[0]
        return self.model.probabilities(pixels)

    def encode_response(self, row: NDArray[np.float32]) -> dict[str, object]:
        """The answer to one request."""
        return self.model.answer([row])


def main(port: int, batch: int, timeout: float, workers: int, fast_queue: bool) -> None:
    """Serve until killed."""
    server = litserve.LitServer(
        PlainApi(max_batch_size=batch, batch_timeout=timeout),
        accelerator="cpu",
        workers_per_device=workers,
        fast_queue=fast_queue,
    )
    server.run(
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )


if __name__ == "__main__":
    main(
        int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "1"
    )
