"""The gradients of a step are the same, whoever computes which part of them.

They are looked at themselves: what AdamW makes of them hides a factor.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytest.importorskip("timm", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from foveate.backbones.names import parse_name
from foveate.backbones.network import build_network
from foveate.finetune.batches import Loader
from foveate.finetune.device import Device, open_device
from foveate.finetune.fused import freeze_norms
from foveate.finetune.gradients import Gradients
from foveate.finetune.learner import Learner
from foveate.finetune.samples import Samples
from foveate.settings import Settings

BATCH, STEPS = 5, 3
"""Of eleven images: two steps of five, which two processes share unevenly, and one of one image,
which leaves one process without any."""


def gradients(device: Device, minibatch: int = BATCH) -> list[torch.Tensor]:
    """Loss and gradients of each step, from the same weights."""
    rng = np.random.default_rng(0)
    images, codes = rng.integers(0, 256, (11, 72, 72, 3), np.uint8), np.arange(11) % 2
    samples = Samples(("a", "b"), images, codes, images[:0], codes[:0])
    settings = Settings(classifier="dnn", resolution=64, epochs=1, minibatch=BATCH, mixup=0.3)
    torch.manual_seed(0)
    network = build_network(parse_name("timm:resnet10t"), None)
    learner = Learner(network, network.dimension, 2, "all")
    torch.nn.init.normal_(learner.last.weight)
    freeze_norms(learner)
    loader = Loader(samples, learner.last.in_features, settings, device)
    assert loader.steps == STEPS
    found = []
    for step in range(STEPS):
        loss = Gradients(learner, settings, device, minibatch).of(loader.load(step))
        parts = [loss, *(p.grad for p in learner.learned if p.grad is not None)]
        found.append(torch.cat([part.detach().flatten() for part in parts]))
    return found


@pytest.fixture(scope="module")
def alone() -> list[torch.Tensor]:
    return gradients(Device(torch.device("cpu"), bfloat16=False))


def assert_same(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert float((one - other).norm() / other.norm()) < 1e-5


@pytest.mark.parametrize("minibatch", [1, 2, 3])
def test_a_batch_in_parts(alone: list[torch.Tensor], minibatch: int) -> None:
    assert_same(gradients(Device(torch.device("cpu"), bfloat16=False), minibatch), alone)


def test_a_batch_among_processes(alone: list[torch.Tensor], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    running = [
        subprocess.Popen(
            [sys.executable, __file__, str(tmp_path / f"{rank}.pt")],
            env={**os.environ, **meeting, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    for rank in range(2):
        assert_same(torch.load(tmp_path / f"{rank}.pt"), alone)


if __name__ == "__main__":
    with open_device("cpu", "float32") as opened:
        torch.save(gradients(opened), sys.argv[1])
