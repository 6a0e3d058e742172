from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from foveate.evaluation import Estimate
from foveate.tuning.choice import Row
from foveate.tuning.figures import _round_numbers, _ticks, curve_figure, trade_off_figure
from foveate.tuning.power_law import Continuation

HOSTILE = '<script>alert("1")</script>'


def parsed(figure: str) -> str:
    ElementTree.fromstring(f"<div>{figure}</div>")
    return figure


def test_every_candidate_is_in_the_figure(tried) -> None:
    rows = [
        Row(tried(190, rate=20, resolution=448), chosen=True, front=True),
        Row(tried(180, rate=90), chosen=False, front=True),
        Row(tried(150, rate=90, classifier="forest"), chosen=False, front=False),
    ]
    found = parsed(trade_off_figure(rows))
    assert found.count("<circle") == 3
    assert "svm on b at 448 px: 95.0" in found
    assert "chosen" in found
    assert found.index("<b>1</b>") < found.index("<b>2</b>")


def test_one_candidate_makes_a_figure(tried) -> None:
    for hits in (0, 100, 200):
        row = Row(tried(hits, rate=3.3), chosen=True, front=True)
        assert parsed(trade_off_figure([row])).count("<circle") == 1


def test_names_are_escaped(tried) -> None:
    row = Row(tried(190, backbone=HOSTILE), chosen=True, front=True)
    assert HOSTILE not in parsed(trade_off_figure([row]))


def test_the_curve_shows_what_was_measured_and_what_is_expected() -> None:
    def one(value: float) -> Estimate:
        return Estimate(value, value - 0.02, min(value + 0.02, 1), 300, "")

    grid = np.geomspace(25, 1272, 10)
    band = np.stack([grid, 1 - grid**-0.5, 0.98 - grid**-0.5, np.full(10, 1.0)], axis=1)
    found = parsed(
        curve_figure(
            Continuation(
                {25.0: one(0.8), 254.0: one(0.95)},
                {318: one(0.96), 636: one(0.97), 1272: one(0.98)},
                one(0.01),
                band,
            )
        )
    )
    assert found.count("<circle") == 5
    for words in ("318: all there are", "636: 2 times", "1,272: 4 times", "measured", "expected"):
        assert words in found


@pytest.mark.parametrize(
    "accuracies", [[0.5], [0.0, 1.0], [1.0], [0.93, 0.951], [0.9499, 0.95], [0.0]]
)
def test_ticks_are_round_and_hold_everything(accuracies: list[float]) -> None:
    found = _ticks(accuracies)
    assert found[0] <= min(accuracies) + 1e-9
    assert found[-1] >= max(accuracies) - 1e-9
    assert 2 <= len(found) <= 10
    assert found[0] >= -1e-9
    assert found[-1] <= 1 + 1e-9


def test_round_numbers() -> None:
    assert _round_numbers(3, 120) == [5, 10, 20, 50, 100]
    assert _round_numbers(0.3, 2) == [0.5, 1, 2]
