"""What the rival servers do with an image: Pillow and ONNX Runtime, as the README shows."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image


class PlainModel:
    """A foveate classifier in plain ONNX Runtime, in float32, without foveate.

    Configured by the environment, because both rivals start their workers in processes of their
    own: `PLAIN_MODEL` is the file, `PLAIN_THREADS` the threads within one inference (0 is one a
    core), `PLAIN_DRAFT` set to 1 lets libjpeg skip what the resize would throw away.
    """

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("PLAIN_THREADS", "1"))
        self._session = onnxruntime.InferenceSession(
            os.environ["PLAIN_MODEL"], options, providers=["CPUExecutionProvider"]
        )
        about = json.loads(self._session.get_modelmeta().custom_metadata_map["foveate"])
        self.labels: list[str] = about["labels"]
        self._resolution = int(about["resolution"])
        self._draft = os.environ.get("PLAIN_DRAFT") == "1"

    def pixels(self, text: str) -> NDArray[np.uint8]:
        """Pixels (resolution, resolution, 3) uint8 RGB of an image in base64."""
        image = Image.open(io.BytesIO(base64.b64decode(text)))
        if self._draft:
            image.draft("RGB", (self._resolution * 8 // 7,) * 2)
        image = image.convert("RGB")
        side = min(image.size) * 7 / 8
        left, top = (image.width - side) / 2, (image.height - side) / 2
        square = image.resize(
            (self._resolution,) * 2,
            Image.Resampling.HAMMING,
            box=(left, top, left + side, top + side),
        )
        return np.asarray(square)

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (n, K) of pixels (n, resolution, resolution, 3)."""
        rows: NDArray[np.float32] = self._session.run(["probabilities"], {"pixels": pixels})[0]
        return rows

    def answer(self, rows: Sequence[NDArray[np.float32]]) -> dict[str, object]:
        """The body of a response, in the form of foveate's own."""
        return {
            "predictions": [
                {
                    "label": self.labels[int(row.argmax())],
                    "probability": float(row.max()),
                    "probabilities": {
                        label: float(p) for label, p in zip(self.labels, row, strict=True)
                    },
                }
                for row in rows
            ]
        }
