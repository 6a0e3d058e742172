"""Refusals in a storm: a few at once, the others later, none for ever."""

from __future__ import annotations

import asyncio

import pytest

from foveate.serve.http import pacing
from foveate.serve.http.pacing import AT_ONCE, HOLD_SECONDS, Pacing


def test_the_first_of_a_second_are_told_at_once() -> None:
    async def play() -> None:
        paced = Pacing(1000)
        loop = asyncio.get_running_loop()
        start = loop.time()
        held = await asyncio.gather(*(paced.wait() for _ in range(int(AT_ONCE) + 20)))
        assert sum(held) in (19, 20)  # a token may have come while they asked
        assert loop.time() - start >= HOLD_SECONDS

    asyncio.run(play())


def test_no_more_are_held_than_may_be_and_the_first_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacing, "AT_ONCE", 0.0)

    async def play() -> None:
        paced = Pacing(5)
        order: list[int] = []

        async def ask(number: int) -> None:
            await paced.wait()
            order.append(number)

        asking = [asyncio.ensure_future(ask(number)) for number in range(8)]
        while len(order) < 3:
            await asyncio.sleep(0)
        assert order == [0, 1, 2]  # long before their time
        for one in asking[3:]:
            one.cancel()  # their clients have gone
        await asyncio.gather(*asking, return_exceptions=True)
        assert not paced._held

    asyncio.run(play())


def test_those_that_are_held_are_logged_together(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pacing, "AT_ONCE", 0.0)
    monkeypatch.setattr(pacing, "HOLD_SECONDS", 0.05)
    monkeypatch.setattr(pacing, "_SUMMARY_SECONDS", 0.01)

    async def play() -> None:
        paced = Pacing(1000)
        await asyncio.gather(*(paced.wait() for _ in range(30)))

    with caplog.at_level("WARNING", "foveate.serve"):
        asyncio.run(play())
    (record,) = caplog.records
    assert record.about["count"] == 30
