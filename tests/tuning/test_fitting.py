from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from foveate.settings import Settings
from foveate.tuning import fitting
from foveate.tuning.fitting import few_threads, fit_part
from foveate.tuning.training_set import TrainingSet


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_few_images_take_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "FEW", 10)
    before = blas_threads()
    with few_threads(10):
        assert blas_threads() == {1}
    with few_threads(11):
        assert blas_threads() == before


def test_a_head_knows_of_its_part_only(data: TrainingSet, small: Settings) -> None:
    rows = np.flatnonzero(data.codes < 2)
    features = np.random.default_rng(0).normal(size=(len(rows), 8)).astype(np.float32)
    head = fit_part(features, data, rows, small, "svm")
    assert head.labels == ("checks", "dots")
    assert head.held_out_right is not None
    assert len(head.held_out_right) == len(rows)
