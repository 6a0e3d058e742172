"""Fixtures that every room uses."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

import foveate.runtime.openvino  # noqa: F401 - before any test imports a runtime that would report

# How long an example takes says more about the machine than about the code.
settings.register_profile("foveate", deadline=None)
settings.load_profile("foveate")

pytest_plugins = ("support.spark_cluster",)  # one cluster for whoever asks for it

LABELS = ("checks", "dots", "stripes")


def pytest_collection_finish() -> None:
    """What was loaded stays; to look through it for garbage again and again is slow."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets beside the checkout; they are not part of the project."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real data sets (../shared/data) are not here")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has an empty cache of its own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FOVEATE_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def own_backbones(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Every test has an empty folder of added backbones."""
    folder = tmp_path_factory.mktemp("backbones")
    monkeypatch.setenv("FOVEATE_BACKBONES", str(folder))
    return folder


@pytest.fixture(autouse=True, scope="session")
def no_history() -> Iterator[None]:
    """Tests leave nothing in the run history; those about it turn it on.

    For the whole session: what a module's fixtures train is not for a history either.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_HISTORY", "off")
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        yield


def hear_ctrl_c() -> None:
    """For `preexec_fn`: a shell that starts tests in the background lets them ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def draw_pattern(label: str, seed: int, side: int = 96) -> Image.Image:
    """An image of checks, dots or stripes, in colours and scale of its own."""
    rng = np.random.default_rng([LABELS.index(label), seed])
    y, x = np.mgrid[:side, :side] / side
    turn = rng.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    period = rng.uniform(0.12, 0.25)
    pattern = {
        "checks": (np.floor(u / period) + np.floor(v / period)) % 2 == 0,
        "dots": np.hypot(u / period % 1 - 0.5, v / period % 1 - 0.5) < 0.32,
        "stripes": (u / period) % 1 < 0.5,
    }[label]
    front, back = rng.integers(0, 256, (2, 3))
    pixels = np.where(pattern[..., None], front, back) + rng.normal(0, 8, (side, side, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def draw_folder(folder: Path, count: int = 12, first: int = 0) -> Path:
    """A source of `count` images a label: `<folder>/<label>/<n>.png`, n from `first` on."""
    for label in LABELS:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for seed in range(first, first + count):
            draw_pattern(label, seed).save(folder / label / f"{seed}.png")
    return folder


@pytest.fixture(scope="session")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of three labels with twelve images each; tests must not change it."""
    return draw_folder(tmp_path_factory.mktemp("patterns"))
