"""The client against a real server that follows the contract, and against some that do not."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

pytest.importorskip("httpx")

from foveate.errors import CallError, FoveateError
from foveate.serve.client import NOT_ANSWERED, Client, retrying
from foveate.serve.client.client import AHEAD

pytestmark = pytest.mark.slow

LABELS = ("checks", "dots", "stripes")
LARGEST = 3 * 2**20
PNG = b"\x89PNG"


class Fake:
    """What a test makes the server do, and what the server saw."""

    current: ClassVar[Fake]

    def __init__(self) -> None:
        self.token: str | None = None
        self.busy = 0
        self.always_busy: set[bytes] = set()
        self.headers: dict[str, str] = {"Retry-After": "0"}
        self.delay = 0.0
        self.waits_for: dict[bytes, int] = {}
        self.answered = 0
        self.answer: Response | None = None
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.keep = True
        self.now = self.most_at_once = 0

    async def models(self, request: Request) -> Response:
        if (refused := self._unauthorized(request)) is not None:
            return refused
        return JSONResponse({"models": [model_info("tiles"), model_info("fashion", default=True)]})

    async def predict(self, request: Request) -> Response:
        body = await request.body()
        if self.keep:
            self.requests.append(request)
            self.bodies.append(body)
        self.now += 1
        self.most_at_once = max(self.now, self.most_at_once)
        try:
            return await self._predict(request, body)
        finally:
            self.now -= 1
            self.answered += 1

    async def _predict(self, request: Request, body: bytes) -> Response:
        if self.answer is not None:
            return self.answer
        if (refused := self._unauthorized(request)) is not None:
            return refused
        if self.busy > 0 or body in self.always_busy:
            self.busy -= 1
            return failure(503, "queue_full", "64 images wait already.", headers=self.headers)
        model = request.query_params.get("model", "fashion")
        if model not in {"fashion", "tiles"}:
            return failure(404, "unknown_model", f"There is no model ‘{model}’.")
        if len(body) > LARGEST:
            return failure(413, "too_large", "The body is too large.")
        if request.headers["content-type"] == "application/json":
            body = base64.b64decode(json.loads(body)["images"][0], validate=True)
        await asyncio.sleep(self.delay)
        while self.answered < self.waits_for.get(body, 0):
            await asyncio.sleep(0.005)
        label = "dots" if body.startswith(PNG) else body[:20].decode("latin-1")
        if label not in LABELS:
            image = {"index": 0, "name": None, "reason": "unsupported", "error": "Not an image."}
            return failure(422, "image_refused", "Image 1 cannot be used.", images=[image])
        shares = {one: 0.8 if one == label else 0.1 for one in LABELS}
        one = {"name": None, "label": label, "probability": 0.8, "probabilities": shares}
        return JSONResponse({"model": model, "id": "0" * 64, "predictions": [one]})

    def _unauthorized(self, request: Request) -> Response | None:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return failure(401, "unauthorized", "A token is needed.")
        return None


def model_info(name: str, *, default: bool = False) -> dict[str, object]:
    """What a server tells about a classifier."""
    facts = {"id": "0" * 64, "labels": ["a"], "resolution": 64, "backbone": "small"}
    return {"name": name, "default": default, **facts}


def failure(status: int, reason: str, error: str, **more: object) -> Response:
    body = {"error": error, "reason": reason, "request_id": "r", "images": more.get("images", [])}
    return JSONResponse(body, status, headers=more.get("headers"))


@contextmanager
def serving(*, port: int = 0, **config: object) -> Iterator[int]:
    """A server on loopback for as long as the block runs; gives its port."""

    async def models(request: Request) -> Response:
        return await Fake.current.models(request)

    async def predict(request: Request) -> Response:
        return await Fake.current.predict(request)

    app = Starlette(
        routes=[
            Route("/models", models),
            Route("/predict", predict, methods=["POST"]),
            Route("/below/predict", predict, methods=["POST"]),
        ]
    )
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", ws="none", lifespan="off", **config)
        )
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(autouse=True)
def fake() -> Fake:
    Fake.current = Fake()
    return Fake.current


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def raw_server(answers: list[bytes]) -> Iterator[str]:
    """Reads one request a connection and sends the next of these bytes; b"" drops it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        for answer in answers:
            try:
                connection, _ = listener.accept()
            except OSError:  # the test is over
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def http_answer(status: str, body: object, *headers: str) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + data


