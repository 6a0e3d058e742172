"""Derived data on disks that do not take any more."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from foveate.errors import SourceError
from foveate.settings import Settings
from foveate.workflow.check import check
from foveate.workflow.featurize import featurize_source


def refuse_writing(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """From now on every disk can only be read, also by root."""
    open_file, make = Path.open, Path.mkdir

    def opened(self: Path, mode: str = "r", *rest: object, **more: object) -> object:
        if "r" not in mode:
            raise OSError(code, os.strerror(code), str(self))
        return open_file(self, mode, *rest, **more)

    def made(self: Path, *rest: object, **more: object) -> None:
        if not self.is_dir():
            raise OSError(code, os.strerror(code), str(self))
        make(self, *rest, **more)

    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(Path, "mkdir", made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"), [(errno.EROFS, "can only be read"), (errno.ENOSPC, "the disk is full")]
)
def test_a_warm_cache_that_takes_no_more_serves(
    code: int, said: str, patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("FOVEATE_CACHE", str(cache))
    settings = Settings(resolution=64)
    featurize_source(patterns, settings)
    moved = tmp_path / "moved"
    moved.symlink_to(patterns)  # another source of the same images, of which no fact is known
    before = sorted(cache.rglob("*"))
    refuse_writing(monkeypatch, code)
    for source in (patterns, moved):
        prepared, _ = featurize_source(source, settings)
        assert prepared.features_of(prepared.catalog.usable).shape == (36, 1280)
        check(source, settings)
    assert sorted(cache.rglob("*")) == before
    with pytest.raises(SourceError, match=f"{said}.*FOVEATE_CACHE"):
        featurize_source(patterns, Settings(resolution=72))
