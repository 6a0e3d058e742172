"""Predictions: one row per image, with the probability of each label; as Parquet or CSV.

The table has the columns `path`, `label` (the known one), `predicted`, `probability` (of the
predicted label), one `p:<label>` per label, `error`, `model`, the id of the classifier, and
`trained_on`, whether the image is one that it was trained on. A refused image has an `error` and
nulls in its other columns after `label`; every other row has a null `error`. In the run history
there is an `id`, too. A folder holds such tables as its parts; `_SUCCESS` in it says that all of
them are there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.errors import SettingsError, SourceError
from foveate.files import (
    exists,
    is_folder,
    join,
    printable,
    read_bytes,
    write_anywhere,
)

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT_COLUMNS = ("path", "label", "predicted", "error")
_ID = "id"
_MODEL = "model"
_TRAINED_ON = "trained_on"
COMMITTED = "_SUCCESS"
"""The file that a folder of parts has once it is complete; its name is Spark's and Hadoop's."""
_PREFIX = "p:"


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a classifier said about n images.

    Attributes:
        labels: the K labels that the classifier knows, in its own order.
        paths: n paths or URLs, as shown to people.
        known: n known labels, None where there is none.
        probabilities: (n, K) float32, rows sum to 1; a row of NaN where the image was refused.
        errors: n reasons for refusal, None where the image was read.
        ids: n digests of the images' bytes; None where they were not kept.
        model: id of the classifier (SHA-256 of its file); None where it was not kept.
        trained_on: n times whether the classifier was trained on the image, so that it says
            nothing about how good that is; None where nobody knows.
    """

    labels: tuple[str, ...]
    paths: tuple[str, ...]
    known: tuple[str | None, ...]
    probabilities: NDArray[np.float32]
    errors: tuple[str | None, ...]
    ids: tuple[str, ...] | None = None
    model: str | None = None
    trained_on: tuple[bool, ...] | None = None

    def take(self, rows: Sequence[int]) -> Predictions:
        """Only some rows, by their indices."""
        return Predictions(
            self.labels,
            tuple(self.paths[i] for i in rows),
            tuple(self.known[i] for i in rows),
            self.probabilities[list(rows)],
            tuple(self.errors[i] for i in rows),
            None if self.ids is None else tuple(self.ids[i] for i in rows),
            self.model,
            None if self.trained_on is None else tuple(self.trained_on[i] for i in rows),
        )

    @property
    def read(self) -> NDArray[np.bool_]:
        """(n,) bool, whether the image was read; False where it was refused."""
        return np.fromiter((error is None for error in self.errors), bool, len(self.errors))

    @property
    def top(self) -> NDArray[np.intp]:
        """(n,) index into `labels` of the most probable label; -1 where the image was refused."""
        top = np.full(len(self.errors), -1, np.intp)
        read = self.read
        top[read] = self.probabilities[read].argmax(axis=1)
        return top

    @property
    def predicted(self) -> tuple[str | None, ...]:
        """The n most probable labels; None where the image was refused."""
        return tuple(None if k < 0 else self.labels[k] for k in self.top)

    @property
    def probability(self) -> NDArray[np.float32]:
        """(n,) float32 probability of the predicted label; NaN where the image was refused."""
        probability: NDArray[np.float32] = self.probabilities.max(axis=1)
        return probability

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,) bool, whether the predicted label is the known one."""
        pairs = zip(self.known, self.predicted, strict=True)
        return np.array([a is not None and a == b for a, b in pairs], bool)


def write_predictions(
    predictions: Predictions, path: Path | str, *, with_ids: bool = False
) -> None:
    r"""Write predictions as Parquet or CSV, told by the suffix; whole or not at all.

    In CSV a null is an empty field and an empty text is `""`. File names that are not valid
    Unicode are written with `\xNN` escapes.

    Args:
        predictions: of n images.
        path: where they go.
        with_ids: also a column `id`, by which images are known whatever they are called.

    Raises:
        SettingsError: the suffix is neither `.parquet` nor `.csv`.
    """
    path = str(path)
    suffix = check_suffix(path)
    table = to_table(predictions)
    if with_ids and predictions.ids is not None:
        table = table.append_column(_ID, _text(predictions.ids))
    buffer = io.BytesIO()
    write_table(table, buffer, suffix)
    write_anywhere(path, buffer.getvalue())


def write_table(table: pa.Table, file: IO[bytes], suffix: str) -> None:
    """Write a table of predictions as Parquet or CSV, as the suffix says."""
    if suffix == ".parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, file)
    else:
        import pyarrow.csv

        pyarrow.csv.write_csv(table, file)


def read_predictions(path: Path | str) -> Predictions:
    """Read what `foveate score` wrote, from a local path or URL: a file, or a folder of parts.

    Raises:
        SettingsError: the suffix is neither `.parquet` nor `.csv`.
        SourceError: the file cannot be read, is not a table of predictions, or the folder is not
            complete yet.
    """
    import pyarrow as pa

    path = str(path)
    try:
        paths = _parts(path) if is_folder(path) else [path]
        return _from_table(pa.concat_tables([read_table(part) for part in paths]))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise SourceError(
            f"‘{path}’ cannot be read as predictions ({error}). "
            "Give a Parquet or CSV file that `foveate score` wrote."
        ) from error


def read_table(path: str) -> pa.Table:
    """The table in a file, a local path or URL, whose suffix says what it is.

    Raises:
        SettingsError: the suffix is neither `.parquet` nor `.csv`.
        OSError: it cannot be read.
        ValueError: it is not such a table; also Arrow's own errors.
    """
    suffix, data = check_suffix(path), read_bytes(path)
    return _parse_parquet(data) if suffix == ".parquet" else _parse_csv(data)


def _parts(folder: str) -> list[str]:
    """The parts of a folder that is complete, in the order of their names."""
    if not exists(join(folder, COMMITTED)):
        raise SourceError(
            f"‘{folder}’ is not complete: it has no {COMMITTED}. Start `foveate score` again with "
            "the same arguments; it does what is missing."
        )
    # Its own list: a worker that was thought dead may have written another part since.
    try:
        return [
            join(folder, name) for name in json.loads(read_bytes(join(folder, COMMITTED)))["parts"]
        ]
    except (ValueError, KeyError, TypeError):
        raise SourceError(
            f"‘{folder}’ was not written by foveate: its {COMMITTED} names no parts."
        ) from None


def check_suffix(path: str | Path) -> str:
    """The suffix of a file for predictions, `.parquet` or `.csv`.

    Raises:
        SettingsError: it is neither.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise SettingsError(
            f"‘{path}’ ends in ‘{suffix}’, which is not a format for predictions. "
            "Give a name that ends in .parquet or .csv."
        )
    return suffix


