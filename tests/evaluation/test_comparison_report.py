"""Tests of foveate.evaluation.comparison_report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.evaluation.comparison_report import (
    ComparedRun,
    differing_settings,
    write_comparison,
)
from foveate.evaluation.metrics import evaluate
from foveate.predictions import Predictions

HOSTILE = "<script>alert('x')</script>\"&"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that elements nest, and collects the text, tags, attributes and rows of tables."""

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


def predictions(
    known: str, said: str, labels: tuple[str, ...] = ("a", "b", "c"), sure: float = 0.9
) -> Predictions:
    letters = "abcdefgh"
    rest = (1 - sure) / max(len(labels) - 1, 1)
    probabilities = np.full((len(known), len(labels)), rest, np.float32)
    probabilities[np.arange(len(known)), [letters.index(one) for one in said]] = sure
    return Predictions(
        labels=labels,
        paths=tuple(f"pictures/{row}.png" for row in range(len(known))),
        known=tuple(labels[letters.index(one)] for one in known),
        probabilities=probabilities,
        errors=(None,) * len(known),
    )


def a_run(
    name: str, answers: Predictions, settings: Mapping[str, object] | None = None
) -> ComparedRun:
    return ComparedRun(name, settings or {}, evaluate(answers, resamples=50), answers)


KNOWN = "abc" * 20
FIRST = predictions(KNOWN, "abc" * 16 + "bca" * 4)
BETTER = predictions(KNOWN, "abc" * 19 + "bbb", sure=0.7)
OTHER = predictions("ab" * 10, "ab" * 9 + "ba")


def written(tmp_path: Path, *runs: ComparedRun, title: str = "") -> tuple[str, Page]:
    path = tmp_path / "reports" / "c.html"
    write_comparison(path, runs, title=title, resamples=100)
    assert [entry.name for entry in path.parent.iterdir()] == ["c.html"]
    html = path.read_text(encoding="utf-8")
    return html, Page(html)


def test_two_runs(tmp_path: Path) -> None:
    _, page = written(
        tmp_path,
        a_run("Frozen", FIRST, {"c": 1.0, "resolution": 224, "seed": 0}),
        a_run("Refined", BETTER, {"c": 0.1, "resolution": "224", "seed": 0, "epochs": 20}),
    )
    for wanted in (
        "Refined against Frozen",
        "+16.7 points",
        "The accuracy of B less that of A on the same 60 images",
        "Refined is better than Frozen by 16.7 points (",
        "c 1.0 0.1 epochs – 20 2 other settings are the same in all runs.",
        "Images right in this run alone 10",
        "Images right in A alone 0",
        "McNemar’s exact test p = 0.002",
        "Label average, by bootstrap",
        "11 images: 0 that only Frozen got right, 10 that only Refined got right, 1 that neither",
        "A: Frozen",
        "B: Refined",
        "Rows are the known labels",
    ):
        assert wanted in page.text
    assert "Holm" not in page.text
    assert "resolution" not in page.text


def test_it_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    html, page = written(tmp_path, a_run("x", FIRST), a_run("y", BETTER), a_run("z", OTHER))
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
    labels = (HOSTILE, "b", "c")
    one = predictions("aab", "abb", labels)
    other = replace(predictions("aab", "aba", labels), paths=one.paths)
    hostile = tuple(f"{HOSTILE}{row}" for row in range(3))
    html, page = written(
        tmp_path,
        a_run(HOSTILE, replace(one, paths=hostile), {HOSTILE: HOSTILE}),
        a_run("y", replace(other, paths=hostile), {HOSTILE: 1}),
        a_run(HOSTILE + "2", OTHER),
    )
    assert "<script" not in html
    assert page.text.count(HOSTILE) > 20


def test_different_test_sets_are_told_and_not_tested(tmp_path: Path) -> None:
    html, page = written(tmp_path, a_run("Frozen", FIRST), a_run("Small", OTHER))
    assert (
        "Small was tested on 20 images and Frozen on 60 images, of which 20 are the same (12 with "
        "another known label). A difference may come from the images" in page.text
    )
    assert "McNemar" not in page.text
    assert "Images on which they disagree" not in page.text
    assert ", less A" not in page.text
    assert '<div class="headline">' not in html
    assert "80.0 %" in page.text
    assert "The hardest first." in page.text


def test_several_runs_are_corrected_and_say_so(tmp_path: Path) -> None:
    third = predictions(KNOWN, "abc" * 17 + "cab" * 3)
    _, page = written(
        tmp_path,
        a_run("Frozen", FIRST),
        a_run("Refined", BETTER),
        a_run("Small", OTHER),
        a_run("Forest", third),
    )
    for wanted in (
        "4 runs compared",
        "2 runs are compared with A",
        "by Holm’s method",
        "corrected for 2 comparisons",
        "with Holm’s correction",
        "Small was tested on 20 images",
        "Below the accuracies of B and D are the differences from A in points",
        "that several of them got right",
    ):
        assert wanted in page.text
    assert "C Small, less A" not in page.text
    assert "D Forest, less A" in page.text


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    _, page = written(tmp_path, a_run("run", FIRST), a_run("run", BETTER))
    assert "run (B) is better than run (A) by" in page.text


def test_a_title_of_ones_own(tmp_path: Path) -> None:
    html, page = written(tmp_path, a_run("x", FIRST), a_run("y", BETTER), title="Spring & autumn")
    assert page.text.startswith("Spring & autumn")
    assert "<title>Spring &amp; autumn</title>" in html


