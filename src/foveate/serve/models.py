"""Which classifiers are served: files, by name, read whole and checked before they are used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from foveate import files
from foveate.errors import ModelFileError, SettingsError
from foveate.model_file import Metadata, read_model
from foveate.runtime.untrusted import MOST_BYTES

Fingerprint = tuple[int, int, int]
"""Time of the last change in ns, length in bytes, and inode of a file."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One version of a classifier.

    Attributes:
        name: under which it is served.
        path: of its file.
        data: the whole file: workers are started from these bytes, whatever becomes of the file.
        id: SHA-256 of the file.
        metadata: what the file says about itself.
        fingerprint: of the file, before it was read.
    """

    name: str
    path: Path
    data: bytes
    id: str
    metadata: Metadata
    fingerprint: Fingerprint | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return self.metadata.labels


def parse_models(arguments: Iterable[str]) -> dict[str, Path]:
    """Names and paths from arguments `PATH` or `NAME=PATH`.

    Raises:
        SettingsError: two have the same name, or a name is not one that fits into a URL.
    """
    models: dict[str, Path] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals or "/" in name:
            name, path = Path(argument).stem, argument
        if not name or not all(c.isalnum() or c in "-_." for c in name):
            raise SettingsError(
                f"‘{name}’ cannot be part of an address; name the classifier in letters, digits, "
                f"dashes, dots and underscores: NAME={path}."
            )
        if name in models:
            raise SettingsError(
                f"Two classifiers are called ‘{name}’; name one of them: NAME={path}."
            )
        models[name] = Path(path)
    if not models:
        raise SettingsError("Name at least one classifier to serve.")
    return models


def read_served(name: str, path: Path) -> ServedModel:
    """Read a classifier and check that it is one.

    Raises:
        ModelFileError: it is not there or is not a foveate classifier.
    """
    before = fingerprint(path)
    try:
        data = files.read_whole(str(path), MOST_BYTES)
    except OSError as error:
        reason = error.strerror or error
        raise ModelFileError(f"The model ‘{path}’ cannot be read: {reason}.") from None
    try:
        model = read_model(data)
    except ModelFileError as error:
        raise ModelFileError(f"‘{path}’: {error}") from None
    return ServedModel(name, path, data, files.digest(data), model.metadata, before)


def fingerprint(path: Path) -> Fingerprint | None:
    """By which a change of a file is noticed; None where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
