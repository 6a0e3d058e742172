"""The few exceptions a user can meet. Each message says what is wrong, where, and what to do.

    FoveateError
    ├── SourceError        a SOURCE that cannot be read as images with labels
    ├── TooFewImages       a label has too few images to train and test on
    ├── SettingsError      an unknown setting, or a value out of range
    ├── OutputError        a place where a result cannot be written
    ├── BackboneError      a backbone that is not here, or whose pack is damaged
    ├── HistoryError       a run that is not on record, or a history that cannot be read
    ├── ModelFileError     a file that is not a foveate classifier
    ├── NotWorthIt         int8 that costs too much accuracy, or brings no speed
    ├── CallError          a server that cannot be reached, or will not answer
    ├── ClusterError       a cluster that cannot be reached, or lost the work
    ├── CopyError          files that cannot be copied from or to where the user says
    └── ImageRefused       one image that cannot be used; `reason` says why

    KeyboardInterrupt
    └── Stopped            another thread asked a verb to stop, as Ctrl-C does

An `ImageRefused` never stops a run over many images: it becomes a row in the quarantine.
"""

from __future__ import annotations

from enum import StrEnum


class FoveateError(Exception):
    """Base of every error that is the input's fault rather than a defect of foveate."""


class SourceError(FoveateError):
    """A SOURCE cannot be read as images with labels."""


class TooFewImages(FoveateError):  # noqa: N818 - reads as the sentence it is
    """A label has too few images to train and test on."""


class SettingsError(FoveateError):
    """A setting is unknown or its value is out of range."""


class OutputError(FoveateError, OSError):
    """A result cannot be written where the user says, or derived data where it is kept.

    It is an `OSError`, too: who handles those when writing handles this one.

    Args:
        sentence: for the user.
        strerror: the reason alone, in a few words.
        code: the system's number for it, where the system refused.
    """

    def __init__(self, sentence: str, strerror: str = "", code: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.strerror = strerror or sentence.rstrip(".")
        self.errno = code

    def __str__(self) -> str:
        return self.sentence


class BackboneError(FoveateError):
    """A backbone is not here, or its pack is damaged."""


class HistoryError(FoveateError):
    """A run is not on record, or the history cannot be read."""


class ModelFileError(FoveateError):
    """A file is not a foveate classifier, or one that this version cannot read."""


class NotWorthIt(FoveateError):  # noqa: N818 - reads as the sentence it is
    """Int8 costs too much accuracy, or brings no speed."""


class CallError(FoveateError):
    """A server cannot be reached or will not answer, whatever the image."""


class ClusterError(FoveateError):
    """A cluster cannot be reached, cannot run foveate, or lost the work."""


class CopyError(FoveateError):
    """Files cannot be copied from or to where the user says."""


class Reason(StrEnum):
    """Why an image was refused."""

    EMPTY = "empty"
    """The file holds no bytes."""
    UNSUPPORTED = "unsupported"
    """The bytes are not an image format that foveate reads."""
    UNREADABLE = "unreadable"
    """The file cannot be opened, or it is an image whose contents are damaged."""
    TRUNCATED = "truncated"
    """The image ends before all of its pixels."""
    TOO_LARGE = "too_large"
    """The file or the image it declares is over the limits."""


class Stopped(KeyboardInterrupt):
    """Another thread set the `stop` of a verb; what was computed is kept, as after Ctrl-C."""


class ImageRefused(FoveateError):  # noqa: N818 - reads as the sentence it is
    """One image cannot be used.

    Attributes:
        reason: the kind of refusal.
        detail: one plain sentence about this image.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
