"""Export a network from PyTorch to an ONNX pack."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch

from foveate.backbones.exportable import make_exportable
from foveate.backbones.network import PretrainedNetwork
from foveate.backbones.pack import OPSET, make_pack
from foveate.errors import BackboneError

MOST_PARAMETERS = 500_000_000
"""An ONNX file without files beside it ends at 2 GiB, and tracing writes float32."""


def export_onnx(network: PretrainedNetwork) -> bytes:
    """The pack of a network, pretrained or fine-tuned; the network itself stays as it is.

    `pixels` uint8 (N, H, W, 3) → `features` float32 (N, d), opset 17, any N, and any H and W
    unless `network.fixed_resolution` is set. Batch normalisation is folded into convolutions.

    Args:
        network: on any device, in any precision, in training mode or not.

    Raises:
        BackboneError: it cannot be exported.
    """
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if parameters > MOST_PARAMETERS:
        raise BackboneError(
            f"‘{network.name}’ has {parameters / 1e6:,.0f} million parameters; a pack holds at "
            f"most {MOST_PARAMETERS / 1e6:,.0f} million. Take a smaller network of its family."
        )
    traced = copy.deepcopy(network).to(device="cpu", dtype=torch.float32).eval()
    make_exportable(traced)
    fixed = network.fixed_resolution
    side = fixed or network.resolution
    pixels = torch.randint(
        0, 256, (2, side, side, 3), generator=torch.Generator().manual_seed(0)
    ).to(torch.uint8)
    file = io.BytesIO()
    axes = {0: "N"} if fixed else {0: "N", 1: "H", 2: "W"}
    try:
        with _quietly(), torch.no_grad():
            torch.onnx.export(
                traced,
                (pixels,),
                file,
                # The tracing exporter: it folds batch normalisation, and takes a second where the
                # one built on torch.export needs minutes to reason about free H and W.
                dynamo=False,
                verbose=False,
                opset_version=OPSET,
                input_names=["pixels"],
                output_names=["features"],
                # Our own layers are nodes, not what they do inside.
                autograd_inlining=False,
                dynamic_axes={"pixels": axes, "features": {0: "N"}},
            )
        model = onnx.load_from_string(file.getvalue())
        # An exporter that lost track of the shape still has to say how many features there are.
        model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value = network.dimension
        return make_pack(model, resolution=fixed)
    except BackboneError:
        raise
    except Exception as error:  # the exporter raises whatever the layer it stumbled over does
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BackboneError(f"‘{network.name}’ cannot be exported to ONNX: {line}") from None


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """No remarks of the exporter's: what it doubts is measured afterwards (`proof`)."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.onnx._internal")]
    levels = [logger.level for logger in loggers]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        # The fast path of nn.MultiheadAttention is one operator that ONNX does not have.
        torch.backends.mha.set_fastpath_enabled(False)
        # A failed trace prints its whole graph otherwise, past Python's stdout.
        if hasattr(torch._C, "_jit_set_onnx_log_enabled"):
            torch._C._jit_set_onnx_log_enabled(False)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
