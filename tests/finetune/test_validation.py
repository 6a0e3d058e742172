from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytest.importorskip("timm", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from foveate.finetune.device import Device
from foveate.finetune.learner import Learner, Task
from foveate.finetune.samples import Samples
from foveate.finetune.validation import judged_rows, swapped, validate
from foveate.settings import Settings

SETTINGS = Settings(classifier="dnn", depth="last_only")


def task(validation: int) -> Task:
    """Features whose larger column is the label, but for one of the validation images."""
    codes = np.arange(100) % 2
    features = np.eye(2, dtype=np.float32)[codes]
    shown = features[:validation].copy()
    shown[:1] = shown[:1, ::-1]
    samples = Samples(("a", "b"), features, codes, shown, codes[:validation])
    learner = Learner(None, 2, 2, "last_only")
    learner.start_from(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    return Task(learner, samples, SETTINGS, Device(torch.device("cpu"), bfloat16=False))


def test_errors_are_shares_of_the_images() -> None:
    found = validate(task(10))
    assert (found.train_error, found.validation_error) == (0, pytest.approx(0.1))
    assert found.validation_loss is not None
    assert found.validation_scores.shape == (10, 2)


def test_nothing_to_validate_on() -> None:
    found = validate(task(0))
    assert found.validation_error is found.validation_loss is None
    assert found.train_error == 0


def test_every_epoch_is_judged_on_the_same_rows() -> None:
    samples = task(80).samples
    rows = judged_rows(samples, seed=3)
    assert len(rows) == 80
    np.testing.assert_array_equal(rows, judged_rows(samples, seed=3))
    assert len(judged_rows(task(2).samples, seed=3)) == 64


def test_other_values_are_there_only_within() -> None:
    parameter = torch.ones(2)
    with swapped([parameter], [torch.zeros(2)]):
        assert parameter.sum() == 0
    assert parameter.sum() == 2
