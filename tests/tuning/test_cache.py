from __future__ import annotations

from pathlib import Path

import pytest

from foveate.tuning.cache import ResultCache


def test_what_was_kept_is_recalled_by_its_name_only(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "new" / "folder")
    assert cache.get("judgement", "svm", 0.25) is None
    cache.put({"right": [1.0, 0.25], "c": None}, "judgement", "svm", 0.25)
    assert ResultCache(tmp_path / "new" / "folder").get("judgement", "svm", 0.25) == {
        "right": [1.0, 0.25],
        "c": None,
    }
    assert cache.get("judgement", "svm", 0.5) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"name": ["other"], "result": {}}'])
def test_what_cannot_be_read_is_found_out_again(tmp_path: Path, damage: bytes) -> None:
    cache = ResultCache(tmp_path)
    cache.put({"value": 1}, "one")
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    assert cache.get("one") is None
    cache.put({"value": 2}, "one")
    assert cache.get("one") == {"value": 2}
