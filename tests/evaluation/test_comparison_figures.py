"""Tests of foveate.evaluation.comparison_figures."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from foveate.evaluation import comparison_figures
from foveate.evaluation.intervals import Estimate, tango
from foveate.evaluation.metrics import Evaluation, evaluate
from foveate.predictions import Predictions


def parsed(html: str) -> ET.Element:
    return ET.fromstring(f"<div>{html}</div>")


def an_evaluation(k: int, n: int, strength: float = 2.0, seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    known = np.r_[np.arange(k), rng.integers(0, k, n - k)]
    scores = rng.normal(size=(n, k))
    scores[np.arange(n), known] += strength
    probabilities = np.exp(scores)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = tuple(f"label {index}" for index in range(k))
    predictions = Predictions(
        labels,
        tuple(str(row) for row in range(n)),
        tuple(labels[index] for index in known),
        probabilities.astype(np.float32),
        (None,) * n,
    )
    return evaluate(predictions, resamples=20)


def styles(panel: ET.Element) -> dict[str, str]:
    """Colour of each curve by the name of its label."""
    return {
        (curve[0].text or "").partition(":")[0]: curve.attrib["class"]
        for curve in panel.iter("polyline")
    }


def test_a_label_has_the_same_colour_in_every_run() -> None:
    runs = {name: an_evaluation(4, 200, seed=seed) for name, seed in (("A: x", 0), ("B: y", 1))}
    one, other, *_ = parsed(comparison_figures.roc_figures(runs)).findall("div/svg")
    assert styles(one) == styles(other)
    assert set(styles(one).values()) == {f"curve s{rank}" for rank in range(4)}
    assert "A: x" in (one.attrib["aria-label"])


def test_the_legend_tells_each_area_and_puts_the_hardest_in_any_run_first() -> None:
    runs = {name: an_evaluation(4, 200, seed=seed) for name, seed in (("A", 0), ("B", 1))}
    rows = parsed(comparison_figures.roc_figures(runs)).findall(".//tbody/tr")
    smallest = []
    for row in rows:
        label = row[1].text or ""
        areas = [float(cell[0].text or "") for cell in row[2:]]
        assert areas == [round(run.per_class[label].auc.value, 3) for run in runs.values()]
        smallest.append(min(run.per_class[label].auc.value for run in runs.values()))
    assert smallest == sorted(smallest)


def test_the_corner_is_enlarged_where_the_curves_are_there_and_there_is_room() -> None:
    good = an_evaluation(3, 300, 4.0)
    two = comparison_figures.roc_figures({"A": good, "B": good})
    assert (two.count("<svg viewBox"), two.count("the corner, larger")) == (4, 4)
    six = comparison_figures.roc_figures(dict.fromkeys("ABCDEF", good))
    assert six.count("<svg viewBox") == 6
    bad = an_evaluation(3, 300, 0.5)
    assert "corner" not in comparison_figures.roc_figures({"A": bad, "B": bad})


def test_many_labels_are_cut_to_the_hardest() -> None:
    many = an_evaluation(60, 400)
    root = parsed(comparison_figures.roc_figures({"A": many, "B": many}))
    assert len(root.findall(".//tbody/tr")) == comparison_figures.DRAWN_LABELS
    assert len(list(next(root.iter("svg")).iter("polyline"))) == comparison_figures.DRAWN_LABELS


def test_runs_with_other_labels() -> None:
    three, four = an_evaluation(3, 100), an_evaluation(4, 100)
    rows = parsed(comparison_figures.roc_figures({"A": three, "B": four})).findall(".//tbody/tr")
    missing = next(row for row in rows if row[1].text == "label 3")
    assert missing[2].text == "–"
    assert "at least two labels" in comparison_figures.roc_figures({"A": an_evaluation(1, 5)})


def test_names_are_shown_not_run() -> None:
    one = an_evaluation(3, 100)
    html = comparison_figures.roc_figures({"<script>": one, "B": one})
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") >= 2


@pytest.mark.parametrize(
    ("low", "high", "reach"),
    [(-0.04, 0.05, 0.05), (-0.06, 0.01, 0.1), (-1.0, 0.0, 1.0), (0.0, 0.25, 0.3)],
)
def test_the_axis_holds_every_interval(low: float, high: float, reach: float) -> None:
    one = Estimate((low + high) / 2, low, high, 10, "Tango")
    assert comparison_figures.difference_reach([one, tango(0, 0, 1000)]) == reach
    assert comparison_figures.difference_reach([]) == 0.05


def test_a_difference_strip_has_its_nought_in_the_middle() -> None:
    one = Estimate(0.05, -0.05, 0.1, 100, "Tango")
    strip = parsed(comparison_figures.difference_strip(one, 0.1))
    shown = [part.attrib.get("style") for part in strip.iter("i")]
    assert shown == [None, "left:25.00%;width:75.00%", "left:75.00%"]
    assert strip[0].attrib["title"] == "+5.0 points, −5.0 to +10.0"
