"""Foveate: a folder of pictures becomes an evaluated, portable image classifier.

    import foveate as fv

    run = fv.train("photos/", classifier="svm")
    run.evaluation.accuracy
    run.save("model.onnx")
    fv.load("model.onnx").predict("shirt.jpg").label

Names are imported when they are first used, so `import foveate` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from foveate.api import load, runs
    from foveate.classifier import Classifier, Prediction
    from foveate.copying import Copied, copy
    from foveate.errors import (
        BackboneError,
        CallError,
        ClusterError,
        CopyError,
        FoveateError,
        HistoryError,
        ImageRefused,
        ModelFileError,
        NotWorthIt,
        OutputError,
        SettingsError,
        SourceError,
        Stopped,
        TooFewImages,
    )
    from foveate.estimators import ImageClassifier, ImageFeaturizer
    from foveate.history import RecordedRun
    from foveate.serve.client import Client
    from foveate.settings import Settings
    from foveate.workflow.check import check
    from foveate.workflow.evaluate import evaluate
    from foveate.workflow.featurize import Features, featurize
    from foveate.workflow.refine import refine
    from foveate.workflow.score import score
    from foveate.workflow.split import split
    from foveate.workflow.train import Run, train
    from foveate.workflow.tune import tune

_HOME = {
    "BackboneError": "errors",
    "CallError": "errors",
    "Classifier": "classifier",
    "ClusterError": "errors",
    "Copied": "copying",
    "CopyError": "errors",
    "Client": "serve.client",
    "Features": "workflow.featurize",
    "FoveateError": "errors",
    "HistoryError": "errors",
    "ImageClassifier": "estimators",
    "ImageFeaturizer": "estimators",
    "ImageRefused": "errors",
    "ModelFileError": "errors",
    "NotWorthIt": "errors",
    "OutputError": "errors",
    "Prediction": "classifier",
    "RecordedRun": "history",
    "Run": "workflow.train",
    "Settings": "settings",
    "SettingsError": "errors",
    "SourceError": "errors",
    "Stopped": "errors",
    "TooFewImages": "errors",
    "check": "workflow.check",
    "copy": "copying",
    "evaluate": "workflow.evaluate",
    "featurize": "workflow.featurize",
    "load": "api",
    "refine": "workflow.refine",
    "runs": "api",
    "score": "workflow.score",
    "split": "workflow.split",
    "train": "workflow.train",
    "tune": "workflow.tune",
}

__all__ = [
    "BackboneError",
    "CallError",
    "Classifier",
    "Client",
    "ClusterError",
    "Copied",
    "CopyError",
    "Features",
    "FoveateError",
    "HistoryError",
    "ImageClassifier",
    "ImageFeaturizer",
    "ImageRefused",
    "ModelFileError",
    "NotWorthIt",
    "OutputError",
    "Prediction",
    "RecordedRun",
    "Run",
    "Settings",
    "SettingsError",
    "SourceError",
    "Stopped",
    "TooFewImages",
    "check",
    "copy",
    "evaluate",
    "featurize",
    "load",
    "refine",
    "runs",
    "score",
    "split",
    "train",
    "tune",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'foveate' has no attribute '{name}'")
    value = getattr(import_module(f"foveate.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
