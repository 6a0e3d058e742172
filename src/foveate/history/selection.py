"""Choose among runs: by conditions such as `accuracy >= 0.95`, and in an order."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from foveate.errors import SettingsError
from foveate.history.reading import RecordedRun

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(
    r"(?P<name>[^<>=!]+?)\s*(?P<operator>>=|<=|!=|=|>|<)\s*(?P<value>.*)", re.DOTALL
)
_ATTRIBUTES = ("name", "kind", "status", "source", "reason", "started", "seconds")


@dataclass(frozen=True, slots=True)
class Condition:
    """What a run must be like.

    Attributes:
        name: of a setting, a metric, or of `name`, `kind`, `status`, `source`, `reason`,
            `started`, `seconds`.
        operator: one of >= <= != = > <.
        value: to compare with; as numbers where both are numbers; `started` with a date.
    """

    name: str
    operator: str
    value: str

    def holds(self, run: RecordedRun) -> bool:
        """Whether a run is like that; one that does not have the value is not."""
        value = value_of(run, self.name)
        if value is None:
            return False
        left, right = _number(value), _number(self.value)
        if self.name == "started" and right is None:
            right = _seconds(self.value)
        if left is not None and right is not None:
            return _OPERATORS[self.operator](left, right)
        if self.operator in ("=", "!="):
            return (str(value) == self.value) == (self.operator == "=")
        return False


def parse_condition(text: str) -> Condition:
    """A condition from `name operator value`.

    Raises:
        SettingsError: it is not of that form.
    """
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise SettingsError(
            f"‘{text}’ is not a condition. Write, for example, ‘accuracy>=0.95’ or "
            "‘classifier=svm’ (in quotes)."
        )
    return Condition(match["name"].strip(), match["operator"], match["value"].strip())


def select(
    runs: Iterable[RecordedRun],
    conditions: Sequence[Condition] = (),
    *,
    sort: str | None = None,
    reverse: bool = False,
) -> list[RecordedRun]:
    """The runs that meet all conditions.

    Args:
        runs: newest first.
        conditions: to meet.
        sort: a name as in `Condition`; highest first, runs without it last. None: newest first.
        reverse: the other way round.
    """
    selected = [run for run in runs if all(condition.holds(run) for condition in conditions)]
    if sort is None:
        return selected[::-1] if reverse else selected
    have = [run for run in selected if value_of(run, sort) is not None]
    have.sort(key=lambda run: _rank(value_of(run, sort)), reverse=not reverse)
    return have + [run for run in selected if value_of(run, sort) is None]


def value_of(run: RecordedRun, name: str) -> str | float | None:
    """A metric, setting or attribute of a run, in this order; None where it has none."""
    if name in run.metrics:
        return run.metrics[name]
    if name in run.settings:
        return run.settings[name]
    if name in _ATTRIBUTES:
        value: str | float | None = getattr(run, name)
        return value
    return None


def check_names(runs: Iterable[RecordedRun], names: Iterable[str]) -> None:
    """Say so where no run has a setting, metric or attribute of a name.

    Raises:
        SettingsError: the name, and those that are spelled like it.
    """
    known = set(_ATTRIBUTES)
    for run in runs:
        known |= run.metrics.keys() | run.settings.keys()
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            meant = f" Did you mean ‘{close[0]}’?" if close else ""
            raise SettingsError(f"No run has a metric or setting called ‘{name}’.{meant}")


def _seconds(text: str) -> float | None:
    """A date such as 2026-11-21 or 2026-11-21T10:15 as seconds since 1970."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _rank(value: str | float | None) -> tuple[bool, float, str]:
    number = _number(value)
    return (True, number, "") if number is not None else (False, 0.0, str(value))


def _number(value: str | float | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None