GOOD = {
    "model": "m",
    "id": "0",
    "predictions": [
        {"name": None, "label": "a", "probability": 1.0, "probabilities": {"a": 1.0, "b": 0.0}}
    ],
}


def test_it_answers_as_a_classifier_does(url: str, fake: Fake, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"stripes")
    with Client(url) as client:
        one = client.predict(path)
        several = client.predict([str(path), b"dots", np.zeros((4, 4, 3), np.uint8)])
        assert client.predict([]) == []
    assert (one.path, one.label, one.probability, one.error) == (str(path), "stripes", 0.8, None)
    assert one.probabilities == {"checks": 0.1, "dots": 0.1, "stripes": 0.8}
    assert [(p.path, p.label) for p in several] == [
        (str(path), "stripes"),
        (None, "dots"),
        (None, "dots"),
    ]
    assert client.answered_by == "fashion"
    assert fake.requests[0].headers["content-type"] == "application/octet-stream"
    assert fake.requests[0].headers["user-agent"].startswith("foveate/")
    assert fake.bodies[0] == b"stripes"
    assert any(body.startswith(PNG) for body in fake.bodies)


def test_pixels_arrive_as_they_were(url: str, fake: Fake) -> None:
    import io

    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    with Client(url) as client:
        client.predict(pixels)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(fake.bodies[0]))), pixels)


def test_base64_is_json_that_the_server_reads(url: str, fake: Fake) -> None:
    with Client(url, as_base64=True) as client:
        assert client.predict(b"checks").label == "checks"
    assert json.loads(fake.bodies[0]) == {"images": [base64.b64encode(b"checks").decode()]}


@pytest.mark.parametrize("end", ["", "/", "/predict", "/predict/", "/below", "/below/predict"])
def test_the_url_may_end_in_predict(url: str, end: str) -> None:
    with Client(url + end) as client:
        assert client.predict(b"dots").label == "dots"


def test_a_url_needs_no_scheme(url: str) -> None:
    with Client(url.removeprefix("http://")) as client:
        assert client.predict(b"dots").label == "dots"


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ("", "looks like http://HOST:8000"),
        ("ftp://host", "looks like http://HOST:8000"),
        ("http://", "looks like http://HOST:8000"),
        ("http://host:port", "looks like http://HOST:8000"),
        ("http://host:99999", "looks like http://HOST:8000"),
        ("http://[::1", "looks like http://HOST:8000"),
        ("http://me:secret@host", "FOVEATE_TOKEN"),
        ("http://host/predict?model=x", "--model"),
    ],
)
def test_an_unusable_url_is_said(bad: str, sentence: str) -> None:
    with pytest.raises(CallError, match=sentence) as caught:
        Client(bad)
    assert "secret" not in str(caught.value)


def test_the_model_is_asked_for_by_name(url: str, fake: Fake) -> None:
    with Client(url, model="tiles") as client:
        client.predict(b"dots")
        assert client.answered_by == "tiles"
        assert client.models() == ["fashion", "tiles"]
    with Client(url, model="a&b=c/ü") as client, pytest.raises(CallError) as caught:
        client.predict(b"dots")
    assert "no model ‘a&b=c/ü’; it has fashion, tiles." in str(caught.value)
    assert fake.requests[-1].query_params["model"] == "a&b=c/ü"


def test_a_server_that_does_not_know_its_models_is_asked_for_them_once() -> None:
    unknown = {"error": "There is no model ‘x’.", "reason": "unknown_model"}
    with (
        raw_server([http_answer("404 Not Found", unknown)] * 2) as url,
        Client(url, model="x", retries=0, timeout=5) as client,
        pytest.raises(CallError, match="answers 404: There is no model ‘x’"),
    ):
        client.predict(b"dots")


