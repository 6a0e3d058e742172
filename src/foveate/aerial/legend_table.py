"""Legends by name or from tables: a row a code, with its label, perhaps with colours."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence

from foveate import files
from foveate.aerial.legend import BUILT_IN, Colour, Legend
from foveate.errors import SettingsError, SourceError

_TABLE = re.compile(
    r"(.+\.(?:csv|tsv|txt))(?::([^:]+))?(?::([^:]+))?", re.IGNORECASE
)  # a drive's colon comes before the suffix
_CODE_COLUMNS = ("code", "value", "id", "gridcode", "class_code", "pixel_value")
_LABEL_COLUMNS = (
    *("label", "class", "class_name", "classname", "name", "evt_name", "legend"),
    *("land_cover", "landcover", "description"),
)
_COLOUR_COLUMNS = ("colour", "color", "hex", "rgb")
_NO_DATA = frozenset(
    {"nodata", "no data", "fill-nodata", "fill", "unclassified", "background", "na", "n/a"}
)
_HEX = re.compile(r"#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", re.IGNORECASE)


def find_legend(text: str) -> Legend:
    """A legend by its name, or from a table.

    Args:
        text: `nlcd`, `nlcd-groups`, `nlcd-land-use`, or the path or URL of a CSV table with a
            column of codes, one of labels and, if it likes, one of colours (`#rrggbb`) or three
            (`R`, `G`, `B`). Usual names of columns are known; others are named after the path:
            `evt.csv:EVT_PHYS` (labels) or `evt.csv:VALUE:EVT_PHYS` (codes and labels). A code
            whose label is empty is known and has none; one that is called no data has no data.

    Raises:
        SettingsError: there is no such legend, or the table lacks a column.
        SourceError: the table is not there or cannot be read.
    """
    if text in BUILT_IN:
        return BUILT_IN[text]
    match = _TABLE.fullmatch(text)
    if match is None:
        raise SettingsError(
            f"There is no legend ‘{text}’. Choose {', '.join(BUILT_IN)}, or name a .csv table "
            "with the columns code and label."
        )
    path, first, second = match.groups()
    return read_table(text, path, first if second else None, second or first)


def read_table(name: str, path: str, code_column: str | None, label_column: str | None) -> Legend:
    """Read a legend; see `find_legend`.

    Args:
        name: of the legend.
        path: of the table, local or a URL; its columns are parted by commas, semicolons or tabs.
        code_column: what the column of codes is called; None for a usual name.
        label_column: the same of the labels.

    Raises:
        SettingsError: it has no such column.
        SourceError: it is not there, or cannot be read as a legend.
    """
    try:
        text = files.read_bytes(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"The legend ‘{path}’ cannot be read: {error}.") from None
    lines = text.splitlines()
    if not lines:
        raise SourceError(f"The legend ‘{path}’ is empty.")
    separator = max("\t;,", key=lines[0].count)
    rows = csv.DictReader(lines, delimiter=separator)
    columns = {(column or "").strip().casefold(): column for column in rows.fieldnames or ()}
    code = _column(columns, code_column, _CODE_COLUMNS, path, "codes")
    label = _column(columns, label_column, _LABEL_COLUMNS, path, "labels")
    labels: dict[int, str] = {}
    colours: dict[str, Colour] = {}
    nodata: set[int] = set()
    for number, row in enumerate(rows, start=2):
        one = (row[label] or "").strip()
        try:
            value = int(float(row[code]))
        except (TypeError, ValueError, OverflowError):
            raise SourceError(
                f"Line {number} of the legend ‘{path}’: ‘{row[code]}’ is not a code; codes are "
                "whole numbers."
            ) from None
        if labels.get(value, one) != one:
            raise SourceError(
                f"Line {number} of the legend ‘{path}’: code {value} is ‘{one}’ here and "
                f"‘{labels[value]}’ before."
            )
        if one.casefold() in _NO_DATA:
            nodata.add(value)
            continue
        labels[value] = one
        colour = _colour_in(row, columns)
        if one and colour is not None:
            colours.setdefault(one, colour)
    if not any(labels.values()):
        raise SourceError(f"The legend ‘{path}’ has no labels.")
    return Legend(name, labels, colours, frozenset(nodata))


def _column(
    columns: Mapping[str, str], wanted: str | None, usual: Sequence[str], path: str, what: str
) -> str:
    for name in [wanted.casefold()] if wanted else usual:
        if name in columns:
            return columns[name]
    there = ", ".join(columns.values())
    raise SettingsError(
        f"The legend ‘{path}’ has no column of {what}"
        + (f" ‘{wanted}’" if wanted else f" ({', '.join(usual[:3])}, …)")
        + f"; its columns are {there}. Name one as {path}:CODES:LABELS."
    )


def _colour_in(row: Mapping[str, str | None], columns: Mapping[str, str]) -> Colour | None:
    for name in _COLOUR_COLUMNS:
        match = _HEX.fullmatch((row[columns[name]] or "").strip()) if name in columns else None
        if match is not None:
            return int(match[1], 16), int(match[2], 16), int(match[3], 16)
    for names, full in ((("r", "g", "b"), 255), (("red", "green", "blue"), 1)):
        if not all(name in columns for name in names):
            continue
        try:
            parts = [float(row[columns[name]] or "") for name in names]
        except ValueError:
            continue
        # Columns that are written out hold shares in some tables and bytes in others.
        scale = 255 if full == 1 and max(parts) <= 1 else 1
        red, green, blue = (min(max(round(part * scale), 0), 255) for part in parts)
        return red, green, blue
    return None
