"""Workers that die, and images that kill them; with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from foveate.errors import ModelFileError
from foveate.serve.models import ServedModel
from foveate.serve.operations.metrics import Metrics
from foveate.serve.workers.pipe import Frame, read_frame
from foveate.serve.workers.pool import Pool
from foveate.serve.workers.process import Batch, Setup, WorkerDied, WorkerProcess
from foveate.serve.workers.queue import ImageAnswer, ImageQueue, ImageRefusal, QueuedImage

pytestmark = pytest.mark.slow

POISON = b"this image brings its decoder down"


class Playground:
    """A pool, and what a test does with it."""

    def __init__(self, served: ServedModel, size: int = 2, answer_seconds: float = 30) -> None:
        self.line = ImageQueue(100)
        self.metrics = Metrics(lambda: len(self.line), 100)
        setup = Setup({served.name: served}, 4, 2**20, 10**6)
        self.pool = Pool(self.line, setup, size, answer_seconds, self.metrics)

    async def ask(self, images: Sequence[bytes]) -> list[ImageAnswer | ImageRefusal]:
        loop = asyncio.get_running_loop()
        jobs = [QueuedImage("patterns", data, loop.time(), loop.create_future()) for data in images]
        self.line.put(jobs)
        return list(await asyncio.gather(*(job.answer for job in jobs)))

    @property
    def deaths(self) -> int:
        return int(
            next(
                line.split()[1]
                for line in self.metrics.page().decode().splitlines()
                if line.startswith("foveate_worker_restarts_total ")
            ).partition(".")[0]
        )


def play(playground: Playground, script: Callable[[Playground], Awaitable[None]]) -> None:
    async def whole() -> None:
        await playground.pool.start()
        try:
            await script(playground)
        finally:
            await playground.pool.stop()

    asyncio.run(asyncio.wait_for(whole(), 60))


def labels(answers: Sequence[ImageAnswer | ImageRefusal]) -> list[str]:
    return [one.label if isinstance(one, ImageAnswer) else one.reason for one in answers]


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.02)


def test_killed_while_idle_it_is_replaced(served: ServedModel, image: bytes) -> None:
    async def script(here: Playground) -> None:
        first = here.pool.pids
        os.kill(first[0], signal.SIGKILL)
        await until(lambda: here.deaths == 1)
        # The other one answers in the meantime.
        assert labels(await here.ask([image] * 3)) == ["stripes"] * 3
        await until(lambda: here.pool.ready == 2)
        assert set(here.pool.pids) & set(first) == {first[1]}

    play(Playground(served), script)


def test_killed_at_work_no_image_is_lost(served: ServedModel, image: bytes) -> None:
    async def script(here: Playground) -> None:
        asking = asyncio.ensure_future(here.ask([image] * 80))
        await until(lambda: len(here.line) < 60)
        for pid in here.pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert labels(await asking) == ["stripes"] * 80
        assert here.deaths == 2

    play(Playground(served), script)


def test_an_image_that_kills_workers_is_refused_and_the_others_answered(
    served: ServedModel, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = WorkerProcess.send

    def deadly(self: WorkerProcess, name: str, images: Sequence[bytes]) -> Batch:
        if POISON in images:  # before it could answer, however busy the machine is
            os.kill(self.pid, signal.SIGKILL)
        return send(self, name, images)

    monkeypatch.setattr(WorkerProcess, "send", deadly)

    async def script(here: Playground) -> None:
        found = await here.ask([image, POISON, image, image])
        assert labels(found) == ["stripes", "unreadable", "stripes", "stripes"]
        assert here.deaths == 3
        assert labels(await here.ask([image])) == ["stripes"]

    play(Playground(served, size=1), script)


def test_a_worker_that_cannot_run_gives_its_images_back(
    served: ServedModel, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[Frame] = []

    async def fail_once(reader: asyncio.StreamReader) -> Frame:
        frame = await read_frame(reader)
        if "refused" in frame.header and not failed:
            failed.append(frame)
            return Frame({"error": "This network cannot be run: no memory."})
        return frame

    monkeypatch.setattr("foveate.serve.workers.process.read_frame", fail_once)

    async def script(playground: Playground) -> None:
        assert labels(await playground.ask([image] * 4)) == ["stripes"] * 4
        assert playground.deaths == 1

    play(Playground(served), script)
    assert len(failed) == 1


def test_a_worker_that_hangs_is_replaced(served: ServedModel, image: bytes) -> None:
    async def script(here: Playground) -> None:
        (pid,) = here.pool.pids
        os.kill(pid, signal.SIGSTOP)
        assert labels(await here.ask([image])) == ["stripes"]
        assert here.pool.pids != [pid]

    play(Playground(served, size=1, answer_seconds=1), script)


def test_versions_change_together(served: ServedModel, image: bytes) -> None:
    async def script(here: Playground) -> None:
        broken = replace(served, id="broken", data=b"no model")
        with pytest.raises(ModelFileError):
            await here.pool.take_over([broken])
        newer = replace(served, id="newer")
        asking = asyncio.ensure_future(here.ask([image] * 60))
        await here.pool.take_over([newer])
        found = {one.model.id for one in await asking if isinstance(one, ImageAnswer)}
        assert found <= {served.id, "newer"}
        after = await here.ask([image] * 8)
        assert {one.model.id for one in after if isinstance(one, ImageAnswer)} == {"newer"}
        assert here.deaths == 0

    play(Playground(served), script)


def test_a_model_that_cannot_run_is_an_error_at_the_start(served: ServedModel) -> None:
    playground = Playground(replace(served, data=b"no model"))
    with pytest.raises(ModelFileError):
        asyncio.run(playground.pool.start())


def test_a_worker_that_dies_at_the_start(
    served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(WorkerDied):
        asyncio.run(Playground(served).pool.start())


def test_a_place_survives_a_system_without_processes(
    served: ServedModel, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(here: Playground) -> None:
        create = asyncio.create_subprocess_exec

        async def fail(*_: object, **__: object) -> None:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        monkeypatch.setattr("asyncio.create_subprocess_exec", fail)
        os.kill(here.pool.pids[0], signal.SIGKILL)
        asking = asyncio.ensure_future(here.ask([image]))
        await asyncio.sleep(1.5)
        assert here.pool.ready == 0
        monkeypatch.setattr("asyncio.create_subprocess_exec", create)
        assert labels(await asking) == ["stripes"]

    play(Playground(served, size=1), script)


def test_a_worker_that_nobody_waits_for_does_not_hang_on(served: ServedModel, image: bytes) -> None:
    async def script(here: Playground) -> None:
        (pid,) = here.pool.pids
        os.kill(pid, signal.SIGSTOP)
        asking = asyncio.ensure_future(here.ask([image]))
        await asyncio.sleep(0.2)
        asking.cancel()
        assert labels(await here.ask([image])) == ["stripes"]
        assert here.pool.pids != [pid]

    play(Playground(served, size=1, answer_seconds=60), script)
