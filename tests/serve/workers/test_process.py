"""What is printed in a worker: always read, logged as JSON, within limits."""

from __future__ import annotations

import asyncio

import pytest

from foveate.serve.workers.process import PRINTED_A_SECOND, tell_printed


def test_a_flood_is_read_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        stderr = asyncio.StreamReader()
        stderr.feed_data(b"TIFFReadDirectory: \xff Warning\n" * 10_000)
        stderr.feed_eof()
        await tell_printed(stderr, 7)

    with caplog.at_level("WARNING", "foveate.serve"):
        asyncio.run(play())
    told = [record.about for record in caplog.records]
    assert PRINTED_A_SECOND < len(told) < 80  # it took a second or a few
    assert str(told[0]["text"]).startswith("TIFFReadDirectory: \\xff Warning\n")
    size = len(b"TIFFReadDirectory: \xff Warning\n") * 10_000
    assert sum(one["bytes_dropped"] for one in told) > size // 2
