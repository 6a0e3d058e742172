"""`foveate call` beside `foveate predict`: a server with the same classifier says the same."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

pytest.importorskip("httpx")

import foveate as fv
from conftest import draw_pattern, hear_ctrl_c
from foveate.cli import images as shared
from foveate.cli import run
from foveate.serve.client import retrying

pytestmark = pytest.mark.slow


class Server:
    """Answers by a real classifier, but for what a test asks it to do."""

    def __init__(self, classifier: fv.Classifier) -> None:
        self.classifier = classifier
        self.reset()

    def reset(self) -> None:
        self.token = ""
        self.busy = 0
        self.busy_after = sys.maxsize
        self.silent = False
        self.never: bytes | None = None
        self.kinds: list[str] = []
        self.asked = threading.Event()

    async def models(self, request: Request) -> Response:
        return JSONResponse({"models": [model_info("patterns"), model_info("other")]})

    async def predict(self, request: Request) -> Response:
        body = await request.body()
        self.asked.set()
        self.kinds.append(request.headers["content-type"])
        if self.silent:
            await asyncio.sleep(60)
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return failure(401, "unauthorized")
        self.busy -= 1
        if self.busy >= 0 or body == self.never or len(self.kinds) > self.busy_after:
            return failure(503, "queue_full")
        if request.query_params.get("model", "patterns") != "patterns":
            return failure(404, "unknown_model")
        if self.kinds[-1] == "application/json":
            body = base64.b64decode(json.loads(body)["images"][0])
        one = self.classifier.predict(body)
        if one.error is not None:
            reason, _, error = one.error.partition(": ")
            image = {"index": 0, "name": None, "reason": reason, "error": error}
            return failure(422, "image_refused", image)
        said = {
            "name": None,
            "label": one.label,
            "probability": one.probability,
            "probabilities": one.probabilities,
        }
        return JSONResponse({"model": "patterns", "id": "0" * 64, "predictions": [said]})


def model_info(name: str, *, default: bool = False) -> dict[str, object]:
    """What a server tells about a classifier."""
    facts = {"id": "0" * 64, "labels": ["a"], "resolution": 64, "backbone": "small"}
    return {"name": name, "default": default, **facts}


def failure(status: int, reason: str, *images: object) -> Response:
    body = {"error": f"It is {reason}.", "reason": reason, "request_id": "", "images": [*images]}
    return JSONResponse(body, status, headers={"Retry-After": "0"})


@pytest.fixture(scope="module")
def model(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "patterns.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_HISTORY", "off")
        patch.setenv("FOVEATE_CACHE", str(path.parent))
        fv.train(patterns, resolution=64).save(path)
    return path


@pytest.fixture(scope="module")
def started(model: Path) -> Iterator[tuple[Server, str]]:
    server = Server(fv.load(str(model)))
    routes = [
        Route("/models", server.models),
        Route("/predict", server.predict, methods=["POST"]),
    ]
    config = uvicorn.Config(
        Starlette(routes=routes),
        log_level="critical",
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, args=([listener],))
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join(10)


@pytest.fixture
def server(started: tuple[Server, str]) -> Server:
    started[0].reset()
    return started[0]


@pytest.fixture
def url(started: tuple[Server, str], server: Server) -> str:
    return started[1]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("FOVEATE_TOKEN", raising=False)
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine images and two files that are none."""
    for label in ("checks", "dots", "stripes"):
        for seed in range(3):
            draw_pattern(label, 100 + seed).save(tmp_path / f"{label}-{seed}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "void.jpg").write_bytes(b"")
    return tmp_path


def call_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    """Run with --json, whatever the status: exactly one object on stdout."""
    run(["call", *map(str, arguments), "--json"])
    out = capsys.readouterr().out
    assert len(out.strip().splitlines()) == 1
    result = json.loads(out)
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize("flags", [(), ("--base64",), ("--parallel", "1")])
def test_it_says_what_predict_says(
    url: str,
    server: Server,
    model: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
) -> None:
    assert run(["predict", str(model), str(folder), "--json"]) == 0
    predicted = json.loads(capsys.readouterr().out)
    called = call_json(capsys, url, folder, *flags)
    assert called["model"] == "patterns"
    assert len(called["predictions"]) == len(predicted["predictions"]) == 11
    for one, other in zip(called["predictions"], predicted["predictions"], strict=True):
        assert one.keys() == other.keys()
        assert one["path"] == other["path"]
        assert one.get("error") == other.get("error")
        assert one.get("label") == other.get("label")
        assert one.get("probabilities") == pytest.approx(other.get("probabilities"), abs=1e-3)
    kind = "application/json" if "--base64" in flags else "application/octet-stream"
    assert set(server.kinds) == {kind}


def test_the_table_is_that_of_predict(
    url: str, model: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(model), f"{folder}/*-0.png", f"{folder}/notes.txt"]) == 0
    predicted = capsys.readouterr().out
    assert run(["call", url, f"{folder}/*-0.png", f"{folder}/notes.txt"]) == 0
    called = capsys.readouterr()
    words = [line.split()[:2] for line in called.out.splitlines()]
    assert words == [line.split()[:2] for line in predicted.splitlines()]
    assert "unsupported" in called.out
    assert called.err == ""


