"""A whole classifier as OpenVINO's `.xml` and `.bin`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.catalog import read_file, read_source
from foveate.classifier import Classifier
from foveate.errors import ImageRefused, ModelFileError
from foveate.image import DEFAULT_LIMITS, Limits, open_image

GENERATED = 8
"""Generated images that an export is compared on."""

COMPARED = 16
"""Images of a source, at most, that it is compared on besides."""


def export_openvino(
    classifier: Classifier,
    path: Path,
    source: str | None = None,
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[int, float]:
    """Write a whole classifier as OpenVINO's `.xml` and `.bin`, once it answers as the original.

    Both are compared on generated images and on some of a source: probabilities within 0.001, and
    the same label wherever one is more probable than the others. In float32 they are compared with
    ONNX Runtime's, in int8 with those of OpenVINO's own reading of the ONNX file.

    Args:
        classifier: the original.
        path: of the `.xml`.
        source: of real images to compare on.
        limits: larger ones are not looked at.

    Returns:
        On how many images they were compared, and the largest difference of a probability.

    Raises:
        ModelFileError: OpenVINO cannot run it, or answers something else; nothing is written.
        SourceError: the source cannot be read.
    """
    metadata = classifier.metadata
    pixels = [*generated_pixels(metadata.resolution)]
    if source is not None:
        pixels += _some_pixels(classifier, source, limits)
    try:
        from foveate.runtime.openvino_ir import save_ir

        difference = save_ir(
            classifier.onnx_bytes,
            path,
            resolution=metadata.resolution,
            info={
                "labels": json.dumps(metadata.labels, ensure_ascii=False),
                "metadata": metadata.model_dump_json(),
                "original": classifier.id,
            },
            pixels=np.stack(pixels),
        )
    except ImportError:
        raise ModelFileError("OpenVINO is not installed. `pip install openvino`.") from None
    except RuntimeError as error:
        raise ModelFileError(
            f"This classifier cannot be exported for OpenVINO: {_in_short(error)}. Run the ONNX "
            "file with ONNX Runtime instead."
        ) from None
    return len(pixels), difference


def _some_pixels(classifier: Classifier, source: str, limits: Limits) -> list[NDArray[np.uint8]]:
    """Some readable images of a source, as pixels."""
    pixels = []
    for entry in read_source(source).limited(COMPARED).entries:
        try:
            image = open_image(read_file(entry.file, limits))
            pixels.append(image.pixels(classifier.resize))
        except ImageRefused:
            continue
    return pixels


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
