from __future__ import annotations

import pytest

from foveate.spark.jobs import compiled


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_kept", {})


def test_compiled_once() -> None:
    first = compiled.compiled("a", list)
    assert compiled.compiled("a", list) is first
    assert compiled.compiled("b", list) is not first


def test_few_stay_in_memory() -> None:
    for n in range(10):
        compiled.compiled(n, object)
    assert list(compiled._kept) == [6, 7, 8, 9]


def test_what_cannot_be_compiled_is_tried_again() -> None:
    with pytest.raises(ZeroDivisionError):
        compiled.compiled("a", lambda: 1 / 0)
    assert compiled.compiled("a", lambda: 1) == 1
