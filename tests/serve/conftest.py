"""A small classifier, and a server of it."""

from __future__ import annotations

from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def server(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with two workers and a small limit for bodies, for all tests of a module."""
    log = tmp_path_factory.mktemp("serve") / "log"
    limits = ("--max-body", 1, "--max-images", 8)
    with serving(log, model_file, "--workers", 2, *limits) as running:
        yield running


@pytest.fixture(scope="session")
def image(patterns: Path) -> bytes:
    """The bytes of an image of stripes."""
    return (patterns / "stripes" / "0.png").read_bytes()
