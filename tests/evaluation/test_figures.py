"""Tests of foveate.evaluation.figures."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from foveate.evaluation import figures
from foveate.evaluation.intervals import wilson
from foveate.evaluation.learning import LearningPoint
from foveate.evaluation.metrics import Evaluation, evaluate
from foveate.predictions import Predictions


def an_evaluation(k: int, n: int, strength: float = 2.0, name: str = "label") -> Evaluation:
    rng = np.random.default_rng(0)
    known = np.r_[np.arange(k), rng.integers(0, k, n - k)]
    scores = rng.normal(size=(n, k))
    scores[np.arange(n), known] += strength
    scores = np.exp(scores)
    labels = tuple(f"{name} {index}" for index in range(k))
    probabilities = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    paths = tuple(f"{index}.jpg" for index in range(n))
    return evaluate(
        Predictions(labels, paths, tuple(labels[i] for i in known), probabilities, (None,) * n),
        resamples=20,
    )


def parsed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{html}</div>")


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter("text")]


@pytest.mark.parametrize("k", [1, 2, 3, 12, 21, 40])
def test_all_figures_are_well_formed_for_any_number_of_labels(k: int) -> None:
    evaluation = an_evaluation(k, 5 * k, name='<u>"&')
    for figure in (
        figures.roc_figure(evaluation),
        figures.confusion_figure(evaluation),
        figures.reliability_figure(evaluation.calibration),
    ):
        root = parsed(figure)
        assert "<u>" not in figure
        for drawing in root.iter("svg"):
            assert drawing.attrib.get("role") == "img" or "overflow" in drawing.attrib


def test_confusion_shows_every_count_and_the_share_of_the_row() -> None:
    evaluation = an_evaluation(3, 200, 1.0)
    root = parsed(figures.confusion_figure(evaluation))
    shown = texts(root)
    titles = [element.text or "" for element in root.iter("title")]
    for row in evaluation.confusion:
        for count in row:
            assert str(count) in shown
            assert f"{100 * count / row.sum():.0f}\u202f%" in shown
    count = evaluation.confusion[0, 1]
    share = 100 * count / evaluation.confusion[0].sum()
    total = evaluation.confusion[0].sum()
    assert f"label 0 → label 1: {count} of {total} ({share:.1f}\u202f%)" in titles


@pytest.mark.parametrize(("k", "n"), [(3, 30), (21, 400), (40, 20_000)])
def test_numbers_fit_their_cells(k: int, n: int) -> None:
    root = parsed(figures.confusion_figure(an_evaluation(k, n)))
    sides = [float(one.attrib["width"]) for one in root.iter("rect")]
    numbers = [one for one in root.iter("text") if "count" in one.attrib["class"]]
    assert numbers
    for one in numbers:
        assert 0.6 * float(one.attrib["font-size"]) * len(one.text or "") <= min(sides) + 2
        assert float(one.attrib["font-size"]) >= 6


def test_long_labels_are_cut_but_told_in_full() -> None:
    name = "a label name that goes on for far longer than any axis has room for"
    root = parsed(figures.confusion_figure(an_evaluation(3, 30, name=name)))
    assert max(map(len, texts(root))) <= 22
    assert f"{name} 0" in [element.text for element in root.iter("title")]
    assert float(next(root.iter("svg")).attrib["width"]) < 600


def test_roc_names_every_area_and_puts_the_hardest_first() -> None:
    evaluation = an_evaluation(12, 600)
    root = parsed(figures.roc_figure(evaluation))
    legend = [(item[1].text, float(item[2].text or "")) for item in root.iter("li")]
    assert [area for _, area in legend] == sorted(area for _, area in legend)
    assert dict(legend) == {
        label: round(one.auc.value, 3) for label, one in evaluation.per_class.items()
    }
    styles = [item[0].attrib["class"] for item in root.iter("li")]
    assert styles == [f"key s{rank}" for rank in range(8)] + ["key rest"] * 4


def test_roc_enlarges_the_corner_only_where_the_curves_are_there() -> None:
    assert "five times larger" in figures.roc_figure(an_evaluation(3, 300, 4.0))
    assert "five times larger" not in figures.roc_figure(an_evaluation(3, 300, 0.5))


def test_roc_of_a_single_label_says_what_is_missing() -> None:
    assert "at least two labels" in figures.roc_figure(an_evaluation(1, 5))


def test_reliability_shows_a_point_for_each_bin_that_has_images() -> None:
    measured = an_evaluation(3, 300).calibration
    root = parsed(figures.reliability_figure(measured))
    full = [one for one in measured.bins if one.accuracy.n]
    points = list(root.iter("circle"))
    assert len(points) == len(full)
    # Origin at (62, 328), 300 px to the unit.
    assert float(points[-1].attrib["cx"]) == pytest.approx(62 + 300 * full[-1].confidence, abs=0.01)
    assert float(points[-1].attrib["cy"]) == pytest.approx(
        328 - 300 * full[-1].accuracy.value, abs=0.01
    )


def test_interval_strip_places_the_interval_on_its_axis() -> None:
    strip = figures.interval_strip(wilson(90, 100), 0.5, 0.6)
    styles = [part.attrib.get("style") for part in parsed(strip).iter("i")]
    low, high = wilson(90, 100).low, wilson(90, 100).high
    assert styles == [
        "left:20.00%",
        f"left:{200 * (low - 0.5):.2f}%;width:{200 * (high - low):.2f}%",
        "left:80.00%",
    ]
    assert "chance" not in figures.interval_strip(wilson(90, 100), 0.5, 0.3)
    assert "no test image" in figures.interval_strip(wilson(0, 0), 0.5)


@pytest.mark.parametrize(
    "search", [[(1.0, 0.9, 0.0)], [(100.0, 0.95, 0.02), (1e-4, 0.3, 0.4), (1.0, 1.0, 0.1)]]
)
def test_search_stays_inside_its_drawing(search: list[tuple[float, float, float]]) -> None:
    root = parsed(figures.search_figure(search))
    drawing = next(root.iter("svg"))
    points = list(root.iter("circle"))
    assert len(points) == len(search)
    across = [float(point.attrib["cx"]) for point in points]
    assert across == sorted(across)
    for whisker in root.iter("line"):
        assert 0 <= float(whisker.attrib["y1"]) <= float(drawing.attrib["height"])


def a_course(epochs: int, *, validated: bool = True, scale: float = 1.0) -> list[LearningPoint]:
    train = [scale * 0.6 / (1 + epoch) for epoch in range(epochs)]
    return [LearningPoint(error, error + 0.02 * scale if validated else None) for error in train]


def kept(panel: ElementTree.Element) -> list[ElementTree.Element]:
    return [one for one in panel.iter("circle") if float(one.attrib["r"]) > 4]


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("scale", [1.0, 0.01, 0.0])
@pytest.mark.parametrize("epochs", [1, 2, 5, 45, 300, 2000])
def test_learning_shows_every_epoch_inside_its_drawing(
    epochs: int, scale: float, validated: bool
) -> None:
    points = a_course(epochs, validated=validated, scale=scale)
    figure = figures.learning_figure(points, epochs - 1)
    assert len(figure) < 250_000
    panel = parsed(figure)[0][0]
    curves = list(panel.iter("polyline"))
    assert len(curves) == 1 + validated
    for curve in curves:
        places = [tuple(map(float, pair.split(","))) for pair in curve.attrib["points"].split()]
        assert len(places) == epochs
        assert all(0 <= x <= 312 and 0 <= y <= 232 for x, y in places)
        assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert len(kept(panel)) == 1 + validated
    assert f"kept: epoch {epochs}" in texts(panel)
    ticks = [one for one in panel.iter("text") if one.attrib["class"] == "tick mid"]
    across = [float(one.attrib["x"]) for one in ticks if (one.text or "").isdigit()]
    assert len(across) <= 12
    assert all(after - before > 10 for before, after in pairwise(across))


def test_learning_places_errors_and_the_kept_epoch_on_its_axes() -> None:
    points = [LearningPoint(0.4, 0.3), LearningPoint(0.2, 0.25), LearningPoint(0.3, 0.3)]
    panel = parsed(figures.learning_figure(points, 1))[0][0]
    assert {
        "0\u202f%",
        "10\u202f%",
        "40\u202f%",
        "1",
        "2",
        "3",
        "epoch",
        "error (% of images)",
    } <= set(texts(panel))
    # 300 px from epoch 1 to 3, 220 px from 0 to 40 %, and a margin of 6 px.
    train = panel.findall(".//polyline")[1].attrib["points"]
    assert train == "6,6 156,116 306,61"
    (first, second) = kept(panel)
    assert (first.attrib["cx"], first.attrib["cy"], first.attrib["r"]) == ("156", "116", "6.5")
    assert (second.attrib["cx"], second.attrib["cy"], second.attrib["r"]) == ("156", "88.5", "4.5")
    titles = [element.text for element in panel.iter("title")]
    assert (
        "epoch 2: wrong on 25.0\u202f% of validation images, 20.0\u202f% of images it learned from"
    ) in titles


def test_learning_tells_the_kept_errors_or_the_last() -> None:
    points = [LearningPoint(0.4, 0.3), LearningPoint(0.2, 0.25), LearningPoint(0.1, 0.3)]

    def legend(best: int | None) -> list[str]:
        root = parsed(figures.learning_figure(points, best))
        return [f"{item[2].text} {item[3].text}" for item in root.iter("li")]

    assert legend(1) == ["25.0\u202f% in epoch 2", "20.0\u202f% in epoch 2"]
    assert legend(None) == ["30.0\u202f% in epoch 3", "10.0\u202f% in epoch 3"]
    assert "kept" not in figures.learning_figure(points, None)


def test_learning_enlarges_late_errors_only_where_early_ones_dwarf_them() -> None:
    late = figures.learning_figure(a_course(45), 44)
    assert "The same from 0 to 5\u202f%, larger" in late
    assert "larger" not in figures.learning_figure([LearningPoint(0.5, 0.5)] * 45, 44)
    assert "larger" not in figures.learning_figure([LearningPoint(0.0, 0.0)] * 45, 44)


def test_learning_without_any_error_is_drawn_on_the_floor() -> None:
    panel = parsed(figures.learning_figure([LearningPoint(0.0, 0.0)] * 3, 0))[0][0]
    assert {curve.attrib["points"] for curve in panel.iter("polyline")} == {"6,226 156,226 306,226"}
