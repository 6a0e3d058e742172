"""What a run came to arrives on another machine as it was, or not at all."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.errors import HistoryError
from foveate.files import digest
from foveate.history import Outcome
from foveate.history.packing import pack_outcome, unpack_outcome

MODEL = bytes(range(256)) * 1000


def made() -> Outcome:
    def write(folder: Path) -> None:
        (folder / "model.onnx").write_bytes(MODEL)
        (folder / "plots").mkdir()
        (folder / "plots" / "roc ‘ü’.html").write_text("<p>ü</p>", encoding="utf-8")

    return Outcome(
        metrics={"accuracy": 0.75, "c": math.inf},
        series={"epoch.loss": [3.0, 2.0, 1.0]},
        settings={"classifier": "dnn"},
        tags={"data": "abc", "reproduce": "foveate train ‘photos’"},
        write_artifacts=write,
    )


def test_numbers_and_files_arrive(tmp_path: Path) -> None:
    sent, arrived = made(), unpack_outcome(pack_outcome(made()))
    for name in ("metrics", "series", "settings", "tags"):
        assert getattr(arrived, name) == getattr(sent, name)
    arrived.write_artifacts(tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == MODEL
    assert (tmp_path / "plots" / "roc ‘ü’.html").read_text(encoding="utf-8") == "<p>ü</p>"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "plots"]


PACKED = pack_outcome(made())


@given(position=st.integers(0, len(PACKED) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed(position: int, bit: int) -> None:
    damaged = bytearray(PACKED)
    damaged[position] ^= 1 << bit
    with pytest.raises(HistoryError, match="damaged"):
        unpack_outcome(bytes(damaged))


@given(st.integers(0, len(PACKED) - 1))
def test_a_part_is_refused(length: int) -> None:
    with pytest.raises(HistoryError, match="damaged"):
        unpack_outcome(PACKED[:length])


@pytest.mark.parametrize("name", ["../../evil", "/evil", "a/../../../evil"])
def test_no_file_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    packed = io.BytesIO(PACKED[64:])
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(f"artifacts/{name}", "evil")
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with pytest.raises(HistoryError, match="evil"):
        unpack_outcome(digest(packed.getvalue()).encode() + packed.getvalue()).write_artifacts(
            folder
        )
    assert not list(tmp_path.rglob("evil"))
