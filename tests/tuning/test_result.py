"""What a search hands over: the command, the JSON, the page."""

from __future__ import annotations

import shlex
from dataclasses import replace
from html import unescape
from pathlib import Path

from foveate.settings import Settings, make_settings
from foveate.tuning import Tuning


def test_the_command_trains_the_chosen_one(patterns: Path, tuning: Tuning, small: Settings) -> None:
    words = shlex.split(tuning.command("m.onnx"))
    assert words[:5] == ["foveate", "train", str(patterns), "--out", "m.onnx"]
    flags = dict(zip(words[5::2], words[6::2], strict=True))
    assert flags["--resolution"] == str(tuning.chosen.candidate.resolution)
    assignments = [
        value for word, value in zip(words[5::2], words[6::2], strict=True) if word == "--set"
    ]
    own = {name: flags[f"--{name}"] for name in ("backbone", "classifier", "resolution")}
    made = make_settings(None, assignments, own | {"resolution": int(own["resolution"])})
    assert made == tuning.chosen.candidate.settings(small)


def test_a_limit_is_in_the_command(tuning: Tuning) -> None:
    assert replace(tuning, limit=30).command().endswith("--limit 30")


def test_the_page_is_one_file(tuning: Tuning, tmp_path: Path) -> None:
    page = unescape(tuning.report(tmp_path / "new" / "tune.html").read_text())
    assert "default-src 'none'" in page
    assert page.count("<svg") >= 2
    for outside in ("http:", "https:", "<script", "<link", "url("):
        assert outside not in page
    for words in ("Accuracy against speed", "More images, or another model?", tuning.command()):
        assert words in page


def test_json(tuning: Tuning) -> None:
    found = tuning.to_json()
    assert [one["chosen"] for one in found["candidates"]].count(True) == 1
    assert any(one["best_trade_off"] for one in found["candidates"])
    assert found["n_train"] == 27
    low, high = found["accuracy_ci95"]
    assert low <= found["accuracy"] <= high
    assert found["verdict"] in ("images", "model", "neither", "unknown")
