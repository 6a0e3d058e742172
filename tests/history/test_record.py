from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.history import Record

names = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    settings=names,
    tags=names,
    metrics=st.dictionaries(st.text(max_size=8), numbers, max_size=3),
    series=st.dictionaries(st.text(max_size=8), st.lists(numbers, max_size=3), max_size=2),
    reason=st.none() | st.text(max_size=20),
)
def test_text_and_back(
    settings: dict[str, str],
    tags: dict[str, str],
    metrics: dict[str, float],
    series: dict[str, list[float]],
    reason: str | None,
) -> None:
    record = Record(
        "ab" * 16, "train", "a name", "photos/", 12.5,
        settings=settings, tags=tags, metrics=metrics, series=series, reason=reason,
    )  # fmt: skip
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{}", '{"id": "a", "wrong": 1}'])
def test_other_text_is_not_a_record(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Record.from_json(text)
