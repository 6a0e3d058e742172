"""Tests mirror the source: `foveate/catalog/split.py` has `tests/catalog/test_split.py`."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "foveate"
TESTS = Path(__file__).parent

LISTED = TESTS / "without_tests.txt"
"""Modules that have no test file of theirs, each with what tests it."""


def test_every_module_has_its_tests_or_a_reason() -> None:
    without = set()
    for module in SOURCE.rglob("*.py"):
        relative = module.relative_to(SOURCE)
        if (
            module.name.startswith("__")
            or (TESTS / relative).with_name(f"test_{module.name.removeprefix('_')}").is_file()
        ):
            continue
        without.add(relative.as_posix())
    reasons = dict(
        line.split(": ", 1) for line in LISTED.read_text(encoding="utf-8").splitlines() if line
    )
    assert without - set(reasons) == set(), "write tests, or say here what tests them"
    assert set(reasons) - without == set(), "these have tests now, or are gone"
    assert all(reasons.values())
