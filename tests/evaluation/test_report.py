"""Tests of foveate.evaluation.report."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.evaluation.learning import LearningPoint
from foveate.evaluation.metrics import evaluate
from foveate.evaluation.report import ReportDetails, confusions, hits, mistakes, write_report
from foveate.predictions import Predictions

HOSTILE = "<script>alert('x')</script>\"&"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that elements nest, and collects the text, tags and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u202f", " ").split())


def some_predictions(
    known: str = "aaabbbccc", said: str = "aabbbbccc", labels: tuple[str, ...] = ("a", "b", "c")
) -> Predictions:
    letters = "abcdefgh"
    probabilities = np.full((len(known), len(labels)), 0.1, np.float32)
    for row, letter in enumerate(said):
        probabilities[row, letters.index(letter)] = 0.5 + row / 100
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Predictions(
        labels=labels,
        paths=tuple(f"pictures/{row}.png" for row in range(len(known))),
        known=tuple(labels[letters.index(letter)] for letter in known),
        probabilities=probabilities,
        errors=(None,) * len(known),
    )


def written(
    tmp_path: Path, predictions: Predictions, details: ReportDetails | None = None
) -> tuple[str, Page]:
    path = tmp_path / "reports" / "r.html"
    evaluation = evaluate(predictions, resamples=50)
    write_report(path, evaluation, predictions, details or ReportDetails(title="t"))
    assert [entry.name for entry in path.parent.iterdir()] == ["r.html"]
    html = path.read_text(encoding="utf-8")
    return html, Page(html)


def test_the_headline(tmp_path: Path) -> None:
    _, page = written(tmp_path, some_predictions())
    assert "88.9 % of 9 test images right (56.5 to 98.0 %)." in page.text
    assert "always answering ‘a’ would reach, 33.3 %" in page.text


def test_everything_that_is_told_is_there(tmp_path: Path) -> None:
    details = ReportDetails(
        title="Garments",
        settings={"resolution": 224, "class weight": "balanced"},
        model="m.onnx",
        backbone={"licence": "Apache-2.0"},
        reproduce="foveate train garments --out m.onnx",
        quarantined=[("bad/one.jpg", "truncated", "It ends early.")],
        seconds={"features": 4.25, "head": 1.25},
        counts={"Images to train on": 12345},
        notes=("7 near duplicates were kept on one side.",),
        search=[(0.1, 0.9, 0.01), (1.0, 0.95, 0.01)],
        chosen_c=1.0,
        generated=True,
    )
    _, page = written(tmp_path, some_predictions(), details)
    for wanted in (
        "Garments", "resolution 224", "class weight balanced", "m.onnx", "licence Apache-2.0",
        "foveate train garments --out m.onnx", "bad/one.jpg truncated It ends early.",
        "features 4.2", "together 5.5", "Images to train on 12,345",
        "7 near duplicates were kept on one side.", "Taken: C = 1.", "drawn by a program",
        "Most confident mistakes", "Least certain hits", "bootstrap within labels, 50 resamples",
        "Calibration error", "Wilson’s",
    ):  # fmt: skip
        assert wanted in page.text


def test_it_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    html, page = written(tmp_path, some_predictions())
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "default-src 'none'" in html
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            assert (value or "").startswith("data:")
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"https?://", html)


def test_whatever_the_data_are_called_is_shown_not_run(tmp_path: Path) -> None:
    predictions = some_predictions(labels=(HOSTILE, "b", "c"))
    details = ReportDetails(
        title=HOSTILE,
        settings={HOSTILE: HOSTILE},
        backbone={HOSTILE: HOSTILE},
        reproduce=HOSTILE,
        quarantined=[(HOSTILE, HOSTILE, HOSTILE)],
        seconds={HOSTILE: 1.0},
        counts={HOSTILE: 1},
        notes=[HOSTILE],
        learning=[LearningPoint(0.5, 0.5)],
        learning_advice=HOSTILE,
        comparison=HOSTILE,
    )
    html, page = written(tmp_path, predictions, details)
    assert "<script" not in html
    assert page.text.count(HOSTILE) > 14


def test_images_are_shown_and_missing_ones_replaced(tmp_path: Path) -> None:
    predictions = some_predictions()
    folder = tmp_path / "pictures"
    folder.mkdir()
    for row in range(4):
        Image.new("RGB", (300, 200), (9 * row, 90, 200)).save(folder / f"{row}.png")
    evaluation = evaluate(predictions, resamples=50)
    asked = []

    def load(path: str) -> bytes:
        asked.append(path)
        return (tmp_path / path).read_bytes()

    path = tmp_path / "r.html"
    write_report(path, evaluation, predictions, ReportDetails(title="t"), load_bytes=load)
    html = path.read_text(encoding="utf-8")
    assert html.count("data:image/jpeg;base64,") == 4
    assert html.count("cannot be shown") == 5
    assert sorted(asked) == sorted(predictions.paths)
    assert "a → b, 7" in Page(html).text


def test_at_most_24_images_of_a_kind_and_small_as_a_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    data = (tmp_path / "noise.png").read_bytes()
    predictions = some_predictions("ab" * 40, "aa" * 40)
    evaluation = evaluate(predictions, resamples=50)
    path = tmp_path / "r.html"
    write_report(path, evaluation, predictions, ReportDetails(title="t"), load_bytes=lambda _: data)
    html = path.read_text(encoding="utf-8")
    assert html.count("data:image/jpeg;base64,") == 48
    assert html.count("24 of 40 are shown") == 2
    assert len(html) < 1_500_000


def test_the_order_of_examples() -> None:
    predictions = some_predictions("aaabbbccc", "abacbbccb")
    assert mistakes(predictions) == [8, 3, 1]
    assert hits(predictions) == [0, 2, 4, 5, 6, 7]


def test_examples_leave_out_what_is_not_measured() -> None:
    base = some_predictions("aab", "aba")
    probabilities = base.probabilities.copy()
    probabilities[1] = np.nan
    predictions = Predictions(
        base.labels, base.paths, ("a", "b", "zebra"), probabilities, (None, "empty", None)
    )
    assert mistakes(predictions) == []
    assert hits(predictions) == [0]


def test_confusions_are_sorted_by_count() -> None:
    evaluation = evaluate(some_predictions("aaaabbbccc", "abbcbbcccc"), resamples=20)
    assert confusions(evaluation) == [("a", "b", 2, 0.5), ("a", "c", 1, 0.25),
                                      ("b", "c", 1, pytest.approx(1 / 3))]  # fmt: skip


def test_no_mistake_and_no_quarantine(tmp_path: Path) -> None:
    _, page = written(tmp_path, some_predictions(said="aaabbbccc"))
    assert "There was none: all 9 test images got their label." in page.text
    assert "No mistake among 9 test images." in page.text
    assert "None: every image could be read." in page.text


def test_no_hit(tmp_path: Path) -> None:
    _, page = written(tmp_path, some_predictions("aab", "bba"))
    assert "Not one image was right." in page.text


def test_a_single_label(tmp_path: Path) -> None:
    _, page = written(tmp_path, some_predictions("aaa", "aaa", labels=("a",)))
    assert "no area under the ROC curve" in page.text


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    base = some_predictions("aabbbb", "aabbbb")
    probabilities = base.probabilities.copy()
    probabilities[3] = np.nan
    predictions = Predictions(
        base.labels,
        base.paths,
        ("a", "a", "b", "b", None, "zebra"),
        probabilities,
        (None, None, None, "empty", None, None),
    )
    _, page = written(tmp_path, predictions)
    assert "No test image has the label ‘c’: nothing is known" in page.text
    assert "‘zebra’ (1 image)." in page.text
    assert "because unreadable: 1 image." in page.text
    assert "because no label is known: 1 image." in page.text


def test_a_long_quarantine_is_cut_and_counted(tmp_path: Path) -> None:
    rows = [(f"{row}.jpg", "empty", "No bytes.") for row in range(250)]
    _, page = written(tmp_path, some_predictions(), ReportDetails(title="t", quarantined=rows))
    assert "The first 200 of 250 are listed." in page.text
    assert page.text.count("No bytes.") == 200


def test_a_file_name_that_is_not_unicode_does_not_lose_the_page(tmp_path: Path) -> None:
    details = ReportDetails(title="t", quarantined=[("caf\udce9.jpg", "empty", "No bytes.")])
    _, page = written(tmp_path, some_predictions(), details)
    assert "caf\\udce9.jpg" in page.text


def test_how_it_learned(tmp_path: Path) -> None:
    details = ReportDetails(
        title="t",
        learning=[LearningPoint(0.4, 0.5), LearningPoint(0.2, 0.25), LearningPoint(0.1, 0.3)],
        best_epoch=1,
        learning_advice="It overfits.",
    )
    html, page = written(tmp_path, some_predictions(), details)
    assert "How it learned" in page.text
    assert "What it knew after epoch 2 was kept. Validation images are training" in page.text
    assert "It overfits." in page.text
    assert "validation images 25.0 % in epoch 2" in page.text
    assert 'aria-label="Learning curves. Wrong answers"' in html


def test_without_validation_images_they_are_not_spoken_of(tmp_path: Path) -> None:
    details = ReportDetails(title="t", learning=[LearningPoint(0.4, None)])
    _, page = written(tmp_path, some_predictions(), details)
    assert "How it learned" in page.text
    assert "alidation images" not in page.text
    assert "was kept" not in page.text


def test_what_was_not_trained_or_compared_has_no_section_for_it(tmp_path: Path) -> None:
    html, page = written(tmp_path, some_predictions(), ReportDetails(title="t", best_epoch=3))
    assert "How it learned" not in page.text
    assert '<p class="compared">' not in html


def test_the_comparison_stands_between_the_table_and_its_notes(tmp_path: Path) -> None:
    details = ReportDetails(title="t", comparison="Refined is better than frozen features.")
    _, page = written(tmp_path, some_predictions(), details)
    place = page.text.index("Refined is better than frozen features.")
    assert page.text.index("All images") < place < page.text.index("Intervals: shares")
