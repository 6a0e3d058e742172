"""What each process reads of a step."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytest.importorskip("timm", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from foveate.finetune.batches import Loader
from foveate.finetune.device import Device
from foveate.finetune.samples import Samples
from foveate.settings import Settings

SIDE = 8


@pytest.fixture
def samples() -> Samples:
    """13 images, each filled with its own number; the label is whether it is odd."""
    numbers = np.arange(13, dtype=np.uint8)
    images = np.broadcast_to(numbers[:, None, None, None], (13, SIDE, SIDE, 3))
    return Samples(("even", "odd"), images, numbers % 2, images[:0], numbers[:0] % 2)


def loader(samples: Samples, rank: int = 0, count: int = 1, **changes: object) -> Loader:
    settings = Settings(classifier="dnn", **{"minibatch": 5, "epochs": 2, **changes})
    device = Device(torch.device("cpu"), bfloat16=False, rank=rank, count=count)
    return Loader(samples, 4, settings, device)


def numbers(batch: object) -> list[int]:
    return batch.inputs[:, 0, 0, 0].tolist()  # type: ignore[attr-defined,no-any-return]


def test_every_epoch_shows_every_image_once(samples: Samples) -> None:
    one = loader(samples)
    assert (one.per_epoch, one.steps) == (13, 3)
    found = list(one.batches(0))
    assert [batch.whole for batch in found] == [5, 5, 3] * 2
    first, second = (
        [n for batch in part for n in numbers(batch)] for part in (found[:3], found[3:])
    )
    assert sorted(first) == sorted(second) == list(range(13))
    assert first != second
    for batch in found:
        assert batch.targets.argmax(1).tolist() == [number % 2 for number in numbers(batch)]
    assert numbers(next(iter(loader(samples).batches(4)))) == numbers(found[4])


@pytest.mark.parametrize("mixup", [0.0, 0.5])
@pytest.mark.parametrize("count", [2, 3])
def test_processes_read_parts_of_the_same_batch(samples: Samples, count: int, mixup: float) -> None:
    whole = loader(samples, mixup=mixup).load(0)
    parts = [loader(samples, rank, count, mixup=mixup).load(0) for rank in range(count)]
    assert {part.whole for part in parts} == {5}
    for name in ("inputs", "share", "targets", "kept", "counts"):
        together = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(together, getattr(whole, name)), name
    assert (whole.mixed_in is None) == (mixup == 0)
    if whole.mixed_in is not None:
        mixed = [part.mixed_in for part in parts if part.mixed_in is not None]
        assert torch.equal(torch.cat(mixed), whole.mixed_in)
    assert whole.views is not None
    x = [part.views.x for part in parts if part.views is not None]
    np.testing.assert_array_equal(np.concatenate(x), whole.views.x)


def test_a_process_without_images_has_one_that_does_not_count(samples: Samples) -> None:
    parts = [loader(samples, rank, 8, minibatch=5).load(2) for rank in range(8)]
    assert [len(part) for part in parts] == [1] * 8
    assert sum(float(part.counts.sum()) for part in parts) == parts[0].whole == 3


def test_dropout_keeps_the_mean(samples: Samples) -> None:
    kept = torch.cat([b.kept for b in loader(samples, dropout=0.25, epochs=200).batches(0)])
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert float(kept.mean()) == pytest.approx(1, abs=0.02)
