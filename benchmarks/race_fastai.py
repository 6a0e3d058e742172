"""`fine_tune` of fastai as its documentation shows it: FOLDER RESOLUTION EPOCHS BATCH SEED.

FOLDER holds `train/LABEL/`, `test/LABEL/` and `weights.safetensors`. Prints JSON. One of the epochs
is the frozen one that `fine_tune` begins with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fastai.data.external import set_seed
from fastai.vision.all import (
    ImageDataLoaders,
    Resize,
    accuracy,
    aug_transforms,
    vision_learner,
)

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
"""What these weights were trained behind."""


def main(folder: Path, resolution: int, epochs: int, batch_size: int, seed: int) -> float:
    """Train; returns the accuracy on the test images."""
    set_seed(seed)
    loaders = ImageDataLoaders.from_folder(
        folder,
        train="train",
        valid="test",
        item_tfms=Resize(2 * resolution),
        batch_tfms=aug_transforms(size=resolution, min_scale=0.75),
        bs=batch_size,
        num_workers=2,
    )
    overlay = {"file": str(folder / "weights.safetensors"), "mean": MEAN, "std": STD}
    learner = vision_learner(
        loaders, "tf_efficientnet_lite0", metrics=accuracy, pretrained_cfg_overlay=overlay
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(epochs - 1)
        _, right = learner.validate()
    return float(right)


if __name__ == "__main__":
    found = main(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:]))
    print(json.dumps({"accuracy": found}))