def test_urls_and_missing_files(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/call/a.png", (folder / "dots-0.png").read_bytes())
    found = call_json(capsys, url, "memory://call/a.png", folder / "none.png")["predictions"]
    assert found[0]["path"] == "memory://call/a.png"
    assert "label" in found[0]
    assert found[1]["error"].startswith("unreadable: ")


def test_from_standard_input(url: str, folder: Path) -> None:
    command = [sys.executable, "-m", "foveate", "call", url, "-", "--json"]
    image = (folder / "stripes-0.png").read_bytes()
    done = subprocess.run(command, input=image, capture_output=True, check=True, timeout=60)
    (one,) = json.loads(done.stdout)["predictions"]
    assert (one["path"], one["label"]) == ("-", "stripes")


def test_the_status_is_1_only_where_all_are_refused(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [str(folder / "notes.txt"), str(folder / "void.jpg")]
    assert run(["call", url, *bad]) == 1
    assert run(["call", url, *bad, str(folder / "dots-0.png")]) == 0
    empty = folder / "empty"
    empty.mkdir()
    assert run(["call", url, str(empty)]) == 0


def test_long_json_waits_on_the_disk(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = call_json(capsys, url, folder)
    monkeypatch.setattr(shared, "HELD_IN_MEMORY", 64)
    assert call_json(capsys, url, folder) == kept


def test_a_busy_server_is_waited_for_and_remarked_once(
    url: str, server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.busy = 6
    assert run(["call", url, str(folder)]) == 0
    error = capsys.readouterr().err
    assert error.count("is busy or starting: It is queue_full. Trying again in") == 1
    server.busy = 6
    assert run(["call", url, str(folder), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_one_image_without_an_answer_makes_the_status_1(
    url: str, server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.never = (folder / "checks-0.png").read_bytes()
    others = [str(folder / f"dots-{seed}.png") for seed in range(3)] * 20
    command = ["call", url, str(folder / "checks-0.png"), *others, "--parallel", "2", "--retries"]
    assert run([*command, "2", "--json"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)["predictions"]
    assert found[0]["error"].startswith("not answered: ")
    assert all("label" in one for one in found[1:])
    assert "1 of 61 images were not answered." in captured.err


def test_what_was_answered_is_printed_though_the_server_goes(
    url: str, server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.busy_after = 4
    paths = [str(path) for path in sorted(folder.glob("*.png"))]
    command = ["call", url, *paths, "--parallel", "1", "--retries", "1", "--json"]
    assert run(command) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)["predictions"]
    assert [one["path"] for one in found] == paths
    assert ["label" in one for one in found] == [True] * 4 + [False] * 5
    assert all(one["error"].startswith("not answered: ") for one in found[4:])
    assert "Error: The server at" in captured.err
    assert len(server.kinds) <= 4 + 2 * 2  # not every image is tried to know that it is gone


def test_no_server(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{probe.getsockname()[1]}"
    found = call_json(capsys, gone, folder, "--retries", "1")
    assert set(found) == {"error"}
    assert str(found["error"]).startswith(f"No server answers at {gone}. Start one with")


def test_the_token_comes_from_the_environment(
    url: str,
    server: Server,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.token = "sesame"
    assert "wants a token" in str(call_json(capsys, url, folder)["error"])
    monkeypatch.setenv("FOVEATE_TOKEN", "wrong")
    assert "does not accept this token" in str(call_json(capsys, url, folder)["error"])
    monkeypatch.setenv("FOVEATE_TOKEN", "sesame\n")
    assert len(call_json(capsys, url, folder)["predictions"]) == 11
    assert run(["call", url, str(folder), "--token", "sesame"]) == 2


def test_an_unknown_model_names_those_there_are(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["call", url, str(folder), "--model", "pattern"]) == 1
    assert "has no model ‘pattern’; it has patterns, other." in capsys.readouterr().err
    assert call_json(capsys, url, folder, "--model", "patterns")["model"] == "patterns"


@pytest.mark.parametrize(
    "flags", [("--parallel", "0"), ("--timeout", "0"), ("--retries", "-1"), ("--parallel", "x")]
)
def test_wrong_usage(url: str, flags: tuple[str, ...]) -> None:
    assert run(["call", url, "a.jpg", *flags]) == 2


def test_ctrl_c_does_not_wait_for_a_silent_server(
    url: str, server: Server, folder: Path, tmp_path: Path
) -> None:
    server.silent = True
    command = [sys.executable, "-m", "foveate", "call", url, str(folder), "--json"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=hear_ctrl_c,
    ) as process:
        try:
            assert server.asked.wait(30)
            time.sleep(0.2)
            began = time.monotonic()
            os.kill(process.pid, signal.SIGINT)
            out, error = process.communicate(timeout=20)
        finally:
            process.kill()
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert out == b""
    assert b"Stopped." in error
    assert b"Traceback" not in error
