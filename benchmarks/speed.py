"""Bytes on disk → features: against plain PyTorch, and against what the machine could do at best.

The competitor is `../shared/bench/plain_torch.py`: what a newcomer writes, and its `--tuned` form.
All three count from the first byte read to the last feature, without imports and model loading,
and take turns, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.common import DATA, SHARED, Bar, Result, foveate, median, run, scratch
from foveate.backbones import find_backbone
from foveate.image import Resize, open_image
from foveate.runtime import open_network, usable_cores

SOURCE = DATA / "fashion_texture"
ROUNDS = 5
TIMES_PLAIN, TIMES_TUNED, SHARE_OF_BOUND = 12.0, 5.5, 0.85


def main() -> Result:
    """Race, and measure the bound."""
    ours, plain, tuned, decode, network = [], [], [], [], []
    script = SHARED / "bench" / "plain_torch.py"
    for number in range(ROUNDS):
        before = _decode_alone(), _network_alone()
        with scratch() as folder:
            out = folder / "features.parquet"
            result = foveate("featurize", SOURCE, "--out", out, "--json", cache=folder).json
            ours.append(_rate(result))
        # The bound is measured on both sides of what is held against it: the machine drifts.
        after = _decode_alone(), _network_alone()
        decode.append((before[0] + after[0]) / 2)
        network.append((before[1] + after[1]) / 2)
        tuned.append(_rate(run(sys.executable, script, SOURCE, "--tuned").json))
        plain.append(_rate(run(sys.executable, script, SOURCE).json))
        print(
            f"round {number + 1}: foveate {ours[-1]:.0f}, plain {plain[-1]:.1f}, "
            f"tuned {tuned[-1]:.1f}, decode alone {decode[-1]:.0f}, "
            f"network alone {network[-1]:.0f} images/s",
            flush=True,
        )
    d, m = median(decode), median(network)
    bound = 1 / (1 / d + 1 / m)
    rate = median(ours)
    by_round = [a / b for a, b in zip(ours, plain, strict=True)]
    by_round_tuned = [a / b for a, b in zip(ours, tuned, strict=True)]
    share = [a * (1 / d + 1 / m) for a, d, m in zip(ours, decode, network, strict=True)]
    return Result(
        "Bytes on disk to features",
        [
            f"{len(list(SOURCE.rglob('*.*')))} photos of up to 720 px, EfficientNet-Lite0 at 224 "
            f"px, {usable_cores()} cores, medians of {ROUNDS} rounds in which all take turns; "
            "ratios are taken within a round.",
            f"d = {d:.0f} images/s decode and resize alone, m = {m:.0f} images/s network alone, "
            f"bound 1 / (1/d + 1/m) = {bound:.0f} images/s, reached {rate:.0f}.",
            "foveate's figure includes listing, hashing and the perceptual hash of every file.",
        ],
        [
            Bar("times plain PyTorch", median(by_round), "×", TIMES_PLAIN, at_least=True),
            Bar("times tuned PyTorch", median(by_round_tuned), "×", TIMES_TUNED, at_least=True),
            Bar("share of the bound", median(share), "", SHARE_OF_BOUND, at_least=True),
        ],
        [
            ["", "images/s"],
            ["foveate", f"{rate:.0f}"],
            ["plain PyTorch", f"{median(plain):.1f}"],
            ["tuned PyTorch", f"{median(tuned):.1f}"],
            ["decode alone", f"{d:.0f}"],
            ["network alone", f"{m:.0f}"],
        ],
    )


def _rate(result: dict[str, object]) -> float:
    return float(str(result["images_per_second"]))


def _decode_alone() -> float:
    resize = Resize(224)
    data = [path.read_bytes() for path in sorted(SOURCE.rglob("*.*"))]
    return _in_threads(lambda one: open_image(one).pixels(resize), data)


def _network_alone(seconds: float = 3.0) -> float:
    network = open_network(find_backbone("efficientnet-lite0").onnx_bytes(), resolution=224)
    network.prepare()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (network.batch, 224, 224, 3), dtype=np.uint8)
    done = [0] * usable_cores()
    ready = threading.Barrier(usable_cores())

    def work(worker: int) -> None:
        network.run(pixels)
        ready.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            network.run(pixels)
            done[worker] += network.batch

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(work, range(usable_cores())))
    return sum(done) / seconds


def _in_threads(work: Callable[[bytes], object], items: Sequence[bytes]) -> float:
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(work, items[:20]))
        start = time.perf_counter()
        list(pool.map(work, items))
        return len(items) / (time.perf_counter() - start)
