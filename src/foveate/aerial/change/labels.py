"""Which labels are developed land, and which of them a user means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from foveate.errors import SettingsError

_BUILT = re.compile(r"(?<!non[-_ ])(?<!not[-_ ])(?<![a-z0-9])(developed|urban|built)", re.I)
"""In the name of a label; ‘Undeveloped’ has it not."""


def choose_to(given: Sequence[str] | None, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels of developed land: as named, else those whose name says so.

    Raises:
        SettingsError: there is none, or no such label.
    """
    if given:
        return tuple(parse_labels(given, labels))
    built = tuple(label for label in labels if _BUILT.search(label))
    if not built:
        raise SettingsError(
            f"None of the labels is called developed, urban or built: {', '.join(labels)}. "
            "Name those of developed land: --to LABELS."
        )
    return built


def choose_from(
    given: Sequence[str] | None, to: tuple[str, ...], labels: tuple[str, ...]
) -> tuple[str, ...]:
    """The labels that may become developed land: as named, else all the others.

    Raises:
        SettingsError: one of them is developed land itself, all are, or there is no such label.
    """
    if given:
        chosen = tuple(parse_labels(given, labels))
        both = [label for label in chosen if label in to]
        if both:
            raise SettingsError(f"{named(both)} cannot be both where from and where to.")
        return chosen
    chosen = tuple(label for label in labels if label not in to)
    if not chosen:
        raise SettingsError(
            f"All labels are developed land ({', '.join(to)}), so none can become it. "
            "Name fewer: --to LABELS."
        )
    return chosen


def parse_labels(texts: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Labels named in texts, of one or of several with commas between; the case does not matter.

    A label may have a comma itself: the longest name that fits is taken.

    Raises:
        SettingsError: there is no such label.
    """
    ours = {label.casefold().strip(): label for label in labels}
    chosen: list[str] = []
    for text in texts:
        parts = text.split(",")
        while parts:
            for end in range(len(parts), 0, -1):
                label = ours.get(",".join(parts[:end]).casefold().strip())
                if label is not None:
                    break
            else:
                raise SettingsError(
                    f"There is no label ‘{parts[0].strip()}’. The labels are {', '.join(labels)}."
                )
            chosen.append(label)
            parts = parts[end:]
    return list(dict.fromkeys(chosen))


def named(labels: Sequence[str]) -> str:
    """Labels in a sentence."""
    return ", ".join(f"‘{label}’" for label in labels)
