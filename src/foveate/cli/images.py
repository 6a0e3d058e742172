"""What `foveate predict` and `foveate call` share: the images they are given, what they print."""

from __future__ import annotations

import glob
import math
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveate import files
from foveate.cli.console import json_text, percent, print_table
from foveate.errors import SettingsError

if TYPE_CHECKING:
    from types import TracebackType

    from foveate.classifier import Prediction

HELD_IN_MEMORY = 16 * 2**20
"""Bytes of JSON after which the rows wait in a temporary file for the last one."""

ImagesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE…",
        help="files, folders, globs, URLs, or - for an image on standard input",
        show_default=False,
    ),
]


def read_standard_input() -> bytes:
    """The image on standard input; of one that is too large, enough to be refused for it.

    Raises:
        SettingsError: standard input cannot be read.
    """
    from foveate.image import Limits

    try:
        return sys.stdin.buffer.read(Limits().max_bytes + 1)
    except OSError as error:
        raise SettingsError(
            f"`-` is an image on standard input, which cannot be read: {error.strerror}."
        ) from None


def expand(image: str) -> list[str]:
    """The files that one argument stands for; what is not there stays, to be reported."""
    if image == "-" or (not files.is_folder(image) and files.exists(image)):
        return [image]
    if files.is_folder(image):
        return [entry.path for entry in files.list_files(image)]
    matches = sorted(glob.glob(image, recursive=True)) if glob.has_magic(image) else []  # noqa: PTH207
    return [path for path in matches if not Path(path).is_dir()] or [image]


class PredictionPrinter:
    """Prints predictions as one table or one JSON object, once all are there.

    Nothing is printed before `finish`, so that a command that fails half-way prints nothing but
    its error. Memory does not grow with images times labels: a row of the table keeps three
    labels, and long JSON waits on the disk.

    Attributes:
        count: predictions added.
        refused: those of them that carry an error.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._rows: list[list[str]] = []
        self._waiting = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - `__exit__` closes it
            HELD_IN_MEMORY, "w+", encoding="utf-8"
        )
        self.count = 0
        self.refused = 0

    def __enter__(self) -> PredictionPrinter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waiting.close()

    @property
    def all_refused(self) -> bool:
        """Whether there were images and none could be used."""
        return 0 < self.count == self.refused

    def add(self, path: str, prediction: Prediction) -> None:
        """Take the prediction of the image that is called `path`."""
        path = files.printable(path)
        if self._as_json:
            row = json_text(_json_row(path, prediction))
            self._waiting.write(", " + row if self.count else row)
        else:
            self._rows.append(_table_row(path, prediction))
        self.count += 1
        self.refused += prediction.error is not None

    def finish(self, model: str | None) -> None:
        """Print them all.

        Args:
            model: the classifier, as the JSON object names it.
        """
        if not self._as_json:
            print_table(["image", "label", "then"], self._rows)
            return
        name = json_text(model and files.printable(model))
        print(f'{{"model": {name}, "predictions": [', end="")
        self._waiting.seek(0)
        shutil.copyfileobj(self._waiting, sys.stdout)
        print("]}")


def _json_row(path: str, prediction: Prediction) -> dict[str, object]:
    if prediction.error is not None:
        return {"path": path, "error": prediction.error}
    return {
        "path": path,
        "label": prediction.label,
        "probability": _finite(prediction.probability),
        "probabilities": {label: _finite(p) for label, p in prediction.probabilities.items()},
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _table_row(path: str, prediction: Prediction) -> list[str]:
    if prediction.error is not None:
        return [path, "refused", prediction.error]
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    others = ", ".join(f"{label} {percent(p)}" for label, p in ranked[1:3])
    return [path, f"{prediction.label} {percent(ranked[0][1])}", others]
