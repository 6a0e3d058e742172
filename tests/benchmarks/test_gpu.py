"""The benchmark of the GPU runs, with a tiny network on the CPU; its figures say nothing there."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytest.importorskip("timm", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from benchmarks import gpu
from foveate.finetune.batches import Batch
from foveate.finetune.gradients import Gradients


def test_both_loops_train(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Batch] = []
    of = Gradients.of

    def watch(self: Any, batch: Batch) -> Any:
        seen.append(batch)
        return of(self, batch)

    monkeypatch.setattr(Gradients, "of", watch)
    (rates,) = gpu.measure(gpu.TINY)
    assert rates.from_disk > 0
    assert rates.on_device > 0
    assert 0 <= rates.waited <= 1
    from_disk, on_device = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert len(from_disk) == gpu.TINY.steps * gpu.TINY.epochs
    assert all(batch.views is not None and batch.inputs.shape[1] == 72 for batch in from_disk)
    assert all(batch.views is None and batch.inputs.shape[1] == 64 for batch in on_device)
    assert len({id(batch.inputs) for batch in on_device}) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main() is None
    assert "no GPU" in capsys.readouterr().out
