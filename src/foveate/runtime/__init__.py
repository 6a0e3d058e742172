"""Run an ONNX network: OpenVINO where it can, ONNX Runtime everywhere else.

One small interface, `Network`, stands before both.
"""

from foveate.runtime.network import Network, Precision, open_network, usable_cores

__all__ = ["Network", "Precision", "open_network", "usable_cores"]
