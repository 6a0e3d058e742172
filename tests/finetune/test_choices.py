"""What is settled by the images and the device."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from foveate.finetune.choices import settled
from foveate.settings import Settings


@pytest.mark.parametrize(
    ("side", "count", "device", "resolution"),
    [
        (64, 10, "cpu", 224),  # nothing has the detail
        (256, 10, "cpu", 224),  # 7/8 of it are seen
        (293, 10, "cpu", 256),
        (1000, 10, "cpu", 320),
        (1000, 1001, "cpu", 256),
        (1000, 1001, "cuda", 448),
    ],
)
def test_resolution_is_what_images_have_and_the_device_can(
    side: int, count: int, device: str, resolution: int
) -> None:
    facts = SimpleNamespace(width=2 * side, height=side)
    rows = [SimpleNamespace(facts=facts)] * count
    backbone = SimpleNamespace(card=SimpleNamespace(fixed_resolution=None))
    on = SimpleNamespace(torch=SimpleNamespace(type=device))
    found = settled(Settings(classifier="dnn"), backbone, rows, on)  # type: ignore[arg-type]
    assert (found.resolution, found.epochs) == (resolution, 5)
    asked = Settings(classifier="dnn", resolution=96, epochs=3)
    kept = settled(asked, backbone, rows, on)  # type: ignore[arg-type]
    assert (kept.resolution, kept.epochs) == (96, 3)
