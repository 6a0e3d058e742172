"""The figures of a report, as HTML with inline SVG; nothing is loaded, nothing runs.

The palette is Okabe and Ito's (2008), which people with any kind of colour vision tell apart;
no figure relies on colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import ceil, floor, log10

from foveate.evaluation.calibration import Calibration
from foveate.evaluation.intervals import Estimate
from foveate.evaluation.learning import LearningPoint
from foveate.evaluation.metrics import Evaluation
from foveate.evaluation.roc import RocCurve
from foveate.evaluation.svg import (
    Frame,
    dot,
    group,
    inner,
    line,
    percent,
    polyline,
    rect,
    shortened,
    svg,
    text,
)

COLOURS = 8
"""Labels that get a colour of their own in the ROC figure; more would not be told apart."""


def roc_figure(evaluation: Evaluation) -> str:
    """ROC curves, the hardest label first in the legend; its upper left corner again, larger.

    With more labels than colours the ones with the smallest area are in colour, the rest grey.
    """
    drawn = sorted(
        (
            (measures.auc.value, label, measures.auc, measures.roc)
            for label, measures in evaluation.per_class.items()
            if measures.roc is not None
        ),
        key=lambda entry: entry[:2],
    )
    if not drawn:
        return '<p class="quiet">A curve needs test images of at least two labels.</p>'
    styles = [f"s{rank}" if rank < COLOURS else "rest" for rank in range(len(drawn))]
    # The hardest is drawn last, on top.
    curves = [
        (roc, style, f"{label}: area {area.value:.3f}")
        for (_, label, area, roc), style in reversed(list(zip(drawn, styles, strict=True)))
    ]
    panels = [roc_panel(curves, "All thresholds", 1.0)]
    if drawn[len(drawn) // 2][0] > 0.95:
        panels.append(roc_panel(curves, "The upper left corner, five times larger", 0.2))
    legend = "".join(
        f'<li><span class="key {style}"></span><span class="name">{escape(label)}</span>'
        f'<b>{area.value:.3f}</b> <span class="quiet">{area.low:.3f} to {area.high:.3f}</span></li>'
        for (_, label, area, _), style in zip(drawn, styles, strict=True)
    )
    return f'<div class="plots">{"".join(panels)}</div><ol class="legend">{legend}</ol>'


def roc_panel(curves: Sequence[tuple[RocCurve, str, str]], name: str, reach: float) -> str:
    """ROC curves in one square.

    Args:
        curves: curve, style and what it is called when pointed at; the last is on top.
        name: above the square.
        reach: how much of both axes is shown, from the upper left corner, in (0, 1].
    """
    frame = Frame(62, 28, 300, x=(0, reach), y=(1 - reach, 1))
    ticks = [step * reach / 5 for step in range(6)]
    # Curves are drawn in the frame's own coordinates, so that it cuts off what lies outside.
    own = Frame(0, 0, 300, frame.x, frame.y)
    parts = [line(*own.at(0, 0), *own.at(1, 1), "diagonal")]
    for curve, style, title in curves:
        points = zip(curve.false_positive_rate, curve.true_positive_rate, strict=True)
        parts.append(polyline((own.at(x, y) for x, y in points), f"curve {style}", title))
    return svg(
        380,
        376,
        f"ROC curves. {name}",
        [
            text(62, 16, name, "heading", size=13),
            frame.axes(
                ticks,
                [1 - tick for tick in ticks],
                "other images taken for it (false positive rate)",
                "found (true positive rate)",
            ),
            # A margin of 2 px keeps the line along the border whole.
            inner(60, 26, 304, 304, [f'<g transform="translate(2 2)">{"".join(parts)}</g>']),
        ],
    )


def confusion_figure(evaluation: Evaluation) -> str:
    """The confusion matrix: counts, and the share of each row as text or depth of colour."""
    labels = evaluation.labels
    size = len(labels)
    cell = 64 if size <= 5 else 46 if size <= 12 else 30 if size <= 25 else 24
    font = 12 if size <= 12 else 11
    longest = min(max(len(label) for label in labels), 22)
    margin = 24 + longest * font * 0.6
    turned = size > 5 or longest * font * 0.6 > cell
    top = 30 + (longest * font * 0.6 * 0.75 if turned else font)
    totals = evaluation.confusion.sum(axis=1)
    parts = [
        text(margin, 14, "predicted →", "axis", size=font),
        text(margin - 8, top - 8, "known ↓", "axis end", size=font),
    ]
    for k, label in enumerate(labels):
        short = shortened(label, 22)
        middle = (k + 0.5) * cell
        row = text(margin - 8, top + middle + font / 3, short, "tick end strong", size=font)
        x = margin + middle
        column = (
            text(x - 2, top - 6, short, "tick strong", size=font, turn=-45)
            if turned
            else text(x, top - 8, short, "tick mid strong", size=font)
        )
        parts += [group([row], label), group([column], label)]
    for i, known in enumerate(labels):
        for j, predicted in enumerate(labels):
            count = int(evaluation.confusion[i, j])
            share = count / totals[i] if totals[i] else 0.0
            title = f"{known} → {predicted}: {count} of {totals[i]} ({percent(share)})"
            x, y = margin + j * cell, top + i * cell
            parts.append(_cell(x, y, cell, count, share, title, right=i == j))
    width, height = margin + size * cell + 4 + (longest * 3 if turned else 0), top + size * cell + 4
    name = f"Confusion matrix of {size} labels, {evaluation.n} images"
    return f'<div class="scroll">{svg(width, height, name, parts)}</div>'


def _cell(
    x: float, y: float, side: float, count: int, share: float, title: str, *, right: bool
) -> str:
    parts = [rect(x + 1, y + 1, side - 2, side - 2, "cell")]
    if count:
        kind = "right" if right else "wrong"
        # A single miss among many must still be seen.
        parts.append(rect(x + 1, y + 1, side - 2, side - 2, kind, max(share, 0.12)))
    over = "on" if share > 0.55 else ""
    middle = x + side / 2
    if side >= 46:
        parts.append(text(middle, y + side / 2, str(count), f"count mid {over}", size=15))
        parts.append(
            text(middle, y + side / 2 + 16, percent(share, 0), f"share mid {over}", size=11)
        )
    elif count:
        size = min(11, (side - 4) / (0.6 * len(str(count))))
        parts.append(text(middle, y + side / 2 + 4, str(count), f"count mid {over}", size=size))
    return group(parts, title, "" if count else "zero")


def reliability_figure(calibration: Calibration) -> str:
    """Accuracy against probability, with Wilson intervals, above how many images each bin has."""
    frame = Frame(62, 28, 300)
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    parts = [
        text(62, 16, "Right answers against stated probability", "heading", size=13),
        frame.axes(ticks, ticks, "probability of the predicted label", "share right"),
        line(*frame.at(0, 0), *frame.at(1, 1), "diagonal"),
    ]
    most = max(one.accuracy.n for one in calibration.bins)
    floor_y = 28 + 300 + 118
    parts.append(text(62, floor_y - 62, "Images", "heading", size=13))
    for one in calibration.bins:
        if not one.accuracy.n:
            continue
        x, y = frame.at(one.confidence, one.accuracy.value)
        low, high = frame.at(0, one.accuracy.low)[1], frame.at(0, one.accuracy.high)[1]
        title = (
            f"{one.accuracy.n} images called with {percent(one.low, 0)} to "
            f"{percent(one.high, 0)}, on average {percent(one.confidence)}: "
            f"{percent(one.accuracy.value)} are right "
            f"({percent(one.accuracy.low)} to {percent(one.accuracy.high)})"
        )
        parts.append(group([line(x, low, x, high, "whisker"), dot(x, y, 4.5, "point")], title))
        left, right = frame.at(one.low, 0)[0], frame.at(one.high, 0)[0]
        height = max(1.0, 40 * one.accuracy.n / most)
        bar = rect(left + 1.5, floor_y - height, right - left - 3, height, "bar")
        number = text(
            (left + right) / 2, floor_y - height - 4, str(one.accuracy.n), "tick mid", size=10
        )
        parts.append(group([bar, number], title))
    parts.append(line(62, floor_y, 362, floor_y, "grid"))
    return svg(380, floor_y + 6, "Reliability diagram", parts)


def interval_strip(estimate: Estimate, start: float, chance: float | None = None) -> str:
    """An estimate as a dot on its interval, on an axis from `start` to 1, as wide as the page."""
    if not estimate.known:
        return '<span class="quiet">no test image</span>'

    def along(value: float) -> float:
        return 100 * min(max((value - start) / (1 - start), 0), 1)

    low, high = along(estimate.low), along(estimate.high)
    spoken = f"{percent(estimate.value)}, {percent(estimate.low)} to {percent(estimate.high)}"
    mark = ""
    if chance is not None and chance >= start:
        mark = (
            f'<i class="chance" style="left:{along(chance):.2f}%" '
            f'title="always the most frequent label: {percent(chance)}"></i>'
        )
    return (
        f'<div class="strip" role="img" aria-label="{spoken}" title="{spoken}">{mark}'
        f'<i class="range" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
        f'<i class="at" style="left:{along(estimate.value):.2f}%"></i></div>'
    )


def search_figure(search: Sequence[tuple[float, float, float]]) -> str:
    """Cross-validated accuracy (mean ± standard deviation over folds) against C."""
    values = sorted(search)
    lowest = min(mean - deviation for _, mean, deviation in values)
    bottom = min(max(floor(lowest * 10) / 10, 0.0), 0.9)
    first, last = log10(values[0][0]), log10(values[-1][0])
    span = max(last - first, 1e-9)
    left, top, width, height = 52.0, 14.0, 420.0, 150.0

    def at(c: float, accuracy: float) -> tuple[float, float]:
        across = (log10(c) - first) / span if last > first else 0.5
        up = (min(max(accuracy, bottom), 1) - bottom) / (1 - bottom)
        return left + 16 + across * (width - 32), top + (1 - up) * height

    parts = []
    for step in range(3):
        tick = bottom + step * (1 - bottom) / 2
        y = at(values[0][0], tick)[1]
        parts.append(line(left, y, left + width, y, "grid"))
        parts.append(text(left - 6, y + 4, percent(tick, 0), "tick end", size=11))
    parts.append(polyline((at(c, mean) for c, mean, _ in values), "trend", "accuracy against C"))
    for c, mean, deviation in values:
        x, y = at(c, mean)
        up, down = at(c, mean + deviation)[1], at(c, mean - deviation)[1]
        title = f"C = {c:g}: {percent(mean)} ± {percent(deviation)} over the folds"
        parts.append(group([line(x, up, x, down, "whisker"), dot(x, y, 4, "point")], title))
        parts.append(text(x, top + height + 16, f"{c:.3g}", "tick mid", size=11))
    parts.append(text(left + width / 2, top + height + 34, "C", "axis mid"))
    return svg(left + width + 8, top + height + 42, "Search over C", parts)


_Curve = tuple[str, str, Sequence[float | None]]
"""Style, name, and the error after each epoch where it is known."""


def learning_figure(points: Sequence[LearningPoint], best: int | None) -> str:
    """Errors on training and validation images after each epoch, the kept epoch marked.

    Where the later half of the epochs needs at most two fifths of the height, a second panel
    shows it again, larger.

    Args:
        points: one an epoch, in order; at least one.
        best: the epoch whose weights were kept, from 0; None marks none.
    """
    shown = len(points) - 1 if best is None else best
    curves: list[_Curve] = [
        ("s0", "validation images", [point.validation_error for point in points]),
        ("s1", "images it learned from", [point.train_error for point in points]),
    ]
    curves = [curve for curve in curves if any(error is not None for error in curve[2])]
    ticks = _error_ticks(_highest(curves, 0), least=0.05)
    panels = [_learning_panel(curves, "Wrong answers", ticks, best)]
    late = _error_ticks(_highest(curves, len(points) // 2), least=0.01)
    if late[-1] <= 0.4 * ticks[-1] and _highest(curves, 0) > late[-1]:
        name = f"The same from 0 to {_tick(late[-1], late)}, larger"
        panels.append(_learning_panel(curves, name, late, best))
    legend = "".join(
        f'<li><span class="key {style}"></span><span class="name">{name}</span>'
        f'<b>{_told(errors[shown])}</b> <span class="quiet">in epoch {shown + 1}</span></li>'
        for style, name, errors in curves
    )
    return f'<div class="plots">{"".join(panels)}</div><ol class="legend">{legend}</ol>'


def _learning_panel(
    curves: Sequence[_Curve], name: str, ticks: Sequence[float], best: int | None
) -> str:
    left, top, width, height = 62.0, 46.0, 300.0, 220.0
    epochs = len(curves[0][2])
    top_error = ticks[-1]

    def across(epoch: float) -> float:
        return left + width * ((epoch - 1) / (epochs - 1) if epochs > 1 else 0.5)

    def down(error: float) -> float:
        return top + height * (1 - error / top_error)

    parts = [text(left, 16, name, "heading", size=13)]
    for tick in ticks:
        parts.append(line(left, down(tick), left + width, down(tick), "grid"))
        parts.append(text(left - 6, down(tick) + 4, _tick(tick, ticks), "tick end", size=11))
    for epoch in _epoch_ticks(epochs):
        parts.append(line(across(epoch), top + height, across(epoch), top + height + 4, "grid"))
        parts.append(text(across(epoch), top + height + 18, str(epoch), "tick mid", size=11))
    parts.append(text(left + width / 2, top + height + 38, "epoch", "axis mid"))
    parts.append(text(left - 48, top + height / 2, "error (% of images)", "axis mid", turn=-90))
    if best is not None:
        x = across(best + 1)
        side = "" if x < left + 50 else "end" if x > left + width - 50 else "mid"
        parts.append(line(x, top - 4, x, top + height, "diagonal"))
        parts.append(text(x, top - 10, f"kept: epoch {best + 1}", f"tick {side}", size=11))
    # What is higher than the panel is cut off; a margin of 6 px keeps marks on the border whole.
    lines: list[str] = []
    spots: list[str] = []
    thin = " thin" if epochs > 100 else ""
    for rank, (style, title, errors) in enumerate(curves):
        places = [
            (across(epoch) - left + 6, down(error) - top + 6)
            for epoch, error in enumerate(errors, 1)
            if error is not None
        ]
        lines.append(polyline(places, f"curve {style}{thin}", title))
        if epochs <= 20:
            lines.append(group([dot(x, y, 3.5, "mark") for x, y in places], title, style))
        kept = None if best is None else errors[best]
        if best is not None and kept is not None:
            # The first is the smallest and drawn last: where they meet, all are seen.
            spot = dot(across(best + 1) - left + 6, down(kept) - top + 6, 4.5 + 2 * rank, "mark")
            spots.insert(0, group([spot], title, style))
    parts.append(inner(left - 6, top - 6, width + 12, height + 12, lines + spots))
    parts += _tips(curves, across, top, height)
    return svg(380, top + height + 46, f"Learning curves. {name}", parts)


def _tips(
    curves: Sequence[_Curve], across: Callable[[float], float], top: float, height: float
) -> list[str]:
    """A column to point at for each epoch, or each few where they would be too narrow."""
    epochs = len(curves[0][2])
    stride = ceil(epochs / 150)
    reach = min(across(1 + stride) - across(1), 24) if epochs > 1 else 24
    columns = []
    for epoch in range(1, epochs + 1, stride):
        errors = ", ".join(f"{_told(errors[epoch - 1])} of {name}" for _, name, errors in curves)
        column = rect(across(epoch) - reach / 2, top, reach, height, "hover")
        columns.append(group([column], f"epoch {epoch}: wrong on {errors}"))
    return columns


def _highest(curves: Sequence[_Curve], start: int) -> float:
    """The highest error from an epoch on, counted from 0."""
    errors = (error for _, _, errors in curves for error in errors[start:])
    return max((error for error in errors if error is not None), default=0.0)


def _error_ticks(highest: float, least: float) -> list[float]:
    """Round errors from 0 to at least `highest` and `least`, at most six of them."""
    reach = max(highest, least)
    steps = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    # Rounding must not ask for another step above a round error.
    step = next(step for step in steps if reach / step < 5 + 1e-9)
    return [count * step for count in range(ceil(reach / step - 1e-9) + 1)]


def _epoch_ticks(epochs: int) -> list[int]:
    """The first epoch, round ones, and the last where it has room."""
    steps = (scale * step for scale in (1, 10, 100, 1000) for step in (1, 2, 5))
    step = next(step for step in steps if epochs / step <= 10)
    ticks = [1, *(tick for tick in range(step, epochs + 1, step) if tick > 1)]
    return ticks if epochs - ticks[-1] < step / 2 else [*ticks, epochs]


def _tick(error: float, ticks: Sequence[float]) -> str:
    return percent(error, 0 if ticks[1] >= 0.01 else 1)


def _told(error: float | None) -> str:
    return "–" if error is None else percent(error)
