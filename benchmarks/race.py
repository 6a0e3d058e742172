"""Refining against the training script of timm and `fine_tune` of fastai.

All get the same training and test images, the same weights, size of views and number of passes,
and are timed as whole processes, from the start of Python to the accuracy on the test images.
Foveate's time includes what the others do not do: looking for damaged images and copies, the
frozen SVM to compare with, and the export to one file that runs without PyTorch.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from benchmarks.common import DATA, ROOT, Bar, Result, foveate, median, run, scratch
from foveate.backbones import find_backbone
from foveate.backbones.network import load_pretrained
from foveate.settings import Settings
from foveate.workflow.split import split

SOURCE = DATA / "fashion_texture"
RESOLUTION, EPOCHS, MINIBATCH, SPLITS = 224, 5, 16, 5
OURS, OTHERS = "foveate", ("timm", "fastai")
ALL = (OURS, *OTHERS)


@dataclass(slots=True)
class Standing:
    """How the race stands; by name, a number for each split.

    Attributes:
        accuracy: % of the test images.
        seconds: of whole processes.
        n_test: test images of a split.
    """

    accuracy: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ALL})
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ALL})
    n_test: int = 0


def main() -> Result:
    """Race on every split; who begins changes."""
    standing = Standing()
    for seed in range(SPLITS):
        race(standing, seed)
    return summarise(standing)


def race(standing: Standing, seed: int) -> None:
    """One split more."""
    with scratch() as folder:
        standing.n_test = lay_out(folder, seed)
        for name in ALL[seed % 3 :] + ALL[: seed % 3]:
            right, took = _ours(folder, seed) if name == OURS else _theirs(name, folder, seed)
            standing.accuracy[name].append(100 * right)
            standing.seconds[name].append(took)
            print(f"split {seed}, {name}: {100 * right:.2f} %, {took:.0f} s", flush=True)


def summarise(standing: Standing) -> Result:
    """What the splits so far come to."""
    accuracy, seconds, n_test = standing.accuracy, standing.seconds, standing.n_test
    bars = []
    for name in OTHERS:
        more = float(np.mean(accuracy[OURS]) - np.mean(accuracy[name]))
        ratios = [a / b for a, b in zip(seconds[OURS], seconds[name], strict=True)]
        bars += [
            Bar(f"accuracy above that of {name}", more, "points", 0, at_least=True),
            Bar(f"wall time over that of {name}", median(ratios), "", 1, at_least=False),
        ]
    versions = ", ".join(f"{name} {version(name)}" for name in (*OTHERS, "torch"))
    return Result(
        "Refining, raced",
        [
            f"{SOURCE.name}, {len(accuracy[OURS])} seeded splits of 75/25 ({n_test} test images "
            f"each), EfficientNet-Lite0 with the same weights, {RESOLUTION} px, {EPOCHS} passes, "
            f"minibatches of {MINIBATCH}; {versions}. Whole processes, median of the ratios of "
            "each split.",
            f"foveate: `foveate train … --classifier dnn --resolution {RESOLUTION} --set "
            f"epochs={EPOCHS}`. timm: the package does not carry its `train.py`; "
            "`benchmarks/race_timm.py` is that script's training from the package's own parts, as "
            f"`train.py … --model tf_efficientnet_lite0 --pretrained --img-size {RESOLUTION} -b "
            f"{MINIBATCH} --epochs {EPOCHS} --opt adamw --lr 2e-3 "
            "--weight-decay 0.05 --sched cosine --warmup-epochs 0 --sched-on-updates --model-ema "
            "--model-ema-warmup --scale 0.35 1 --amp --amp-dtype bfloat16 --channels-last`; its "
            "test images are judged once, not after every epoch, and its rate is the best of those "
            "tried on split 0. fastai: "
            f"`vision_learner(…).fine_tune({EPOCHS - 1})` (one pass frozen), in float32, as its "
            "mixed precision is for GPUs only; `benchmarks/race_fastai.py`. Both train on all "
            "training images; foveate keeps 15 % of them to say when to stop.",
        ],
        bars,
        [
            ["", "accuracy % by split", "mean", "seconds by split"],
            *(
                [
                    name,
                    ", ".join(f"{value:.2f}" for value in accuracy[name]),
                    f"{np.mean(accuracy[name]):.2f}",
                    ", ".join(f"{value:.0f}" for value in seconds[name]),
                ]
                for name in accuracy
            ),
        ],
    )


def lay_out(folder: Path, seed: int) -> int:
    """`train/LABEL/` and `test/LABEL/` as foveate splits with this seed, and the weights.

    Returns:
        How many test images there are.
    """
    dealt = split(SOURCE, Settings(seed=seed))
    sides = dealt.split.sides()
    n_test = 0
    for number, row in enumerate(dealt.catalog.labelled):
        side = sides.get(row.facts.id)
        if side is not None:
            path = SOURCE / row.path
            target = folder / side / str(row.entry.label) / f"{number}{path.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
            n_test += side == "test"
    network = load_pretrained(find_backbone("efficientnet-lite0"))
    save_file(
        {name: value.contiguous() for name, value in network.network.state_dict().items()},
        folder / "weights.safetensors",
    )
    return n_test


def _ours(folder: Path, seed: int) -> tuple[float, float]:
    flags = ["--classifier", "dnn", "--resolution", RESOLUTION, "--set", f"epochs={EPOCHS}"]
    flags += ["--set", f"minibatch={MINIBATCH}", "--seed", seed, "--json"]
    out = ["--out", folder / "model.onnx"]
    finished = foveate("train", SOURCE, *flags, *out, cache=folder / "cache")
    return float(finished.json["accuracy"]), finished.seconds


def _theirs(name: str, folder: Path, seed: int) -> tuple[float, float]:
    script = ROOT / "benchmarks" / f"race_{name}.py"
    finished = run(sys.executable, script, folder, RESOLUTION, EPOCHS, MINIBATCH, seed)
    return float(finished.json["accuracy"]), finished.seconds
