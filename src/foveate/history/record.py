"""What is kept of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from foveate.files import printable
from foveate.history.secrets import without_secrets

ID, KIND, SOURCE, REASON = "foveate.id", "foveate.kind", "foveate.source", "foveate.reason"
"""Tags of a run that are more than tags."""

Kind = Literal["train", "evaluate", "score", "tune"]
Status = Literal["running", "finished", "failed"]


@dataclass(frozen=True, slots=True)
class Record:
    """A run, as far as it has come.

    Attributes:
        id: 32 hexadecimal digits; stays the same wherever the record goes.
        kind: the verb.
        name: of the run, for people.
        source: what it worked on.
        started: seconds since 1970.
        status: how it stands.
        ended: seconds since 1970; None while it runs.
        reason: why it failed, in a sentence.
        settings: all of them, as text.
        metrics: single numbers, by name.
        series: a number per epoch, by name.
        tags: everything else that is short, as text.
    """

    id: str
    kind: Kind
    name: str
    source: str
    started: float
    status: Status = "running"
    ended: float | None = None
    reason: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """As text, for a file: without passwords, and with names that any program can read."""
        return json.dumps(_clean(asdict(self)), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """What `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of a run that got to its end.

    Attributes:
        metrics: single numbers, by name; what is not a number is left out.
        series: a number per epoch, by name.
        settings: all of them, as settled.
        tags: everything else that is short.
        write_artifacts: puts the run's files into a folder: model, report, predictions, …
    """

    metrics: Mapping[str, float]
    series: Mapping[str, Sequence[float]]
    settings: Mapping[str, str]
    tags: Mapping[str, str]
    write_artifacts: Callable[[Path], None]


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(printable(value))
    if isinstance(value, dict):
        return {_clean(name): _clean(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value
