"""Tests of foveate.evaluation.svg."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from foveate.evaluation.svg import Frame, group, percent, polyline, shortened, svg, text


def test_percent_does_not_break_before_its_sign() -> None:
    assert percent(0.95) == "95.0\u202f%"
    assert percent(0.956, 0) == "96\u202f%"
    assert percent(float("nan")) == "–"


@pytest.mark.parametrize(
    ("label", "short"),
    [("striped", "striped"), ("stripes!", "stripe…"), ("a long label", "a long…"), ("", "")],
)
def test_shortened_keeps_to_its_length(label: str, short: str) -> None:
    assert shortened(label, 7) == short


def test_frame_turns_values_into_places() -> None:
    frame = Frame(10, 20, 100, x=(0, 0.2), y=(0.8, 1))
    assert frame.at(0, 0.8) == pytest.approx((10, 120))
    assert frame.at(0.2, 1) == pytest.approx((110, 20))
    assert frame.at(0.1, 0.9) == pytest.approx((60, 70))


def test_whatever_a_label_holds_the_drawing_is_well_formed() -> None:
    hostile = "\"'<script>&amp;]]></svg>"
    drawing = svg(
        100,
        50.5,
        hostile,
        [group([text(1, 2, hostile)], hostile), polyline([(0, 1)], "x", hostile)],
    )
    root = ElementTree.fromstring(drawing)
    assert root.attrib["aria-label"] == hostile
    assert root.attrib["role"] == "img"
    assert root.attrib["viewBox"] == "0 0 100 50.5"
    assert [element.text for element in root.iter("title")] == [hostile, hostile]
    assert next(root.iter("text")).text == hostile
