"""What the HTML pages share: templates that escape, and figures that have been escaped."""

from __future__ import annotations

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
