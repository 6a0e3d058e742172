"""Run an ONNX network: OpenVINO where it can, ONNX Runtime everywhere else.

One small interface, `Network`, stands before both.
"""

from foveate.runtime.cores import usable_cores
from foveate.runtime.interface import Network, Precision, RuntimeName
from foveate.runtime.network import open_network
from foveate.runtime.privacy import silence_onnxruntime

silence_onnxruntime()  # every import of ONNX Runtime in foveate is below this package

__all__ = ["Network", "Precision", "RuntimeName", "open_network", "usable_cores"]
