from __future__ import annotations

from pathlib import Path

import pytest

from foveate.tuning.memory import Memory


def test_what_was_kept_is_recalled_by_its_name_only(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "new" / "folder")
    assert memory.recall("judgement", "svm", 0.25) is None
    memory.keep({"right": [1.0, 0.25], "c": None}, "judgement", "svm", 0.25)
    assert Memory(tmp_path / "new" / "folder").recall("judgement", "svm", 0.25) == {
        "right": [1.0, 0.25],
        "c": None,
    }
    assert memory.recall("judgement", "svm", 0.5) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"name": ["other"], "result": {}}'])
def test_what_cannot_be_read_is_found_out_again(tmp_path: Path, damage: bytes) -> None:
    memory = Memory(tmp_path)
    memory.keep({"value": 1}, "one")
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    assert memory.recall("one") is None
    memory.keep({"value": 2}, "one")
    assert memory.recall("one") == {"value": 2}