def test_the_token_is_sent_and_a_wrong_one_named_as_such(url: str, fake: Fake) -> None:
    fake.token = "right"
    with Client(url, token="right") as client:
        assert client.predict(b"dots").label == "dots"
    with Client(url, token="wrong") as client, pytest.raises(CallError, match="does not accept"):
        client.predict(b"dots")
    with Client(url) as client, pytest.raises(CallError, match=r"wants a token.*FOVEATE_TOKEN"):
        client.predict(b"dots")
    for token in ("two words", "naïve", "a\r\nX-Evil: 1", ""):
        with pytest.raises(CallError, match="FOVEATE_TOKEN is empty or has") as caught:
            Client(url, token=token)
        assert not token or token not in str(caught.value)


def test_refused_images_do_not_stop_the_others(url: str, tmp_path: Path) -> None:
    huge = b"x" * (LARGEST + 1)
    (tmp_path / "empty.jpg").write_bytes(b"")
    given = [b"dots", b"text", huge, str(tmp_path / "none.jpg"), tmp_path / "empty.jpg", b"checks"]
    with Client(url) as client:
        found = client.predict(given)
    assert [one.label for one in found] == ["dots", None, None, None, None, "checks"]
    assert [one.error for one in found][1:3] == [
        "unsupported: Not an image.",
        "too_large: The body is too large.",
    ]
    assert [(one.error or "").partition(":")[0] for one in found][3:5] == ["unreadable", "empty"]


def test_a_gateways_413_is_a_refusal_too(url: str, fake: Fake) -> None:
    fake.answer = Response("<html>Request Entity Too Large</html>", 413)
    with Client(url) as client:
        assert (client.predict(b"d" * 2**20).error or "").startswith("too_large: 1.0 MB")


def test_order_is_kept_and_requests_overlap(url: str, fake: Fake) -> None:
    # One slow image does not hold up the others: it is answered after all that may be ahead.
    fake.delay, fake.waits_for = 0.02, {b"checks": 5 * AHEAD - 1}
    images = [b"checks", *[b"dots", b"stripes"] * 20]
    with Client(url, parallel=5, retries=0) as client:
        found = client.predict(images)
    assert [one.label.encode() for one in found if one.label] == images
    assert fake.most_at_once == 5


def test_images_are_taken_only_as_they_are_sent(url: str) -> None:
    taken = 0

    def images() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"dots"

    with Client(url, parallel=2) as client:
        stream = client.stream(images())
        for _ in range(5):
            assert next(stream).label == "dots"
        stream.close()
    assert taken <= 5 + 2 * AHEAD


def test_memory_does_not_grow_with_the_number_of_images(
    url: str, fake: Fake, tmp_path: Path
) -> None:
    fake.keep = False
    image = tmp_path / "a.png"
    image.write_bytes(PNG + bytes(2 * 2**20))

    def peak(count: int) -> int:
        tracemalloc.start()
        with Client(url, parallel=4) as client:
            for one in client.stream(str(image) for _ in range(count)):
                assert one.label == "dots"
            found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    # 240 MB pass through; client and server hold four of 2 MB, each a few times over.
    assert peak(120) < 100 * 2**20


def test_busy_twice_then_answered_after_the_pause_asked_for(url: str, fake: Fake) -> None:
    fake.busy, fake.headers = 2, {"Retry-After": "1"}
    pauses: list[tuple[str, float]] = []
    began = time.monotonic()
    with Client(url, on_retry=lambda *pause: pauses.append(pause)) as client:
        assert client.predict(b"dots").label == "dots"
    assert time.monotonic() - began >= 2
    assert len(fake.requests) == 3
    assert all(1 <= seconds < 2 for _, seconds in pauses)
    assert "busy or starting: 64 images wait already." in pauses[0][0]


