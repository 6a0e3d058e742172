"""A training that the tests of all results share."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveate.settings import Settings
from foveate.workflow.training import Training, train_classifier


@pytest.fixture(scope="package")
def training(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return train_classifier(patterns, Settings(resolution=64))
