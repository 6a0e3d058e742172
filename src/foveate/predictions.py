"""Predictions: one row per image, with the probability of each label; as Parquet or CSV.

The table has the columns `path`, `label` (the known one), `predicted`, `probability` (of the
predicted label), one `p:<label>` per label, and `error`. A refused image has an `error` and
nulls in its other columns after `label`; every other row has a null `error`. In the run history
there is an `id`, too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.errors import SettingsError, SourceError
from foveate.files import atomic_write, printable, read_bytes

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT_COLUMNS = ("path", "label", "predicted", "error")
_ID = "id"
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
    """

    labels: tuple[str, ...]
    paths: tuple[str, ...]
    known: tuple[str | None, ...]
    probabilities: NDArray[np.float32]
    errors: tuple[str | None, ...]
    ids: tuple[str, ...] | None = None

    def take(self, rows: Sequence[int]) -> Predictions:
        """Only some rows, by their indices."""
        return Predictions(
            self.labels,
            tuple(self.paths[i] for i in rows),
            tuple(self.known[i] for i in rows),
            self.probabilities[list(rows)],
            tuple(self.errors[i] for i in rows),
            None if self.ids is None else tuple(self.ids[i] for i in rows),
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
    path = Path(path)
    suffix = check_suffix(path.name)
    table = _to_table(predictions)
    if with_ids and predictions.ids is not None:
        table = table.append_column(_ID, _text(predictions.ids))
    with atomic_write(path) as file:
        if suffix == ".parquet":
            import pyarrow.parquet

            pyarrow.parquet.write_table(table, file)
        else:
            import pyarrow.csv

            pyarrow.csv.write_csv(table, file)


def read_predictions(path: Path | str) -> Predictions:
    """Read what `write_predictions` wrote, from a local path or URL.

    Raises:
        SettingsError: the suffix is neither `.parquet` nor `.csv`.
        SourceError: the file cannot be read, or is not a table of predictions.
    """
    import pyarrow as pa

    path = str(path)
    suffix = check_suffix(path)
    try:
        data = read_bytes(path)
        table = _parse_parquet(data) if suffix == ".parquet" else _parse_csv(data)
        return _from_table(table)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise SourceError(
            f"‘{path}’ cannot be read as predictions ({error}). "
            "Give a Parquet or CSV file that `foveate score` wrote."
        ) from error


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


def _to_table(predictions: Predictions) -> pa.Table:
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
    )


def _parse_parquet(data: bytes) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet

    return pyarrow.parquet.read_table(pa.BufferReader(data))


def _parse_csv(data: bytes) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv

    # Every column gets its type by name: a path of digits must stay text.
    header = next(csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")), [])
    types = {
        name: pa.string() if name in (*_TEXT_COLUMNS, _ID) else pa.float32() for name in header
    }
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
