from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from foveate.errors import SettingsError
from foveate.finetune.device import (
    Device,
    enough_memory,
    halved,
    open_device,
    out_of_memory,
)


def test_auto_and_cpu() -> None:
    with open_device("cpu", "float32") as device:
        assert (device.torch.type, device.bfloat16, device.rank, device.count) == (
            "cpu",
            False,
            0,
            1,
        )
        assert "CPU" in device.name
    with open_device("auto", "bfloat16") as device:
        assert device.bfloat16


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said() -> None:
    with pytest.raises(SettingsError, match="finds no GPU"), open_device("cuda", "auto"):
        pass


@pytest.mark.parametrize("wanted", ["gpu", "cuda:x", "tpu", ""])
def test_an_unknown_device_is_said(wanted: str) -> None:
    with pytest.raises(SettingsError, match="use auto"), open_device(wanted, "auto"):
        pass


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_cover_a_batch(count: int) -> None:
    parts = [Device(torch.device("cpu"), False, r, count).share(16) for r in range(count)]
    assert [i for part in parts for i in range(16)[part]] == list(range(16))


def test_out_of_memory() -> None:
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert out_of_memory(MemoryError())
    assert out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    assert not out_of_memory(RuntimeError("shapes do not match"))


def test_a_rank_alone_is_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with open_device("cpu", "float32") as device:
        assert (device.rank, device.count) == (0, 1)


def test_as_many_threads_as_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    with open_device("cpu", "float32", workers=before + 2) as device:
        assert torch.get_num_threads() == before + 2
        assert f"{before + 2} threads" in device.name
    assert torch.get_num_threads() == before
    with open_device("cpu", "float32"):
        assert torch.get_num_threads() == before


def test_half_of_one_image_is_a_sentence() -> None:
    assert [halved(n) for n in (16, 5, 2)] == [8, 3, 1]
    with pytest.raises(SettingsError, match="single image"):
        halved(1)


def test_enough_memory_lets_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), enough_memory():
        raise RuntimeError("shapes do not match")
    with pytest.raises(SettingsError, match="memory"), enough_memory():
        raise MemoryError
