"""The model file: backbone, head, labels, preprocessing and calibration in one ONNX file.

The graph takes `pixels` uint8 (N, H, W, 3) and gives `features`, `scores` and `probabilities`;
any ONNX runtime can run it. What else is needed (labels, resize rule, where the weights come from)
is JSON in the metadata key `foveate`. Reading the file executes no code: it is parsed, checked,
and handed to the runtimes as a graph of standard operators.
"""

from foveate.model_file.composing import compose, replace_backbone
from foveate.model_file.metadata import Metadata, Quantisation, Summary
from foveate.model_file.reading import ID_BYTES, METADATA_KEY, ModelFile, read_model

__all__ = [
    "ID_BYTES",
    "METADATA_KEY",
    "Metadata",
    "ModelFile",
    "Quantisation",
    "Summary",
    "compose",
    "read_model",
    "replace_backbone",
]
