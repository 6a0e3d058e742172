"""One figure of the report as a page of its own."""

from __future__ import annotations

from html import escape
from importlib.resources import files


def figure_page(title: str, figure: str) -> str:
    """A self-contained HTML page.

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
