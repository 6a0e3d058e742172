"""The two figures of the page: accuracy against speed, and the learning curve continued.

As in `evaluation.figures`, colours come from the page's classes and no figure relies on them alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from foveate.evaluation.intervals import Estimate
from foveate.evaluation.svg import dot, group, line, percent, polyline, svg, text
from foveate.tuning.choice import Row
from foveate.tuning.power_law import Continuation

_LEFT, _TOP, _WIDTH, _HEIGHT = 66.0, 14.0, 620.0, 300.0
_STEPS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_MOST_STEPS = 7


@dataclass(frozen=True, slots=True)
class _Axes:
    """A plotting area, its x axis logarithmic, its y axis an accuracy.

    Attributes:
        x: range of x, above 0.
        ticks: accuracies that the y axis names, from its lower end to its upper one.
    """

    x: tuple[float, float]
    ticks: Sequence[float]

    def at(self, x: float, accuracy: float) -> tuple[float, float]:
        """Where a value lies in the drawing."""
        across = log10(x / self.x[0]) / log10(self.x[1] / self.x[0])
        up = (accuracy - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return _LEFT + across * _WIDTH, _TOP + (1 - up) * _HEIGHT

    def drawn(self, x_name: str, y_name: str) -> list[str]:
        """Grid, tick values and names."""
        parts = []
        right, bottom = _LEFT + _WIDTH, _TOP + _HEIGHT
        for number in _round_numbers(*self.x):
            x, _ = self.at(number, self.ticks[0])
            parts.append(line(x, _TOP, x, bottom, "grid"))
            parts.append(text(x, bottom + 16, f"{number:,g}", "tick mid", size=11))
        for tick in self.ticks:
            _, y = self.at(self.x[0], tick)
            shown = percent(tick, 0 if self.ticks[1] - self.ticks[0] > 0.0099 else 1)
            parts.append(line(_LEFT, y, right, y, "grid"))
            parts.append(text(_LEFT - 6, y + 4, shown, "tick end", size=11))
        parts.append(text((_LEFT + right) / 2, bottom + 36, x_name, "axis mid"))
        parts.append(text(_LEFT - 52, _TOP + _HEIGHT / 2, y_name, "axis mid", turn=-90))
        return parts

    def interval(self, x: float, estimate: Estimate) -> str:
        """The 95 % interval of an estimate."""
        across, low = self.at(x, estimate.low)
        return line(across, low, *self.at(x, estimate.high), "whisker")


def trade_off_figure(rows: Sequence[Row]) -> str:
    """Cross-validated accuracy against images/s; the best trade-offs joined and numbered.

    Args:
        rows: candidates that were judged on all images, at least one.
    """
    front = sorted((row for row in rows if row.front), key=lambda row: -_accuracy(row).value)
    numbered = [*front, *(row for row in rows if row.chosen and not row.front)]
    rates = [row.tried.images_per_second for row in rows]
    ends = [_accuracy(row).value for row in rows]
    ends += [end for row in numbered for end in (_accuracy(row).low, _accuracy(row).high)]
    axes = _Axes((min(rates) / 1.5, max(rates) * 1.5), _ticks(ends))

    def at(row: Row) -> tuple[float, float]:
        return axes.at(row.tried.images_per_second, _accuracy(row).value)

    parts = axes.drawn("images/s on this machine", "accuracy")
    parts.append(polyline(map(at, front), "trend", "best trade-offs"))
    for row in rows:
        if row not in numbered:
            parts.append(group([dot(*at(row), 4, "mark")], _title(row), "rest"))
    for number, row in enumerate(numbered, 1):
        x, y = at(row)
        mark = dot(x, y, 5, "point")
        if row.chosen:
            mark = group([dot(x, y, 7, "mark")], css="s0")
        interval = axes.interval(row.tried.images_per_second, _accuracy(row))
        parts.append(group([interval, mark], _title(row)))
        parts.append(text(x + 10, y - 7, str(number), "strong", size=13))
    legend = "".join(
        f'<li><b>{number}</b><span class="name">{escape(str(row.tried.candidate))}'
        f"{', <em>chosen</em>' if row.chosen else ''}</span><b>{percent(_accuracy(row).value)}</b>"
        f'<span class="quiet">{row.tried.images_per_second:,.0f} images/s</span></li>'
        for number, row in enumerate(numbered, 1)
    )
    drawn = svg(_LEFT + _WIDTH + 24, _TOP + _HEIGHT + 44, "Accuracy against images/s", parts)
    return f'<div class="scroll">{drawn}</div><ol class="legend numbered">{legend}</ol>'


def curve_figure(curve: Continuation) -> str:
    """Accuracy against training images: as measured, and by the power law with its interval."""
    estimates = [*curve.measured.values(), *curve.expected.values()]
    ends = [end for accuracy in estimates for end in (accuracy.low, accuracy.high)]
    ends += curve.band[:, 1:].ravel().tolist()
    axes = _Axes((curve.band[0, 0] / 1.2, curve.band[-1, 0] * 1.2), _ticks(ends))
    parts = axes.drawn("training images", "accuracy on held-out images")
    around = [axes.at(x, high) for x, _, _, high in curve.band]
    around += [axes.at(x, low) for x, _, low, _ in curve.band[::-1]]
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in around)
    parts.append(f'<polygon points="{corners}" class="band"/>')
    law = [axes.at(x, accuracy) for x, accuracy, _, _ in curve.band]
    parts.append(polyline(law, "trend", "a power law fitted to the measured accuracies"))
    for size, accuracy in curve.measured.items():
        shown = [axes.interval(size, accuracy), dot(*axes.at(size, accuracy.value), 4.5, "point")]
        parts.append(group(shown, f"{size:,.0f} images: {_told(accuracy)}, measured"))
    for n, accuracy in curve.expected.items():
        x, y = axes.at(n, accuracy.value)
        factor = n // min(curve.expected)
        name = f"{n:,}: all there are" if factor == 1 else f"{n:,}: {factor} times as many"
        parts.append(line(x, _TOP, x, _TOP + _HEIGHT, "diagonal"))
        parts.append(text(x - 5, _TOP + _HEIGHT - 8, name, "tick", size=11, turn=-90))
        parts.append(
            group([dot(x, y, 5, "expected")], f"{n:,} images: {_told(accuracy)}, expected")
        )
    drawn = svg(_LEFT + _WIDTH + 24, _TOP + _HEIGHT + 44, "Learning curve", parts)
    return f'<div class="scroll">{drawn}</div>'


def _accuracy(row: Row) -> Estimate:
    return row.tried.accuracy


def _title(row: Row) -> str:
    rate = f"{row.tried.images_per_second:,.0f} images/s"
    return f"{row.tried.candidate}: {_told(_accuracy(row))}, {rate}"


def _told(accuracy: Estimate) -> str:
    return f"{percent(accuracy.value)} ({percent(accuracy.low)} to {percent(accuracy.high)})"


def _ticks(accuracies: Sequence[float]) -> list[float]:
    """Round accuracies from below the lowest to above the highest, from 0 to 1."""
    low, high = min(accuracies), max(accuracies)
    step = next((step for step in _STEPS if (high - low) / step <= _MOST_STEPS), _STEPS[-1])
    # Rounding must not ask for another step below or above a round accuracy.
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    if first == last:
        first, last = (first, last + 1) if low < 0.5 else (first - 1, last)
    return [count * step for count in range(first, last + 1)]


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20, … as far as they lie between two numbers."""
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    numbers = (mantissa * 10.0**decade for decade in decades for mantissa in (1, 2, 5))
    return [number for number in numbers if low <= number <= high]
