"""What one can ask of a cut, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from foveate.aerial.cut_options import CutOptions, cut_options
from foveate.errors import SettingsError


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"min_share": 1.1}, "--min-share 1.1"),
        ({"min_share": float("nan")}, "--min-share nan"),
        ({"max_nodata": 1.0}, "--max-nodata 1"),
        ({"balanced": True}, "give --labels"),
        ({"per_label": 3}, "give --labels"),
        ({"labels": "l.tif", "per_label": 0}, "--per-label must"),
        ({"limit": 0}, "--limit must"),
        ({"ndvi": True, "red": 0}, "counted from 1"),
        ({"stretch": (2.0, 2.0)}, "LOW,HIGH"),
    ],
)
def test_what_contradicts_itself_is_refused(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        CutOptions(**asked)


def test_changes_by_name() -> None:
    assert cut_options(None, {}) == CutOptions()
    changed = cut_options(CutOptions(size=100.0, seed=3), {"size": 50.0})
    assert (changed.size, changed.seed) == (50.0, 3)
    with pytest.raises(TypeError, match="no option sise"):
        cut_options(None, {"sise": 50.0})


def test_the_index_remembers_what_chose_its_tiles() -> None:
    rules = CutOptions(labels="l.tif", balanced=True, bands=(1, 2, 3)).rules
    assert rules == {
        "labelled": True,
        "min_share": 0.5,
        "max_nodata": 0.05,
        "balanced": True,
        "per_label": None,
        "limit": None,
        "seed": 0,
    }
