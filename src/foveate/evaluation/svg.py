"""The few SVG elements that the figures are made of, as text.

Colours and fonts come from the classes in `templates/report.css`, so that the same drawing
follows the reader's light or dark mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import isnan


def percent(share: float, decimals: int = 1) -> str:
    """A share as people read it: `95.0 %`, with a narrow space that does not break."""
    return "–" if isnan(share) else f"{100 * share:.{decimals}f}\u202f%"


def shortened(label: str, length: int) -> str:
    """A label cut to at most `length` characters, with an ellipsis."""
    return label if len(label) <= length else label[: length - 1].rstrip() + "…"


def svg(width: float, height: float, description: str, parts: Iterable[str]) -> str:
    """A drawing of its own size, which shrinks with the page and is read out as `description`."""
    return (
        f'<svg viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" height="{_n(height)}" '
        f'role="img" aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )


def inner(x: float, y: float, width: float, height: float, parts: Iterable[str]) -> str:
    """A part of a drawing with its origin at (x, y), cut off at its borders."""
    return (
        f'<svg x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" '
        f'overflow="hidden">{"".join(parts)}</svg>'
    )


def group(parts: Iterable[str], title: str = "", css: str = "") -> str:
    """Parts that belong together, with a tooltip."""
    tip = f"<title>{escape(title)}</title>" if title else ""
    return f"<g{_class(css)}>{tip}{''.join(parts)}</g>"


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"{_class(css)}/>'


def polyline(points: Iterable[tuple[float, float]], css: str, title: str = "") -> str:
    """An open path through points."""
    path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    return f'<polyline points="{path}"{_class(css)}><title>{escape(title)}</title></polyline>'


def rect(
    x: float, y: float, width: float, height: float, css: str, opacity: float | None = None
) -> str:
    """A rectangle, its fill seen through as told by `opacity`."""
    fill = "" if opacity is None else f' fill-opacity="{opacity:.3f}"'
    return (
        f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        f"{fill}{_class(css)}/>"
    )


def dot(x: float, y: float, radius: float, css: str) -> str:
    """A filled circle."""
    return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"{_class(css)}/>'


def text(
    x: float, y: float, content: str, css: str = "", *, size: float = 12, turn: float = 0
) -> str:
    """A line of text at (x, y), turned clockwise by degrees around that point."""
    turned = f' transform="rotate({_n(turn)} {_n(x)} {_n(y)})"' if turn else ""
    return (
        f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}"{turned}{_class(css)}>'
        f"{escape(content)}</text>"
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """A square plotting area over ranges of x and y, with axes.

    Attributes:
        left: distance from the left of the drawing, px.
        top: distance from the top of the drawing, px.
        side: width and height, px.
        x: range of x values.
        y: range of y values.
    """

    left: float
    top: float
    side: float
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a value lies in the drawing."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * self.side, self.top + (1 - up) * self.side

    def axes(
        self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_name: str, y_name: str
    ) -> str:
        """Grid lines, tick values in per cent, and the names of the axes."""
        parts = []
        right, bottom = self.left + self.side, self.top + self.side
        for tick in x_ticks:
            x, _ = self.at(tick, self.y[0])
            parts.append(line(x, self.top, x, bottom, "grid"))
            parts.append(text(x, bottom + 16, percent(tick, 0), "tick mid", size=11))
        for tick in y_ticks:
            _, y = self.at(self.x[0], tick)
            parts.append(line(self.left, y, right, y, "grid"))
            parts.append(text(self.left - 6, y + 4, percent(tick, 0), "tick end", size=11))
        parts.append(text((self.left + right) / 2, bottom + 36, x_name, "axis mid"))
        middle = (self.top + bottom) / 2
        parts.append(text(self.left - 48, middle, y_name, "axis mid", turn=-90))
        return "".join(parts)


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
