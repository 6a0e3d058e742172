"""What is wrong with images."""

from __future__ import annotations

from pathlib import Path

from conftest import draw_folder
from foveate.workflow.check import check


def test_copies_and_contradictions_are_found(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path, 3)
    data = (folder / "dots" / "0.png").read_bytes()
    (folder / "stripes" / "wrong.png").write_bytes(data)
    checked = check(folder)
    assert len(checked.duplicates.contradictory) == 1
    assert checked.duplicates.exact == 1
    assert len(checked.catalog.rows) == 10
