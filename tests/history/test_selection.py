from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.errors import SettingsError
from foveate.history import RecordedRun
from foveate.history.selection import (
    Condition,
    check_names,
    parse_condition,
    select,
    value_of,
)


def run(name: str = "a", started: float = 0, **values: float | str) -> RecordedRun:
    return RecordedRun(
        id=name * 32, mlflow_id=None, name=name, kind="train", status="finished", reason=None,
        source="photos", started=started, ended=started + 5,
        settings={k: v for k, v in values.items() if isinstance(v, str)},
        metrics={k: v for k, v in values.items() if isinstance(v, float)},
        tags={}, artifacts=None,
    )  # fmt: skip


@given(
    name=st.text("abcxyz._ ", min_size=1).filter(lambda t: t.strip()),
    operator=st.sampled_from([">=", "<=", "!=", "=", ">", "<"]),
    value=st.text("abc0123456789.- /", max_size=8),
    blanks=st.sampled_from(["", " ", "  "]),
)
def test_any_condition_is_read(name: str, operator: str, value: str, blanks: str) -> None:
    found = parse_condition(f"{name}{blanks}{operator}{blanks}{value}")
    assert found == Condition(name.strip(), operator, value.strip())


@pytest.mark.parametrize("text", ["", "accuracy", "= 3", "  >= 2"])
def test_other_text_is_not_a_condition(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a condition"):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("accuracy>=0.9", True),
        ("accuracy > 0.9", False),
        ("accuracy=0.90", True),
        ("accuracy!=0.9", False),
        ("classifier=svm", True),
        ("classifier!=svm", False),
        ("classifier<svm", False),
        ("resolution<=224", True),
        ("resolution<64", False),
        ("kind=train", True),
        ("seconds<6", True),
        ("nothing=1", False),
        ("nothing!=1", False),
        ("reason=x", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert (
        parse_condition(text).holds(run(accuracy=0.9, classifier="svm", resolution="224")) is holds
    )


def test_dates() -> None:
    assert parse_condition("started>1970-01-02").holds(run(started=5 * 86400.0))
    assert not parse_condition("started>2026-11-01").holds(run(started=5 * 86400.0))


def test_names_that_no_run_has() -> None:
    runs = [run(accuracy=0.5, classifier="svm")]
    check_names(runs, ["accuracy", "classifier", "kind"])
    with pytest.raises(SettingsError, match=r"‘acuracy’.*Did you mean ‘accuracy’"):
        check_names(runs, ["acuracy"])
    with pytest.raises(SettingsError, match=r"‘zzz’\.$"):
        check_names(runs, ["zzz"])


def test_order() -> None:
    runs = [run("c", 3, accuracy=0.7), run("b", 2, accuracy=0.9), run("a", 1)]
    assert [r.name for r in select(runs)] == ["c", "b", "a"]
    assert [r.name for r in select(runs, reverse=True)] == ["a", "b", "c"]
    assert [r.name for r in select(runs, sort="accuracy")] == ["b", "c", "a"]
    assert [r.name for r in select(runs, sort="accuracy", reverse=True)] == ["c", "b", "a"]
    assert [r.name for r in select(runs, sort="name")] == ["c", "b", "a"]
    assert [r.name for r in select(runs, [parse_condition("accuracy>0.8")])] == ["b"]


def test_a_metric_goes_before_a_setting_before_an_attribute() -> None:
    assert value_of(run(accuracy=0.5), "accuracy") == 0.5
    assert value_of(run(name="a"), "name") == "a"
    assert value_of(run(), "accuracy") is None
