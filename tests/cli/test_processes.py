"""Several processes are refused where there are not as many devices."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from foveate.cli import run  # noqa: E402


@pytest.mark.parametrize(
    ("device", "gpus", "said"),
    [
        ("cuda", 0, "finds 0 GPUs"),
        ("cuda", 1, "finds 1 GPU on"),
        ("auto", 1, "finds 1 GPU on"),
        ("cuda:1", 4, "a single GPU"),
    ],
)
def test_a_gpu_for_each(
    device: str,
    gpus: int,
    said: str,
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    train = ["train", str(patterns), "--classifier", "dnn", "--out", str(tmp_path / "m.onnx")]
    assert run([*train, "--devices", "2", "--device", device]) == 1
    assert said in capsys.readouterr().err
