"""What changed, in sentences that anyone understands."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor

from foveate.aerial.change.change import Changes, Flow
from foveate.aerial.change.labels import named


def sentences(changes: Changes) -> tuple[str, str]:
    """What it comes to: of all changes, and of new development."""
    one, two = changes.names
    flow, new = changes.changed, changes.development
    return (
        f"{_tiles(flow)} of {len(changes):,} {'is' if flow.tiles == 1 else 'are'} not called the "
        f"same in {one} and {two}. {conclusion(flow)}",
        f"{_tiles(new)} went from {named(changes.from_labels)} to {named(changes.to_labels)}. "
        f"{conclusion(new)}",
    )


def conclusion(flow: Flow) -> str:
    """Whether error alone explains so many tiles."""
    seen = f"If nothing had changed, classification error alone would make it {flow.told}. "
    surplus = flow.tiles - flow.expected.value
    match flow.verdict:
        case "above":
            least = max(flow.tiles - floor(flow.expected.high), 1)
            return f"{seen}So about {surplus:,.0f} are real, and hardly fewer than {least:,}."
        case "within":
            explained = "error explains them all: some may be real, but the number does not show it"
            return f"{seen}So {explained if flow.tiles else 'that there is none shows nothing'}."
        case _:
            return (
                f"{seen}So they are fewer than independent errors make: the same places mislead "
                "the classifier in both years, and the number does not tell how many are real."
            )


def remarks(changes: Changes) -> tuple[str, ...]:
    """What a reader should know before trusting the numbers."""
    return *_about_pair(changes), *_about_errors(changes)


def area(km2: float) -> str:
    """An area as people read it."""
    return f"{km2:,.{2 if km2 < 10 else 1 if km2 < 100 else 0}f} km²"


def _about_pair(changes: Changes) -> Iterator[str]:
    a, b = changes.a, changes.b
    one, two = changes.names
    for count, name in ((changes.only_a, one), (changes.only_b, two)):
        if count:
            yield f"{_count(count)} only in {name}, and not compared."
    if changes.refused:
        yield f"{_count(changes.refused)} left out: they could not be read in one of the years."
    if a.predictions.model != b.predictions.model:
        yield (
            "The two years were scored by different classifiers, or by versions of one: part of "
            "what differs may be the classifiers."
        )
    if a.grid.pixel != b.grid.pixel:
        yield (
            f"The images of {one} have pixels of {a.grid.pixel:g} m, those of {two} of "
            f"{b.grid.pixel:g} m: part of what differs may be their sharpness."
        )
    if one.isdigit() and int(one) > int(two):
        yield f"{one} is after {two}: this is the change backwards in time."


def _about_errors(changes: Changes) -> Iterator[str]:
    expected = changes.expected
    if any(expected.measured):
        told = " and ".join(
            f"{count:,} tiles of {name}"
            for name, count in zip(changes.names, expected.references, strict=True)
            if count
        )
        yield f"How often the classifier errs was measured on {told} whose label is known."
        yield from _about_training(changes)
    if not all(expected.measured):
        where = f" of {changes.names[expected.measured[0]]}" if any(expected.measured) else ""
        yield (
            f"Too few tiles{where} have a known label that the classifier was not trained on, so "
            "how often it errs there is taken from its probabilities. What they cannot know, the "
            "expected numbers do not know either: that the light, the season or the camera of one "
            "year makes it err more often."
        )
    yield (
        "The expected numbers are right if the errors of the two years are independent. Where the "
        "same places mislead the classifier in both years, as mixed tiles do, fewer change by "
        "error alone: take them for upper figures. As tiles side by side are alike, take the "
        "intervals for the narrowest that they can be."
    )


def _about_training(changes: Changes) -> Iterator[str]:
    if changes.learned:
        yield (
            f"{changes.learned:,} of the tiles that are compared were trained on, or lie beside "
            "such a tile. Errors are rarer there than the expected numbers take them to be."
        )
    years = zip((changes.a, changes.b), changes.expected.measured, strict=True)
    if any(year.predictions.trained_on is None for year, measured in years if measured):
        yield (
            "The predictions do not say which tiles the classifier was trained on. If it was on "
            "those whose label is known, it errs more often than measured, and more tiles changed "
            "by error alone. `foveate score` writes the column `trained_on`; score again to know."
        )


def _tiles(flow: Flow) -> str:
    return f"{flow.tiles:,} tile{'' if flow.tiles == 1 else 's'} ({area(flow.km2)})"


def _count(count: int) -> str:
    return f"{count:,} tile{' is' if count == 1 else 's are'}"
