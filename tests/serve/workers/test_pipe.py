"""Frames come out as they went in."""

from __future__ import annotations

import asyncio
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.serve.workers.pipe import Frame, read_frame, read_frame_blocking

frames = st.builds(
    Frame,
    st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | st.lists(st.text())),
    st.lists(st.binary(max_size=300), max_size=5),
)


@given(st.lists(frames, max_size=4))
def test_round_trip(sent: list[Frame]) -> None:
    data = b"".join(part for frame in sent for part in frame.pack())
    file = io.BytesIO(data)
    assert [read_frame_blocking(file) for _ in sent] == sent
    assert read_frame_blocking(file) is None

    async def read_all() -> list[Frame]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return [await read_frame(reader) for _ in sent]

    assert asyncio.run(read_all()) == sent


@given(frames, st.data())
def test_a_frame_that_is_cut_is_an_end(frame: Frame, data: st.DataObject) -> None:
    packed = b"".join(frame.pack())
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))]
    assert read_frame_blocking(io.BytesIO(cut)) is None

    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(cut)
        reader.feed_eof()
        await read_frame(reader)

    with pytest.raises(asyncio.IncompleteReadError):
        asyncio.run(read())