def to_table(predictions: Predictions) -> pa.Table:
    """The table of n rows that is written."""
    import pyarrow as pa

    refused = ~predictions.read
    columns = {
        "path": _text(predictions.paths),
        "label": _text(predictions.known),
        "predicted": _text(predictions.predicted),
        "probability": pa.array(predictions.probability, pa.float32(), mask=refused),
    }
    for label, column in zip(predictions.labels, predictions.probabilities.T, strict=True):
        columns[_PREFIX + label] = pa.array(column, pa.float32(), mask=refused)
    columns["error"] = _text(predictions.errors)
    if predictions.model is not None:
        columns[_MODEL] = _text([predictions.model] * len(predictions.paths))
    if predictions.trained_on is not None:
        columns[_TRAINED_ON] = pa.array(predictions.trained_on, pa.bool_())
    return pa.table(columns)


def _text(values: Sequence[str | None]) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if v is None else printable(v) for v in values], pa.string())


def _from_table(table: pa.Table) -> Predictions:
    missing = [name for name in _TEXT_COLUMNS if name not in table.column_names]
    if missing:
        raise ValueError(f"it has no column ‘{missing[0]}’")
    names = [name for name in table.column_names if name.startswith(_PREFIX)]
    if not names:
        raise ValueError("it has no column ‘p:<label>’")
    probabilities = np.empty((table.num_rows, len(names)), np.float32)
    for k, name in enumerate(names):
        probabilities[:, k] = table[name].to_numpy()
    errors = tuple(table["error"].to_pylist())
    refused = [error is not None for error in errors]
    if not np.array_equal(np.isnan(probabilities).any(axis=1), refused):
        raise ValueError("an image without an error lacks a probability, or one with an error has")
    return Predictions(
        labels=tuple(name.removeprefix(_PREFIX) for name in names),
        paths=tuple(table["path"].to_pylist()),
        known=tuple(table["label"].to_pylist()),
        probabilities=probabilities,
        errors=errors,
        ids=tuple(table[_ID].to_pylist()) if _ID in table.column_names else None,
        model=_only(table[_MODEL].unique().to_pylist()) if _MODEL in table.column_names else None,
        trained_on=tuple(table[_TRAINED_ON].to_pylist())
        if _TRAINED_ON in table.column_names
        else None,
    )


def _only(values: Sequence[str | None]) -> str | None:
    """The value that all rows have, if they have the same one."""
    return values[0] if len(values) == 1 else None


def _parse_parquet(data: bytes) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet

    return pyarrow.parquet.read_table(pa.BufferReader(data))


def _parse_csv(data: bytes) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv

    # Every column gets its type by name: a path of digits must stay text.
    header = next(csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")), [])
    types = {name: pa.float32() for name in header}
    types |= dict.fromkeys((*_TEXT_COLUMNS, _ID, _MODEL), pa.string())
    types |= {_TRAINED_ON: pa.bool_()}
    return pyarrow.csv.read_csv(
        pa.BufferReader(data),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
