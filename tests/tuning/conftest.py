"""Made-up cross-validations, backbones in name only, and a few images to train on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foveate.backbones import find_backbone
from foveate.progress import Stopwatch
from foveate.settings import Settings
from foveate.tuning import Tuning, tune
from foveate.tuning.candidates import Candidate
from foveate.tuning.cross_validation import CrossValidation
from foveate.tuning.search import Tried
from foveate.tuning.training_set import TrainingSet, read_training_set
from foveate.workflow.preparation import labelled_source

MakeTried = Callable[..., Tried]
AddBackbone = Callable[..., None]


@pytest.fixture(scope="session")
def tried() -> MakeTried:
    """A candidate that is right on `hits` of n images, those that come first in `order`."""

    def make(
        hits: int,
        *,
        n: int = 200,
        rate: float = 100.0,
        resolution: int = 224,
        classifier: str = "svm",
        backbone: str = "b",
        state: str = "complete",
        order: np.ndarray | None = None,
    ) -> Tried:
        right = np.zeros(n, np.float32)
        right[(np.arange(n) if order is None else order)[:hits]] = 1
        found = CrossValidation(right, np.arange(n), 1.0, 0.1)
        candidate = Candidate(backbone, resolution, classifier)
        share = 1.0 if state == "complete" else 0.25
        return Tried(candidate, rate, share, found, state)

    return make


@pytest.fixture
def add_backbone(own_backbones: Path) -> AddBackbone:
    """Another backbone: a copy of the embedded one with a card of its own."""

    def add(name: str, **card: object) -> None:
        found = find_backbone("efficientnet-lite0")
        changed = found.card.model_copy(update={"name": name, **card})
        (own_backbones / f"{name}.json").write_text(changed.model_dump_json())
        shutil.copy(found.path, own_backbones / f"{name}.onnx")

    return add


@pytest.fixture(scope="session")
def small() -> Settings:
    """What is quick to train on the patterns."""
    return Settings(resolution=64, c=(0.1, 1.0), trees=64)


@pytest.fixture
def data(patterns: Path, small: Settings) -> TrainingSet:
    """The training images among the patterns: 27, nine of each label."""
    return read_training_set(labelled_source(patterns, small), small, Stopwatch(), None)


@pytest.fixture(scope="session")
def tuned_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuned")


@pytest.fixture(scope="session")
def tuning(patterns: Path, small: Settings, tuned_cache: Path) -> Tuning:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tuned_cache))
        patch.setenv("FOVEATE_BACKBONES", str(tuned_cache / "backbones"))
        return tune(patterns, small, resolutions=[64, 96], classifiers=("svm", "logistic"))