def test_retry_after_may_be_a_date_or_nonsense(url: str, fake: Fake, impatient: None) -> None:
    from email.utils import formatdate

    pauses: list[float] = []
    with Client(url, on_retry=lambda _, seconds: pauses.append(seconds)) as client:
        for said in (formatdate(time.time() + 2, usegmt=True), "soon", "-5", "Wed, 99 Foo"):
            fake.busy, fake.headers = 1, {"Retry-After": said}
            assert client.predict(b"dots").label == "dots"
    assert 0.5 < pauses[0] <= 2.1
    assert all(0 < seconds < 0.1 for seconds in pauses[1:])


def test_pauses_double_and_are_jittered(url: str, fake: Fake, impatient: None) -> None:
    fake.busy, fake.headers = 5, {}
    pauses: list[float] = []
    with Client(url, on_retry=lambda _, seconds: pauses.append(seconds)) as client:
        client.predict(b"dots")
    for attempt, seconds in enumerate(pauses):
        assert 0.005 * 2**attempt <= seconds <= 0.01 * 2**attempt
    assert len({seconds / 2**i for i, seconds in enumerate(pauses)}) == 5


def test_a_server_that_stays_busy_is_given_up(url: str, fake: Fake, impatient: None) -> None:
    fake.busy = 99
    with Client(url, retries=2) as client, pytest.raises(CallError, match="Tried 3 times"):
        client.predict(b"dots")
    assert len(fake.requests) == 3
    fake.headers = {"Retry-After": "3600"}
    began = time.monotonic()
    with Client(url) as client, pytest.raises(CallError, match="asked again in 3600 s"):
        client.predict(b"dots")
    assert time.monotonic() - began < 2


def test_a_worker_that_died_is_asked_again(url: str, fake: Fake, impatient: None) -> None:
    fake.answer = failure(500, "defect", "It broke.")
    with Client(url, retries=2) as client, pytest.raises(CallError, match=r"failed: It broke\."):
        client.predict(b"dots")
    assert len(fake.requests) == 3


def test_one_image_without_an_answer_does_not_stop_the_others(
    url: str, fake: Fake, impatient: None
) -> None:
    fake.always_busy = {b"checks"}
    fake.delay = 0.01
    with Client(url, retries=3, parallel=2) as client:
        found = client.predict([b"dots", b"checks", *[b"dots"] * 30])
    assert [one.label for one in found if one.label] == ["dots"] * 31
    assert (found[1].error or "").startswith(f"{NOT_ANSWERED}: The server at {url} is busy")


def test_dropped_connections_are_tried_again(impatient: None) -> None:
    with (
        raw_server([b"", b"HTTP/1.1 200", http_answer("200 OK", GOOD)]) as url,
        Client(url) as client,
    ):
        assert client.predict(b"x").label == "a"


def test_a_server_that_always_hangs_up(impatient: None) -> None:
    with (
        raw_server([b""] * 3) as url,
        Client(url, retries=2) as client,
        pytest.raises(CallError) as caught,
    ):
        client.predict(b"x")
    assert "closed the connection without an answer. Perhaps it speaks TLS" in str(caught.value)


def test_a_restarting_server_is_waited_for(fake: Fake) -> None:
    port = free_port()
    stop = threading.Event()

    def start_late() -> None:
        time.sleep(0.6)
        with serving(port=port):
            stop.wait(20)

    thread = threading.Thread(target=start_late)
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{port}") as client:
            assert client.predict(b"dots").label == "dots"
    finally:
        stop.set()
        thread.join()


def test_no_server_at_all(impatient: None) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, retries=1) as client, pytest.raises(CallError) as caught:
        client.predict(b"x")
    assert str(caught.value) == (
        f"No server answers at {url}. Start one with `foveate serve MODEL`, or check the URL. "
        "Tried 2 times."
    )


def test_an_unknown_machine_is_not_waited_for() -> None:
    began = time.monotonic()
    with Client("http://no-such-machine.invalid", retries=1) as client, pytest.raises(CallError):
        client.predict(b"x")
    assert time.monotonic() - began < 10


