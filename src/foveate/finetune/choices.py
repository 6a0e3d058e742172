"""What refining settles by itself where the user leaves it open."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from foveate.backbones import Backbone
from foveate.catalog import ImageRow
from foveate.image import Resize
from foveate.settings import Settings

if TYPE_CHECKING:
    from foveate.finetune.device import Device

RESOLUTIONS = (224, 256, 320, 448)
"""What `settled` chooses from."""

EPOCHS = {"cosine": 5, "step": 45}
"""Passes over the images where the settings leave it open. A pretrained network whose last layer
fits already has learned a few hundred images after four or five; then it learns them by heart."""

FEW_IMAGES = 1000
"""So many are refined at 320 px on a CPU within two minutes or three."""


def settled(
    settings: Settings, backbone: Backbone, rows: Sequence[ImageRow], device: Device
) -> Settings:
    """The settings with what the user left open: the resolution to refine at, and the epochs.

    The resolution is the highest of `RESOLUTIONS` that half of the images have the detail for, and
    the device the time: on a CPU, where 448 px take four times as long as 224, 320 px for a few
    images and 256 px for many.
    """
    epochs = settings.epochs or EPOCHS[settings.schedule]
    resolution = settings.resolution
    if "resolution" not in settings.model_fields_set and rows:
        affordable: tuple[int, ...] = RESOLUTIONS
        if device.torch.type == "cpu":
            affordable = RESOLUTIONS[: 3 if len(rows) <= FEW_IMAGES else 2]
        resolution = max(
            (r for r in affordable if _detail(rows, Resize(r, settings.resize)) >= r),
            default=RESOLUTIONS[0],
        )
        resolution = backbone.card.fixed_resolution or resolution
    return settings.model_copy(update={"resolution": resolution, "epochs": epochs})


def _detail(rows: Sequence[ImageRow], resize: Resize) -> float:
    """Pixels a side that images have where the classifier sees them, the median."""
    boxes = [resize.box(row.facts.width, row.facts.height) for row in rows]
    return median(min(right - left, lower - upper) for left, upper, right, lower in boxes)
