"""A map as plain values for JSON."""

from __future__ import annotations

from foveate.aerial.mapping.areas import AdjustedArea
from foveate.aerial.mapping.mapping import TilesMapped
from foveate.evaluation.intervals import LEVEL


def map_json(mapped: TilesMapped) -> dict[str, object]:
    """What `foveate tiles map --json` says, but for the files."""
    grid, tiles = mapped.predicted.grid, mapped.predicted
    rows, cols = tiles.shape
    comparison = mapped.comparison
    return {
        "tiles": tiles.tiles,
        "refused": mapped.refused,
        "grid": {
            "crs": grid.crs,
            "size": grid.size,
            "pixel": grid.pixel,
            "rows": rows,
            "cols": cols,
            "bounds": list(tiles.bounds),
        },
        "center_weight": mapped.center_weight,
        "changed": mapped.changed,
        "reference": mapped.reference.source if mapped.reference.known else None,
        "labels": _labels_json(mapped),
        "other_labels": {
            label: _area_json(area)
            for label, area in list(zip(mapped.reference.labels, mapped.areas, strict=True))[
                len(mapped.labels) :
            ]
        },
        "before": mapped.before.to_json() if mapped.before else None,
        "after": mapped.after.to_json() if mapped.after else None,
        "difference": comparison.difference.value if comparison else None,
        "difference_ci95": [comparison.difference.low, comparison.difference.high]
        if comparison
        else None,
        "p": comparison.p if comparison else None,
        "excluded": mapped.reference.excluded.to_json(),
        "interval_level": LEVEL,
        "notes": list(mapped.notes),
        "seconds": mapped.seconds,
    }


def _labels_json(mapped: TilesMapped) -> dict[str, dict[str, object]]:
    by_label: dict[str, dict[str, object]] = {}
    area = mapped.predicted.grid.area
    counts = zip(mapped.predicted.counts.tolist(), mapped.smoothed.counts.tolist(), strict=True)
    for label, (tiles, smoothed), one in zip(mapped.labels, counts, mapped.areas, strict=False):
        by_label[label] = {
            "tiles": tiles,
            "km2": tiles * area,
            "smoothed_tiles": smoothed,
            "smoothed_km2": smoothed * area,
            **_area_json(one),
        }
        for name, measures in (("", mapped.before), ("smoothed_", mapped.after)):
            if measures is None:
                continue
            own = measures.per_class[label]
            by_label[label] |= {
                "n": own.n,
                f"{name}accuracy": own.accuracy.value,
                f"{name}accuracy_ci95": [own.accuracy.low, own.accuracy.high],
                f"{name}precision": own.precision.value,
                f"{name}precision_ci95": [own.precision.low, own.precision.high],
            }
    return by_label


def _area_json(area: AdjustedArea) -> dict[str, object]:
    return {
        "adjusted_km2": area.area.value,
        "adjusted_km2_se": area.error,
        "adjusted_km2_ci95": [area.area.low, area.area.high],
        "adjusted_n": area.area.n,
    }
