"""A small classifier, and a server of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import foveate as fv
from foveate.serve.models import ServedModel, read_served
from support.servers import Running, serving


@pytest.fixture(scope="session")
def model_file(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of checks, dots and stripes; tests must not change it."""
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(folder / "cache"))
        patch.setenv("FOVEATE_HISTORY", "off")
        run = fv.train(patterns, resolution=64)
    run.save(folder / "patterns.onnx")
    return folder / "patterns.onnx"


@pytest.fixture(scope="session")
def other_model_file(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another classifier of the same images, with another head."""
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(folder / "cache"))
        patch.setenv("FOVEATE_HISTORY", "off")
        run = fv.train(patterns, resolution=64, classifier="logistic")
    run.save(folder / "other.onnx")
    return folder / "other.onnx"


@pytest.fixture(scope="session")
def served(model_file: Path) -> ServedModel:
    """The classifier as a server has it."""
    return read_served("patterns", model_file)


@contextmanager
def _small_server(model_file: Path, folder: Path) -> Iterator[Running]:
    """A server with two workers and a small limit for bodies."""
    limits = ("--max-body", 1, "--max-images", 8)
    with serving(folder / "log", model_file, "--workers", 2, *limits) as running:
        yield running


@pytest.fixture(scope="session")
def server(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for all tests that leave it as it was."""
    with _small_server(model_file, tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.fixture(scope="module")
def own_server(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Another one, for a module that stops it, or reads all that it logged."""
    with _small_server(model_file, tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.fixture(scope="session")
def image(patterns: Path) -> bytes:
    """The bytes of an image of stripes."""
    return (patterns / "stripes" / "0.png").read_bytes()
