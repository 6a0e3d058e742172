"""Probes, answered by a thread while the event loop is busy, and not when it hangs for good."""

from __future__ import annotations

import asyncio
import socket
import threading

import httpx
import pytest

from foveate.errors import SettingsError
from foveate.serve.operations import probes
from foveate.serve.operations.probes import Probes, State

STATE = State(lambda: True, lambda: b"metrics", lambda shown: shown == "Bearer right")


def test_a_busy_loop_answers_and_one_that_hangs_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        answering = Probes("127.0.0.1", 0, STATE)
        base = f"http://127.0.0.1:{answering.port}"
        found: list[int] = []
        seen = threading.Event()

        def ask() -> None:
            found.append(httpx.get(f"{base}/health/live").status_code)
            found.append(httpx.get(f"{base}/health/ready").status_code)
            monkeypatch.setattr(probes, "HANGING_SECONDS", 0.0)
            found.append(httpx.get(f"{base}/health/live").status_code)
            found.append(httpx.get(f"{base}/health/ready").status_code)
            seen.set()

        try:
            threading.Thread(target=ask).start()
            assert seen.wait(30)  # the loop does not turn meanwhile
        finally:
            answering.close()
        assert found == [200, 200, 503, 503]

    asyncio.run(play())


def test_metrics_want_a_token() -> None:
    async def play() -> None:
        answering = Probes("127.0.0.1", 0, STATE)
        base = f"http://127.0.0.1:{answering.port}"

        def ask() -> None:
            assert httpx.get(f"{base}/metrics").status_code == 401
            shown = {"authorization": "Bearer right"}
            assert httpx.get(f"{base}/metrics", headers=shown).text == "metrics"
            assert httpx.head(f"{base}/metrics", headers=shown).headers["content-length"] == "7"
            assert httpx.get(f"{base}/predict").status_code == 404

        try:
            await asyncio.to_thread(ask)
        finally:
            answering.close()

    asyncio.run(play())


def test_a_port_that_is_taken_is_a_sentence() -> None:
    async def play() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(SettingsError, match=f"port {port}: "):
                Probes("127.0.0.1", port, STATE)

    asyncio.run(play())


def test_silent_probes_do_not_pile_up() -> None:
    async def play() -> None:
        answering = Probes("127.0.0.1", 0, STATE)
        silent = [
            socket.create_connection(("127.0.0.1", answering.port), 30)
            for _ in range(probes._MOST + 8)
        ]

        def count_cut_off() -> None:
            # Those over the limit are cut off at once, the others after their time.
            for one in silent:
                assert one.recv(1) == b""

        try:
            await asyncio.to_thread(count_cut_off)
            assert threading.active_count() < probes._MOST
        finally:
            answering.close()
            for one in silent:
                one.close()

    asyncio.run(play())
