"""The verb `refine`: `train` for networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foveate.workflow.train import Run, train


def refine(source: str | Path, **options: Any) -> Run:
    """Train a classifier by refining the network itself, not only a head on its features.

    The same as `train` with `classifier="dnn"`; `classifier="svm-dnn"` puts a linear SVM on the
    refined features.

    Args:
        source: a project, a folder with one subfolder per label, or a table.
        options: those of `train`: `out="model.onnx"`, `backbone="resnet18"`, `depth="head"`, …

    Raises:
        FoveateError: one of its kinds, with a sentence that says what to do.
    """
    return train(source, **{"classifier": "dnn", **options})
