"""Write the demonstration's images: a folder with one subfolder per label."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from foveate.demo.scene import draw_image
from foveate.errors import SettingsError
from foveate.files import write_bytes

SHARES = {"dotted": 121, "leopard": 137, "striped": 170}
"""Label → how many of 428 images show it; uneven, as in life."""

QUALITY = 85
"""Of the JPEG files."""

COUNT = 428
"""As many as the photographs of the tutorial that this demonstration follows."""


def draw_garments(
    folder: Path,
    *,
    count: int = COUNT,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Draw garment-like images in three textures: `<folder>/<label>/<label>_0001.jpg` and so on.

    Each image depends on the seed, its label and its number alone, and each file appears whole or
    not at all. So a run that was killed goes on where it was, and ends with the same bytes; files
    that are there are left as they are. A folder therefore belongs to one seed.

    Args:
        folder: where the labels' folders go; made if it is not there.
        count: how many images in all; the labels keep their shares, with at least one each.
        seed: another one gives other images.
        workers: threads; by default one for each processor.
        progress: called after each image with the number of images done, in the caller's thread.

    Raises:
        SettingsError: `count` is less than the number of labels.
        OSError: a file cannot be written.
    """
    jobs = [
        (folder / label / f"{label}_{number:04d}.jpg", label, number)
        for label, images in counts(count).items()
        for number in range(1, images + 1)
    ]
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        drawn = [pool.submit(_draw_file, path, label, number, seed) for path, label, number in jobs]
        try:
            for done, job in enumerate(drawn, start=1):
                job.result()
                if progress is not None:
                    progress(done)
        finally:
            pool.shutdown(cancel_futures=True)


def counts(count: int) -> dict[str, int]:
    """How many of `count` images each label gets.

    Raises:
        SettingsError: fewer images than labels.
    """
    if count < len(SHARES):
        raise SettingsError(
            f"{count} images cannot show {len(SHARES)} textures; ask for {len(SHARES)} or more."
        )
    # Webster's method, after one each: a larger count never takes an image from a label.
    dealt = dict.fromkeys(SHARES, 1)
    for _ in range(count - len(SHARES)):
        dealt[max(SHARES, key=lambda label: SHARES[label] / (2 * dealt[label] + 1))] += 1
    return dealt


def _draw_file(path: Path, label: str, number: int, seed: int) -> None:
    if path.exists():
        return
    rng = np.random.default_rng([seed, list(SHARES).index(label), number])
    buffer = io.BytesIO()
    draw_image(label, rng).save(buffer, "JPEG", quality=QUALITY)
    write_bytes(path, buffer.getvalue())
