"""Where a verb works."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveate.errors import SettingsError
from foveate.workflow.engine import HERE, choose_target, open_engine


def test_this_machine_unless_a_cluster_is_wanted(tmp_path: Path) -> None:
    assert choose_target(None, None, None) is None
    assert choose_target("local", None, None) is None
    with open_engine(None) as engine:
        assert engine is HERE
    (tmp_path / "foveate.toml").write_text('[targets.county]\nmaster = "spark://head:7077"\n')
    target = choose_target(None, "county", tmp_path)
    assert target is not None
    assert target.master == "spark://head:7077"


@pytest.mark.parametrize(
    ("engine", "target", "sentence"),
    [
        ("flink", None, "no engine ‘flink’"),
        ("local", "county", "--engine local works on this machine"),
        ("spark", "county", "county"),
    ],
)
def test_what_contradicts_itself_is_refused(
    engine: str, target: str | None, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "foveate.toml").touch()
    with pytest.raises(SettingsError, match=sentence):
        choose_target(engine, target, tmp_path)
