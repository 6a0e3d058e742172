"""The line: nothing lost, nothing twice, in order, within its limit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.serve.workers.queue import ImageQueue, QueuedImage, QueueFull, TooLate

T = TypeVar("T")


def run(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 5))


def job(number: int, model: str = "a") -> QueuedImage:
    return QueuedImage(model, bytes([number]), 0.0, asyncio.get_running_loop().create_future())


def numbers(jobs: list[QueuedImage]) -> list[int]:
    return [one.data[0] for one in jobs]


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), max_size=20),
    st.integers(1, 12),
    st.integers(1, 5),
)
def test_every_image_comes_out_once_and_in_order(
    requests: list[list[str]], limit: int, most: int
) -> None:
    async def play() -> None:
        line = ImageQueue(limit)
        taken: list[QueuedImage] = []
        admitted: list[QueuedImage] = []
        count = 0
        for request in requests:
            jobs = [job(count + i, model) for i, model in enumerate(request)]
            count += len(jobs)
            room = not len(line) or len(line) + len(jobs) <= limit
            if room:
                line.put(jobs)
                admitted += jobs
            else:
                with pytest.raises(QueueFull):
                    line.put(jobs)
                batch = await line.take(most)
                assert 1 <= len(batch) <= most
                assert len({one.model for one in batch}) == 1
                taken += batch
        while len(line):
            taken += await line.take(most)
        assert len(taken) == len(admitted)
        for model in "abc":
            assert [one for one in taken if one.model == model] == [
                one for one in admitted if one.model == model
            ]

    run(play())


def test_one_image_does_not_wait_for_others() -> None:
    async def play() -> list[int]:
        line = ImageQueue(10)
        waiting = asyncio.ensure_future(line.take(8))
        await asyncio.sleep(0)
        line.put([job(1)])
        return numbers(await waiting)

    assert run(play()) == [1]


def test_idle_workers_share_a_request() -> None:
    async def play() -> list[list[int]]:
        line = ImageQueue(10)
        idle = [asyncio.ensure_future(line.take(8)) for _ in range(3)]
        await asyncio.sleep(0)
        line.put([job(i) for i in range(6)])
        return [numbers(jobs) for jobs in await asyncio.gather(*idle)]

    assert sorted(run(play())) == [[0, 1], [2, 3], [4, 5]]


def test_batches_fill_while_all_are_busy() -> None:
    async def play() -> list[int]:
        line = ImageQueue(10)
        for i in range(6):
            line.put([job(i)])
        return [len(await line.take(4)), len(await line.take(4))]

    assert run(play()) == [4, 2]


def test_an_empty_line_takes_a_request_of_any_size() -> None:
    async def play() -> int:
        line = ImageQueue(2)
        line.put([job(i) for i in range(5)])
        with pytest.raises(QueueFull):
            line.put([job(6)])
        return len(line)

    assert run(play()) == 5


def test_images_of_a_dead_worker_come_first_and_alone() -> None:
    async def play() -> list[list[int]]:
        line = ImageQueue(3)
        line.put([job(i) for i in range(3)])
        died = await line.take(2)
        for one in died:
            one.deaths += 1
        line.put_back(died)
        return [numbers(await line.take(4)) for _ in range(3)]

    assert run(play()) == [[0], [1], [2]]


def test_removed_images_are_not_taken() -> None:
    async def play() -> list[int]:
        line = ImageQueue(5)
        jobs = [job(i) for i in range(4)]
        line.put(jobs)
        line.remove(jobs[1:3])
        return numbers(await line.take(8))

    assert run(play()) == [0, 3]


def test_a_worker_that_leaves_passes_its_turn_on() -> None:
    async def play() -> list[int]:
        line = ImageQueue(5)
        first, second = (asyncio.ensure_future(line.take(8)) for _ in range(2))
        await asyncio.sleep(0)
        line.put([job(7)])  # it is the first one's turn
        first.cancel()
        return numbers(await second)

    assert run(play()) == [7]


def test_a_batch_has_no_more_bytes_than_it_may_but_always_an_image() -> None:
    async def play() -> list[list[int]]:
        line = ImageQueue(10, batch_bytes=100)
        loop = asyncio.get_running_loop()
        line.put(
            [
                QueuedImage("a", bytes(size), 0.0, loop.create_future())
                for size in (60, 30, 20, 500, 1)
            ]
        )
        return [[len(one.data) for one in await line.take(4)] for _ in range(4)]

    assert run(play()) == [[60, 30], [20], [500], [1]]


def test_a_second_batch_is_taken_only_where_a_whole_one_waits() -> None:
    async def play() -> None:
        line = ImageQueue(20)
        second = asyncio.ensure_future(line.take(4, second=True))
        await asyncio.sleep(0)
        line.put([job(1)])
        for _ in range(5):
            await asyncio.sleep(0)
        assert not second.done()
        line.put([job(n) for n in (2, 3, 4)])
        assert numbers(await second) == [1, 2, 3, 4]
        # An idle worker comes first.
        second = asyncio.ensure_future(line.take(4, second=True))
        idle = asyncio.ensure_future(line.take(4))
        await asyncio.sleep(0)
        line.put([job(n) for n in range(4)])
        assert numbers(await idle) == [0, 1, 2, 3]
        assert not second.done()
        second.cancel()

    run(play())


def test_an_image_that_waited_too_long_is_not_begun() -> None:
    async def play() -> None:
        line = ImageQueue(20)
        now = asyncio.get_running_loop().time()
        late, early = job(1), job(2)
        late.latest, early.latest = now - 1, now + 100
        line.put([late, early])
        assert numbers(await line.take(4)) == [2]
        with pytest.raises(TooLate):
            await late.answer

    run(play())
