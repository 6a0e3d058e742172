"""A real training of a small network on generated images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytest.importorskip("timm", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from torch import Tensor

from foveate.backbones.names import parse_name
from foveate.backbones.network import build_network
from foveate.errors import SettingsError
from foveate.finetune import loop, validation
from foveate.finetune.batches import Batch, Loader
from foveate.finetune.checkpoint import Checkpoint
from foveate.finetune.device import Device
from foveate.finetune.gradients import Gradients
from foveate.finetune.learner import Learner, Task
from foveate.finetune.loop import Refined, learn
from foveate.finetune.samples import Samples
from foveate.settings import Settings

CPU = Device(torch.device("cpu"), bfloat16=False)
QUICK = {
    "resolution": 64,
    "epochs": 3,
    "minibatch": 8,
    "learning_rate": 3e-3,
    "dropout": 0.2,
    "patience": 0,
    "layer_decay": 1.0,
    "ema": 0.8,
}


def stripes(n: int, seed: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Stripes across, and stripes down, of every width, phase and colour, with noise."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 2
    images = np.empty((n, side, side, 3), np.uint8)
    for image, code in zip(images, codes, strict=True):
        wave = np.sin(np.arange(side) / rng.uniform(1, 3) + rng.uniform(0, 6))
        wave = np.broadcast_to(wave if code else wave[:, None], (side, side))
        colour = 127 + wave[:, :, None] * rng.uniform(30, 90, 3)
        image[:] = (colour + rng.normal(0, 20, (side, side, 3))).clip(0, 255)
    return images, codes


@pytest.fixture(scope="module")
def samples() -> Samples:
    train, validation = stripes(48, 0, 72), stripes(24, 1, 64)
    return Samples(("across", "down"), *train, *validation)


def learner(depth: str = "all") -> Learner:
    torch.manual_seed(0)
    network = build_network(parse_name("timm:resnet10t"), None)
    return Learner(network, network.dimension, 2, depth)  # type: ignore[arg-type]


def trained(samples: Samples, device: Device = CPU, **changes: Any) -> Refined:
    keywords = {k: changes.pop(k) for k in ("checkpoint", "watch", "foretell") if k in changes}
    settings = Settings(classifier="dnn", **{**QUICK, **changes})
    return learn(Task(learner(), samples, settings, device), **keywords)


def weights(refined: Refined) -> Tensor:
    return torch.cat([p.detach().flatten() for p in refined.learner.learned])


@pytest.fixture(scope="module", params=["cosine", "step"])
def whole(request: pytest.FixtureRequest, samples: Samples) -> tuple[str, Refined]:
    """A schedule, and what a training by it comes to that nobody disturbs."""
    return request.param, trained(samples, schedule=request.param)


def test_it_learns(samples: Samples) -> None:
    found = trained(samples, epochs=8)
    assert found.epochs[-1].loss < found.epochs[0].loss - 0.1
    errors = [epoch.validation_error for epoch in found.epochs]
    # 24 images guessed at random: 4 or fewer wrong happens once in 1,300 times.
    assert errors[found.best] is not None
    assert errors[found.best] <= 4 / 24  # type: ignore[operator]
    assert found.validation_scores.shape == (24, 2)
    right = found.validation_scores.argmax(1) == samples.validation_codes
    assert 1 - right.mean() == pytest.approx(errors[found.best])


def test_the_same_seed_gives_the_same_weights(samples: Samples) -> None:
    first, second = trained(samples), trained(samples)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(trained(samples, seed=1)))


def test_a_forecast_changes_nothing(samples: Samples) -> None:
    told: list[tuple[int, int, float]] = []
    found = trained(samples, epochs=1, foretell=lambda *said: told.append(said))
    assert torch.equal(weights(found), weights(trained(samples, epochs=1)))
    [(done, most, seconds)] = told
    assert (done, most) == (24, 48)
    assert seconds > 0


@pytest.mark.parametrize("after", [3, 6, 10])
def test_killed_it_goes_on_to_the_same_result(
    whole: tuple[str, Refined],
    samples: Samples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    schedule, calm = whole
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_NEWS", -1.0)
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "k")
    seen = 0

    class Killed(Exception):  # noqa: N818 - what happens, not an error
        pass

    def kill(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            raise Killed

    with pytest.raises(Killed):
        trained(samples, schedule=schedule, checkpoint=checkpoint, watch=kill)
    left: list[tuple[int, int, float]] = []
    again = trained(
        samples,
        schedule=schedule,
        checkpoint=checkpoint,
        foretell=lambda *said: left.append(said),
    )
    assert torch.equal(weights(again), weights(calm))
    assert [e.loss for e in again.epochs] == [e.loss for e in calm.epochs]
    # The checkpoint is of the step before; six steps of eight images an epoch; three are timed.
    [(done, most, seconds)] = left
    assert (done, most) == ((after - 1 + 3) * 8, 3 * 48)
    assert seconds > 0


@pytest.mark.parametrize("other", [b"PK\x03\x04 half a file", None])
def test_a_checkpoint_that_is_none(
    whole: tuple[str, Refined], samples: Samples, tmp_path: Path, other: bytes | None
) -> None:
    """One that is damaged, or of another training."""
    schedule, calm = whole
    path = tmp_path / "checkpoint.pt"
    if other is None:
        trained(samples, schedule=schedule, epochs=1, checkpoint=Checkpoint(path, "another"))
    else:
        path.write_bytes(other)
    found = trained(samples, schedule=schedule, checkpoint=Checkpoint(path, "this"))
    assert torch.equal(weights(found), weights(calm))


def test_less_memory_gives_the_same_result(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    # AdamW would hide gradients of a wrong size: it divides them by what they usually are.
    plain = trained(samples, epochs=1, schedule="step")
    show = Gradients._show

    def small(self: Gradients, batch: Batch, part: slice) -> Tensor:
        if part.stop - part.start > 3:
            raise torch.OutOfMemoryError("out of memory")
        return show(self, batch, part)

    monkeypatch.setattr(Gradients, "_show", small)
    halved = trained(samples, epochs=1, schedule="step")
    assert halved.minibatch == 2
    torch.testing.assert_close(weights(halved), weights(plain), atol=1e-5, rtol=1e-4)


def test_no_memory_at_all_is_a_sentence(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(Gradients, "_show", full)
    with pytest.raises(SettingsError, match="single image"):
        trained(samples)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (torch.optim.AdamW, "step"),  # its first call makes two moments for each parameter
        (Learner, "to"),
        (loop, "fused"),
        (loop, "swapped"),
    ],
)
def test_no_memory_elsewhere_is_a_sentence(
    samples: Samples, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(owner, name, full)
    with pytest.raises(SettingsError, match="not enough memory to train"):
        trained(samples)


def test_judging_with_little_memory(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trained(samples, epochs=1)
    render = validation.render

    def small(pixels: Tensor, *rest: Any) -> Tensor:
        if len(pixels) > 5:
            raise RuntimeError("CUDA error: out of memory")
        return render(pixels, *rest)

    monkeypatch.setattr(validation, "render", small)
    found = trained(samples, epochs=1)
    np.testing.assert_allclose(found.validation_scores, plain.validation_scores, atol=1e-4)


def test_a_loss_that_is_not_a_number_is_a_sentence(samples: Samples) -> None:
    with pytest.raises(SettingsError, match="lower learning rate than 1e"):
        trained(samples, schedule="step", learning_rate=1e12)


def test_views_do_not_depend_on_the_precision(samples: Samples) -> None:
    """Coordinates in bfloat16 would be off by half a pixel and more."""
    shown = []
    for bfloat16 in (False, True):
        found = learner()
        found.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
        settings = Settings(classifier="dnn", **QUICK)
        device = replace(CPU, bfloat16=bfloat16)
        batch = Loader(samples, found.last.in_features, settings, device).load(0)
        Gradients(found, settings, device, 8).of(batch)
    assert torch.equal(*shown)


def test_a_network_of_one_size_only(tmp_path: Path) -> None:
    train, validation = stripes(6, 0, 256), stripes(4, 1, 224)
    network = build_network(parse_name("timm:vit_tiny_patch16_224"), None)
    assert network.fixed_resolution == 224
    settings = Settings(classifier="dnn", **{**QUICK, "resolution": 224, "epochs": 1})
    whole = Learner(network, network.dimension, 2, "all")
    found = learn(Task(whole, Samples(("across", "down"), *train, *validation), settings, CPU))
    assert np.isfinite(found.validation_scores).all()


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Gradients, "_show", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        trained(samples)


def test_it_stops_when_nothing_gets_better(samples: Samples) -> None:
    wrong = replace(samples, validation_codes=1 - samples.validation_codes)
    found = trained(wrong, epochs=30, patience=1)  # the more it learns, the worse for them
    assert found.stopped_early
    assert len(found.epochs) < 30
    assert found.best == len(found.epochs) - 2


def test_without_validation_the_last_epoch_counts(samples: Samples) -> None:
    none = replace(
        samples, validation=samples.validation[:0], validation_codes=samples.validation_codes[:0]
    )
    found = trained(none, patience=1)
    assert found.best == 2
    assert found.epochs[0].validation_error is None
    assert found.validation_scores.shape == (0, 2)


def test_depth_head_trains_the_last_stage(samples: Samples) -> None:
    found = learner("head")
    assert found.network is not None
    before = [p.detach().clone() for p in found.network.parameters()]
    settings = Settings(classifier="dnn", depth="head", **{**QUICK, "epochs": 1})
    learn(Task(found, samples, settings, CPU))
    changed = [
        not torch.equal(old, new)
        for old, new in zip(before, found.network.parameters(), strict=True)
    ]
    head = {id(p) for p in found.network.head_parameters()}
    assert 0 < len(head) < len(changed)
    assert [id(p) in head for p in found.network.parameters()] == changed


def test_features_instead_of_images() -> None:
    rng = np.random.default_rng(0)
    codes = np.arange(120) % 3
    features = (rng.normal(size=(120, 16)) + 3 * np.eye(16)[codes]).astype(np.float32)
    samples = Samples(("a", "b", "c"), features[:90], codes[:90], features[90:], codes[90:])
    settings = Settings(
        classifier="dnn", depth="last_only", **{**QUICK, "epochs": 10, "learning_rate": 0.01}
    )
    found = learn(Task(Learner(None, 16, 3, "last_only"), samples, settings, CPU))
    assert found.epochs[found.best].validation_error <= 0.1  # type: ignore[operator]


@pytest.mark.parametrize("changes", [{"mixup": 0.4}, {"augment": "strong"}, {"augment": "none"}])
def test_other_ways_to_look_at_images(samples: Samples, changes: dict[str, Any]) -> None:
    found = trained(samples, epochs=1, **changes)
    assert np.isfinite(found.epochs[0].loss)
    assert not torch.equal(weights(found), weights(trained(samples, epochs=1)))
