from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from foveate import files
from foveate.catalog import Facts, inspect, read_file
from foveate.errors import ImageRefused, Reason
from foveate.image import Limits, Resize

LIMITS = Limits()


def picture(width: int = 40, height: int = 30, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def entry(path: Path, data: bytes) -> files.FileEntry:
    path.write_bytes(data)
    return files.file_entry(str(path))


def test_the_facts_of_an_image(tmp_path: Path) -> None:
    data = picture()
    facts, pixels = inspect(entry(tmp_path / "a.txt", data), limits=LIMITS)
    assert pixels is None
    assert (facts.id, facts.width, facts.height) == (files.digest(data), 40, 30)
    assert (facts.reason, facts.refusal, facts.detail) == (None, None, "")
    assert facts.dhash is not None
    assert len(facts.dhash) == 32


def test_pixels_come_with_the_facts_where_wanted(tmp_path: Path) -> None:
    file = entry(tmp_path / "a.png", picture())
    alone, _ = inspect(file, limits=LIMITS)
    facts, pixels = inspect(file, limits=LIMITS, resize=Resize(16))
    assert facts == alone
    assert pixels is not None
    assert pixels.shape == (16, 16, 3)
    again, none = inspect(file, limits=LIMITS, resize=Resize(16), featurized={facts.id})
    assert again == facts
    assert none is None


def test_a_known_image_is_not_decoded_for_its_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = picture()
    file = entry(tmp_path / "a.png", data)
    known = {files.digest(data): Facts(files.digest(data), 1, 2, b"\0" * 32)}
    with monkeypatch.context() as patch:
        # By name, the room's function hides its module.
        patch.setattr(sys.modules[inspect.__module__], "open_image", None)
        found, _ = inspect(file, limits=LIMITS, known=known)
        featurized, _ = inspect(
            file, limits=LIMITS, known=known, resize=Resize(16), featurized=set(known)
        )
    assert found == featurized == known[files.digest(data)]
    _, pixels = inspect(file, limits=LIMITS, known=known, resize=Resize(16))
    assert pixels is not None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"just a text, whatever its name says", Reason.UNSUPPORTED),
        (picture(kind="JPEG")[:-100], Reason.TRUNCATED),
        (picture(kind="PNG")[:200], Reason.TRUNCATED),
        (picture(1000, 1001, "PNG"), Reason.TOO_LARGE),
    ],
)
def test_a_refusal_is_in_the_facts(tmp_path: Path, data: bytes, reason: Reason) -> None:
    file = entry(tmp_path / "a.jpg", data)
    facts, pixels = inspect(file, limits=Limits(max_pixels=10**6), resize=Resize(16))
    assert pixels is None
    assert (facts.id, facts.reason) == (files.digest(data), reason)
    assert (facts.width, facts.height, facts.dhash) == (0, 0, None)
    assert facts.refusal == f"{reason.value}: {facts.detail}"
    assert facts.detail


def test_what_is_not_there_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere")
    facts, _ = inspect(files.file_entry(str(tmp_path / "broken.jpg")), limits=LIMITS)
    assert (facts.id, facts.reason) == ("", Reason.UNREADABLE)
    vanished = entry(tmp_path / "a.jpg", picture())
    (tmp_path / "a.jpg").unlink()
    facts, _ = inspect(vanished, limits=LIMITS)
    assert (facts.id, facts.reason) == ("", Reason.UNREADABLE)
    assert "No such file" in facts.detail


def test_a_large_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = entry(tmp_path / "a.jpg", picture())
    monkeypatch.setattr(files, "read_bytes", None)
    with pytest.raises(ImageRefused) as caught:
        read_file(file, Limits(max_bytes=file.size - 1))
    assert caught.value.reason == Reason.TOO_LARGE
    facts, _ = inspect(file, limits=Limits(max_bytes=file.size - 1))
    assert facts.reason == Reason.TOO_LARGE


def test_a_file_that_grew_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    file = entry(tmp_path / "a.png", picture())
    (tmp_path / "a.png").write_bytes(picture(400, 300))
    facts, _ = inspect(file, limits=Limits(max_bytes=file.size))
    assert facts.reason == Reason.TOO_LARGE


HEADS = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x20\0\0\0WEBPVP8 "]


@settings(deadline=None)
@given(st.sampled_from(HEADS), st.binary(max_size=200))
@example(b"II*\0", b"\x08\0\0\0\0\0")
def test_no_bytes_raise(head: bytes, tail: bytes) -> None:
    file = files.FileEntry("memory://bytes/a.jpg", "a.jpg", len(head + tail), "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "read_bytes", lambda path: head + tail)
        facts, _ = inspect(file, limits=LIMITS, resize=Resize(16))
    assert facts.id == files.digest(head + tail)
    assert facts.reason is None or facts.detail


@settings(deadline=None)
@given(st.data())
def test_damaged_images_do_not_raise(data: st.DataObject) -> None:
    damaged = bytearray(picture(kind=data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]))))
    places = st.integers(0, len(damaged) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        damaged[place] = data.draw(st.integers(0, 255))
    file = files.FileEntry("a.jpg", "a.jpg", len(damaged), "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "read_bytes", lambda path: bytes(damaged))
        facts, pixels = inspect(file, limits=Limits(max_pixels=10**6), resize=Resize(16))
    assert (pixels is None) == (facts.reason is not None)