def test_the_same_answers(tmp_path: Path) -> None:
    _, page = written(tmp_path, a_run("x", FIRST, {"c": 1}), a_run("y", FIRST, {"c": 1}))
    assert "y and x are right on the same images" in page.text
    assert "There is none: they call every image by the same label." in page.text
    assert "Nothing: the only setting is the same." in page.text
    assert "chance –" in page.text


def test_no_mistake_and_no_settings(tmp_path: Path) -> None:
    perfect = predictions(KNOWN, KNOWN)
    _, page = written(tmp_path, a_run("x", perfect), a_run("y", perfect))
    assert "There was none: every run got every image right." in page.text
    assert "The settings of these runs are not known." in page.text


def test_images_are_shown_and_missing_ones_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for row in range(48, 60, 2):
        Image.new("RGB", (300, 200), (row, 90, 200)).save(folder / f"{row}.png")
    asked = []

    def load(path: str) -> bytes:
        asked.append(path)
        return (tmp_path / path).read_bytes()

    path = tmp_path / "c.html"
    runs = [a_run("x", FIRST), a_run("y", BETTER)]
    write_comparison(path, runs, load_bytes=load, resamples=50)
    html = path.read_text(encoding="utf-8")
    assert html.count("data:image/jpeg;base64,") == 6
    assert html.count("cannot be shown") == 5
    assert sorted(asked) == [f"pictures/{row}.png" for row in range(48, 60) if row != 57]
    # Known label, then what each said and how sure it was.
    assert "a A b, 90 % B a, 70 % 48.png" in Page(html).text


def test_at_most_36_images_and_all_counted(tmp_path: Path) -> None:
    one, other = predictions("a" * 80, "a" * 80), predictions("a" * 80, "b" * 80)
    html, page = written(tmp_path, a_run("x", one), a_run("y", other))
    assert html.count("cannot be shown") == 36
    assert "The surest disagreements first. 36 are shown." in page.text


def test_images_that_were_left_out_are_counted(tmp_path: Path) -> None:
    probabilities = BETTER.probabilities.copy()
    probabilities[0] = np.nan
    errors = ("truncated", *BETTER.errors[1:])
    refused = replace(BETTER, probabilities=probabilities, errors=errors)
    _, page = written(tmp_path, a_run("x", FIRST), a_run("y", refused))
    assert "1 image of the test set is left out of the comparison of B with A" in page.text


def test_runs_with_other_labels(tmp_path: Path) -> None:
    known = "abcd" * 8
    four = predictions(known, known[:-3] + "abc", ("a", "b", "c", "d"))
    three = Predictions(
        ("a", "b", "c"),
        four.paths,
        four.known,
        predictions("abc" * 11, ("abca" * 8) + "a").probabilities[:32],
        four.errors,
    )
    _, page = written(tmp_path, a_run("x", three), a_run("y", four))
    assert "The runs do not have the same labels" in page.text
    assert "8 images of the test set are left out" in page.text
    assert "d 0 to 8 – 87.5 %" in page.text


@pytest.mark.parametrize(
    ("count", "wide", "folded", "drawn"),
    [(3, False, False, 2), (11, True, False, 2), (20, True, True, 2), (60, False, False, 0)],
)
def test_many_labels(tmp_path: Path, count: int, wide: bool, folded: bool, drawn: int) -> None:
    labels = tuple(f"label {k}" for k in range(count))
    rng = np.random.default_rng(0)
    known = np.tile(np.arange(count), 5)
    runs = []
    for name in "xy":
        scores = rng.normal(size=(len(known), count))
        scores[np.arange(len(known)), known] += 2.5
        probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        answers = Predictions(
            labels,
            tuple(f"{row}.png" for row in range(len(known))),
            tuple(labels[k] for k in known),
            probabilities.astype(np.float32),
            (None,) * len(known),
        )
        runs.append(a_run(name, answers))
    html, page = written(tmp_path, *runs)
    assert ('class="matrices wide"' in html) == wide
    assert ("The confusion matrices of all runs" in page.text) == folded
    assert html.count('aria-label="Confusion matrix') == drawn
    assert ("Confusion matrices of 60 labels would be too large" in page.text) == (count == 60)
    assert ("20 more labels" in page.text) == (count == 60)
    assert ("The 30 hardest labels are drawn" in page.text) == (count == 60)
    assert all(label in page.text for label in labels)


def test_settings_are_compared_as_they_are_written() -> None:
    assert differing_settings(
        [{"c": 1.0, "r": 224, "x": None}, {"c": "1.0", "r": 320, "y": 1}]
    ) == (
        ("r", ("224", "320")),
        ("x", ("None", "–")),
        ("y", ("–", "1")),
    )


def test_a_file_name_that_is_not_unicode_does_not_lose_the_page(tmp_path: Path) -> None:
    paths = ("caf\udce9.jpg", *FIRST.paths[1:])
    one = replace(predictions(KNOWN, "b" + KNOWN[1:]), paths=paths)
    _, page = written(tmp_path, a_run("x", one), a_run("y", replace(FIRST, paths=paths)))
    assert "caf\\udce9.jpg" in page.text


def test_one_run_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs two runs, not 1"):
        write_comparison(tmp_path / "c.html", [a_run("x", FIRST)])