def test_a_slow_answer_is_waited_for_and_a_too_slow_one_not(url: str, fake: Fake) -> None:
    fake.delay = 0.4
    with Client(url, timeout=5) as client:
        assert client.predict(b"dots").label == "dots"
    with (
        Client(url, timeout=0.1, retries=0) as client,
        pytest.raises(CallError, match=r"did not answer within 0\.1 s\.$"),
    ):
        client.predict(b"dots")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Response("<html>Welcome</html>"), "does not answer as `foveate serve`"),
        (JSONResponse({"predictions": []}), "does not answer as `foveate serve`"),
        (
            Response(json.dumps(GOOD).replace("1.0", "NaN"), media_type="application/json"),
            "does not answer as `foveate serve`",
        ),
        (Response("x", headers={"Content-Encoding": "gzip"}), "does not answer as `foveate serve`"),
        (Response("Not Found", 404), "does not answer as `foveate serve`"),
        (RedirectResponse("https://elsewhere/predict"), "sends on to ‘https://elsewhere/predict’"),
        (failure(400, "odd", "Broken\x1b[2J."), r"answers 400: Broken \[2J\."),
        (Response(b"\xff" * 9999, 400), "answers 400: Bad Request."),
    ],
)
def test_what_is_no_foveate_server_is_said(
    url: str, fake: Fake, answer: Response, sentence: str
) -> None:
    fake.answer = answer
    with Client(url) as client, pytest.raises(CallError, match=sentence):
        client.predict(b"dots")
    assert len(fake.requests) == 1  # asking again would not help


def test_a_private_authority(fake: Fake, tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    ca, key, chain = (tmp_path / name for name in ("ca.pem", "key.pem", "cert.pem"))
    authority.cert_pem.write_to_path(ca)
    certificate.private_key_pem.write_to_path(key)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    with serving(ssl_certfile=str(chain), ssl_keyfile=str(key)) as port:
        with Client(f"https://localhost:{port}", cacert=ca) as client:
            assert client.predict(b"dots").label == "dots"
        with (
            Client(f"https://localhost:{port}") as client,
            pytest.raises(CallError, match=r"is not trusted.*--cacert FILE"),
        ):
            client.predict(b"dots")
        with (
            Client(f"https://127.0.0.1:{port}", cacert=ca) as client,
            pytest.raises(CallError, match="is not trusted"),
        ):  # not issued for this name
            client.predict(b"dots")
    assert len(fake.requests) == 1


def test_https_to_a_server_without_tls(url: str, fake: Fake) -> None:
    with (
        Client(url.replace("http:", "https:")) as client,
        pytest.raises(CallError, match=r"No TLS connection.*try http://"),
    ):
        client.predict(b"dots")
    assert fake.requests == []


def test_unusable_certificates_are_said(tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    for name, why in (("none.pem", "No such file"), ("text.pem", "holds no certificates")):
        with pytest.raises(CallError, match=f"{name}’ cannot be used as --cacert: .*{why}"):
            Client("https://localhost", cacert=tmp_path / name)


def test_closing_ends_the_waiting(url: str, fake: Fake) -> None:
    fake.busy, fake.headers = 99, {"Retry-After": "60"}
    waits = threading.Event()
    client = Client(url, on_retry=lambda *_: waits.set())
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            client.predict(b"dots")
        except CallError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert waits.wait(10)
    client.close()
    thread.join(5)
    assert not thread.is_alive()
    assert len(caught) == 1


def test_call_errors_are_foveate_errors() -> None:
    assert issubclass(CallError, FoveateError)


def test_without_httpx_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['httpx'] = None\n"
        "from foveate import CallError, Client\n"
        "try: Client('http://localhost')\n"
        "except CallError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'foveate[serve]'" in done.stdout


def test_importing_the_client_loads_no_httpx() -> None:
    code = "import sys, foveate.serve.client; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
