"""The figures of a comparison, as HTML with inline SVG: several runs beside each other.

A label has the same colour in every run, and every run the same axes, so that what looks different
is different.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from foveate.evaluation.comparison import points
from foveate.evaluation.figures import COLOURS, roc_panel
from foveate.evaluation.intervals import Estimate
from foveate.evaluation.metrics import Evaluation, LabelMeasures
from foveate.evaluation.svg import shortened

DRAWN_LABELS = 30
"""Labels whose ROC curves are drawn; hundreds of curves would be slow, and read by nobody."""

_CORNER = 0.2
"""Side of the upper left corner that is drawn larger."""

_TWO_PANELS = 3
"""Runs up to which there is room for both the whole curves and their corner."""


def roc_figures(runs: Mapping[str, Evaluation]) -> str:
    """ROC curves of each run beside each other, with one legend for all.

    Args:
        runs: evaluation of each run by its name, at least two. The labels with the smallest area
            in any of them are in colour; only the `DRAWN_LABELS` smallest are drawn.
    """
    hardest = _hardest(list(runs.values()))
    if not hardest:
        return '<p class="quiet">A curve needs test images of at least two labels.</p>'
    drawn = hardest[:DRAWN_LABELS]
    styles = {
        label: f"s{rank}" if rank < COLOURS else "rest" for rank, (label, _) in enumerate(drawn)
    }
    # Half the labels near 1: their curves are all in the corner.
    crowded = hardest[len(hardest) // 2][1] > 0.95
    whole = not crowded or len(runs) <= _TWO_PANELS
    reaches = [1.0] * whole + [_CORNER] * crowded
    panels = [
        _panel(name, evaluation, styles, reach)
        for reach in reaches
        for name, evaluation in runs.items()
    ]
    return f'<div class="plots">{"".join(panels)}</div>{_legend(runs, styles)}'


def _hardest(evaluations: Sequence[Evaluation]) -> list[tuple[str, float]]:
    """Labels that have a curve in any run, with their smallest area; the smallest first."""
    smallest: dict[str, float] = {}
    for evaluation in evaluations:
        for label, measures in evaluation.per_class.items():
            if measures.roc is not None:
                smallest[label] = min(smallest.get(label, 1.0), measures.auc.value)
    return sorted(smallest.items(), key=lambda item: (item[1], item[0]))


def _panel(name: str, evaluation: Evaluation, styles: Mapping[str, str], reach: float) -> str:
    measures = [(label, style, evaluation.per_class.get(label)) for label, style in styles.items()]
    # The hardest is drawn last, on top.
    curves = [
        (measured.roc, style, f"{label}: area {measured.auc.value:.3f}")
        for label, style, measured in reversed(measures)
        if measured is not None and measured.roc is not None
    ]
    heading = shortened(name, 44) if reach == 1 else f"{shortened(name, 22)}: the corner, larger"
    return roc_panel(curves, heading, reach)


def _legend(runs: Mapping[str, Evaluation], styles: Mapping[str, str]) -> str:
    head = "".join(f'<th class="run n">{escape(name)}</th>' for name in runs)
    rows = []
    for label, style in styles.items():
        areas = "".join(_area(run.per_class.get(label)) for run in runs.values())
        rows.append(
            f'<tr><td><span class="key {style}"></span></td>'
            f'<td class="label">{escape(label)}</td>{areas}</tr>'
        )
    return (
        '<div class="scroll"><table class="narrow areas"><thead><tr><th></th>'
        f"<th>Area under the curve</th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _area(measures: LabelMeasures | None) -> str:
    if measures is None or not measures.auc.known:
        return '<td class="n">–</td>'
    return (
        f'<td class="n"><b>{measures.auc.value:.3f}</b> '
        f'<small class="below">{measures.auc.low:.3f} to {measures.auc.high:.3f}</small></td>'
    )


def difference_reach(estimates: Sequence[Estimate]) -> float:
    """How far to either side an axis for differences must go to hold all intervals."""
    farthest = max((max(-one.low, one.high) for one in estimates), default=0.0)
    return next(reach for reach in (0.05, 0.1, 0.2, 0.3, 0.5, 1.0) if farthest <= reach + 1e-9)


def difference_strip(estimate: Estimate, reach: float) -> str:
    """A difference as a dot on its interval, on an axis from `-reach` to `reach` around 0."""

    def along(value: float) -> float:
        return 50 + 50 * min(max(value / reach, -1), 1)

    low, high = along(estimate.low), along(estimate.high)
    spoken = (
        f"{points(estimate.value, signed=True)} points, {points(estimate.low, signed=True)} to "
        f"{points(estimate.high, signed=True)}"
    )
    return (
        f'<div class="strip" role="img" aria-label="{spoken}" title="{spoken}">'
        '<i class="nought"></i>'
        f'<i class="range" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
        f'<i class="at" style="left:{along(estimate.value):.2f}%"></i></div>'
    )
