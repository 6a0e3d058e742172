"""A classifier as OpenVINO's own pair of files, `.xml` and `.bin`, for programs that read those."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveate.files import atomic_write
from foveate.runtime.exactness import PAIR_FITS, is_quantised, pairs_fit
from foveate.runtime.network import sums_are_exact
from foveate.runtime.onnxruntime import open_session
from foveate.runtime.privacy import openvino_silenced
from foveate.runtime.untrusted import read_graph

with openvino_silenced():
    import openvino

INFO = "foveate"
"""The section of the file's `rt_info` that carries what is known about the classifier."""

TOLERANCE = 1e-3
"""By how much a probability may differ from the original's, both in float32."""


def save_ir(
    onnx_bytes: bytes,
    path: Path,
    *,
    resolution: int,
    info: Mapping[str, str],
    pixels: NDArray[np.uint8],
) -> float:
    """Convert a classifier, compare it with the original, and write it if they agree.

    Args:
        onnx_bytes: `pixels` uint8 (N, H, W, 3) → `probabilities` float32 (N, K), and more.
        path: of the `.xml`; the `.bin` goes beside it.
        resolution: pixels a side, written into the shape of the input.
        info: goes into `rt_info`, below `foveate`.
        pixels: (n, resolution, resolution, 3) images to compare on.

    Returns:
        The largest difference of a probability.

    Raises:
        ModelFileError: the file is not one that foveate runs (`untrusted.read_graph`).
        RuntimeError: OpenVINO lacks an operator, or computes something else.
        OSError: the files cannot be written.
    """
    read_graph(onnx_bytes)
    _check_sums(onnx_bytes)
    core = openvino.Core()
    model = core.read_model(onnx_bytes)
    model.reshape([-1, resolution, resolution, 3])
    for key, value in info.items():
        model.set_rt_info(value, [INFO, key])
    with tempfile.TemporaryDirectory(prefix="foveate-") as folder:
        fresh = Path(folder) / "model.xml"
        try:
            openvino.save_model(model, fresh, compress_to_fp16=False)
            difference = _largest_difference(core, fresh, onnx_bytes, pixels)
        except RuntimeError:
            # OpenVINO does not say why it cannot write, and sometimes not even that it could not.
            if shutil.disk_usage(folder).free < len(onnx_bytes):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder) from None
            raise
        for suffix in (".bin", ".xml"):  # the one that names the other comes last
            with (
                fresh.with_suffix(suffix).open("rb") as whole,
                atomic_write(path.with_suffix(suffix)) as file,
            ):
                shutil.copyfileobj(whole, file)
    return difference


def _check_sums(onnx_bytes: bytes) -> None:
    """Refuse int8 that OpenVINO computes wrong, here or on another machine that reads the files.

    Raises:
        RuntimeError: it does.
    """
    if not pairs_fit(onnx_bytes):
        raise RuntimeError(
            "its int8 weights are too large for processors without VNNI, on which OpenVINO would "
            "compute it wrong; `foveate export --int8` makes them anew from the original"
        )
    if is_quantised(onnx_bytes) and not sums_are_exact("openvino", PAIR_FITS // 2, "float32"):
        raise RuntimeError("OpenVINO computes int8 wrong on this processor")


def _largest_difference(
    core: openvino.Core, path: Path, onnx_bytes: bytes, pixels: NDArray[np.uint8]
) -> float:
    exported = _probabilities(core, path, pixels)
    # In int8 the two runtimes round differently between the layers, and a probability may differ
    # by several points. What OpenVINO makes of the ONNX file has been measured, and its sums have
    # been checked above; the export must be that.
    if is_quantised(onnx_bytes):
        exact = _probabilities(core, onnx_bytes, pixels)
    else:
        exact = open_session(onnx_bytes).run(["probabilities"], {"pixels": pixels})[0]
    difference = float(np.abs(exported - exact).max())
    # Where the two surest labels are about equally probable, either may come first.
    ranked = np.sort(exact, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 2 * TOLERANCE
    same = exported.argmax(axis=1) == exact.argmax(axis=1)
    if not difference <= TOLERANCE or not same[clear].all():
        raise RuntimeError(
            f"its probabilities differ from those of the original by up to {difference:.2g}"
        )
    return difference


def _probabilities(
    core: openvino.Core, model: Path | bytes, pixels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    compiled = core.compile_model(
        core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    probabilities: NDArray[np.float32] = compiled({"pixels": pixels})["probabilities"]
    return probabilities
