"""A whole classifier as OpenVINO's `.xml` and `.bin`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.classifier import Classifier
from foveate.errors import ModelFileError

GENERATED = 8
"""Generated images that an export is compared on."""


def export_openvino(
    classifier: Classifier, path: Path, images: Sequence[NDArray[np.uint8]] = ()
) -> float:
    """Write a whole classifier as OpenVINO's `.xml` and `.bin`, once it answers as the original.

    Both are compared on generated images and on those given: probabilities within 0.001, and the
    same label wherever one is more probable than the others. In float32 they are compared with
    ONNX Runtime's, in int8 with those of OpenVINO's own reading of the ONNX file.

    Args:
        classifier: the original.
        path: of the `.xml`.
        images: pixels (resolution, resolution, 3) of some real images.

    Returns:
        The largest difference of a probability.

    Raises:
        ModelFileError: OpenVINO cannot run it, or answers something else; nothing is written.
    """
    metadata = classifier.metadata
    try:
        from foveate.runtime.openvino_ir import save_ir

        return save_ir(
            classifier.onnx_bytes,
            path,
            resolution=metadata.resolution,
            info={
                "labels": json.dumps(metadata.labels, ensure_ascii=False),
                "metadata": metadata.model_dump_json(),
                "original": classifier.id,
            },
            pixels=np.stack([*generated_pixels(metadata.resolution), *images]),
        )
    except ImportError:
        raise ModelFileError("OpenVINO is not installed. `pip install openvino`.") from None
    except RuntimeError as error:
        raise ModelFileError(
            f"This classifier cannot be exported for OpenVINO: {_in_short(error)}. Run the ONNX "
            "file with ONNX Runtime instead."
        ) from None


def generated_pixels(resolution: int, n: int = GENERATED) -> NDArray[np.uint8]:
    """Pixels (n, resolution, resolution, 3) of coloured patches, coarse and fine."""
    rng = np.random.default_rng(0)
    images = np.empty((n, resolution, resolution, 3), np.uint8)
    for number, image in enumerate(images):
        cells = 2 << (number % 5)
        index = np.arange(resolution) * cells // resolution
        patches = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        image[:] = patches[index][:, index]
    return images


def _in_short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")
