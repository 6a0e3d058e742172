"""Where inputs are, and where results go."""

from __future__ import annotations

from pathlib import Path

import pytest

from foveate.errors import OutputError
from foveate.workflow.places import Destination, check_table, files_of, find_project


@pytest.mark.parametrize(
    ("model", "report", "project", "expected"),
    [
        (None, None, None, ("model.onnx", "model.html")),
        ("a/m.onnx", None, None, ("a/m.onnx", "a/m.html")),
        ("a/m.onnx", None, "p", ("a/m.onnx", "a/m.html")),
        (None, None, "p", ("p/models/run.onnx", "p/reports/run.html")),
        (None, "r.html", "p", ("p/models/run.onnx", "r.html")),
        (None, "r.html", None, ("model.onnx", "r.html")),
        ("s3://b/m.onnx", None, None, ("s3://b/m.onnx", "s3://b/m.html")),
        ("s3://b/m.onnx", "r.html", "p", ("s3://b/m.onnx", "r.html")),
    ],
)
def test_where_results_go(
    model: str | None, report: str | None, project: str | None, expected: tuple[str, str]
) -> None:
    assert Destination(model, report, Path(project) if project else None).of("run") == expected


def test_a_project_is_known_by_its_settings_file(tmp_path: Path) -> None:
    assert find_project(tmp_path) is None
    (tmp_path / "foveate.toml").touch()
    assert find_project(str(tmp_path)) == tmp_path
    assert find_project("s3://bucket/photos") is None


def test_no_result_replaces_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "foveate.toml").touch()
    read = files_of(tmp_path)
    assert str(tmp_path / "images" / "metadata.csv") in read
    table = str(tmp_path / "metadata.csv")
    for on_cluster in (False, True):
        with pytest.raises(OutputError):
            check_table("predictions", table, (".csv",), read, on_cluster=on_cluster)
    with pytest.raises(OutputError, match="read by this very command"):
        check_table("predictions", str(tmp_path), (".csv",), read, on_cluster=True)
