"""The verb `tune`: where its page goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveate.settings import Settings
from foveate.workflow.tune import tune, usual_page


def test_the_usual_page() -> None:
    assert usual_page(None, "run") == Path("tune.html")
    assert usual_page(Path("p"), "run") == Path("p/reports/run.html")


@pytest.mark.slow
def test_the_page_is_written_where_it_is_wanted(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(c=(1.0,))
    tuning = tune(patterns, settings, resolutions=(64,), classifiers=("svm",), report="t.html")
    assert tuning.page == Path("t.html")
    assert tuning.chosen.candidate.resolution == 64
    assert "<html" in (tmp_path / "t.html").read_text()
