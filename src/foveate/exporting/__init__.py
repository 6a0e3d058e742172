"""A finished classifier in another form: its backbone in int8, or all of it for OpenVINO.

Training images say how to quantise, and images that the classifier has never seen say what that
cost. They decide nothing but whether the result is handed over at all.
"""

from foveate.exporting.int8 import export_int8
from foveate.exporting.measured import Int8Export, Measured
from foveate.exporting.openvino import export_openvino

__all__ = [
    "Int8Export",
    "Measured",
    "export_int8",
    "export_openvino",
]
