from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from foveate.errors import SettingsError  # noqa: E402
from foveate.finetune.device import Device, open_device, out_of_memory  # noqa: E402


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
