"""What the HTML pages share: templates that escape, and figures that have been escaped."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def page_environment(package: str = "foveate.evaluation") -> Environment:
    """Templates of a package, and those of the report, whose look all pages have."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    from foveate.evaluation.svg import percent

    packages = dict.fromkeys((package, "foveate.evaluation"))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment


def drawn(figure: str) -> Markup:
    """One of our own figures, which escape what they are given."""
    from markupsafe import Markup

    return Markup(figure)  # noqa: S704


def figure_page(title: str, figure: str) -> str:
    """One figure as a self-contained HTML page of its own.

    Args:
        title: plain text.
        figure: HTML, as the functions in `figures` make it.
    """
    css = (files(__package__) / "templates" / "report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css}</style></head>"
        f"<body><h1>{escape(title)}</h1>{figure}</body></html>\n"
    )
