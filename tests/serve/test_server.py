"""A real server: what it takes, what it gives, what it says when it refuses."""

from __future__ import annotations

import base64
import json
import re
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import tritonclient.http
import trustme
from PIL import Image

from foveate.classifier import load_classifier
from foveate.cli import run
from support.servers import Running, serving, wait_until


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def encoded(*images: bytes) -> dict[str, list[str]]:
    return {"images": [base64.b64encode(image).decode() for image in images]}


def test_three_ways_to_send_an_image(
    client: httpx.Client, model_file: Path, patterns: Path
) -> None:
    path = patterns / "dots" / "2.png"
    data = path.read_bytes()
    answers = [
        client.post("/predict", content=data, headers={"content-type": "image/png"}),
        client.post("/predict", content=data, headers={"content-type": "application/octet-stream"}),
        client.post("/predict", files={"image": ("2.png", data)}),
        client.post("/predict", json=encoded(data)),
        client.post("/predict?model=patterns", json=encoded(data)),
    ]
    expected = load_classifier(model_file).predict(path)
    for answer in answers:
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["predictions"]
        assert found["label"] == expected.label == "dots"
        assert found["probabilities"] == pytest.approx(dict(expected.probabilities), abs=1e-3)
        assert found["probability"] == max(found["probabilities"].values())
    assert answers[2].json()["predictions"][0]["name"] == "2.png"


def test_several_images_keep_their_order(client: httpx.Client, patterns: Path) -> None:
    paths = [patterns / label / "1.png" for label in ("stripes", "dots", "checks", "dots")]
    answer = client.post("/predict", json=encoded(*(path.read_bytes() for path in paths)))
    found = [one["label"] for one in answer.json()["predictions"]]
    assert found == [path.parent.name for path in paths]


def test_a_refused_image_is_named(client: httpx.Client, image: bytes) -> None:
    files = [("a", ("good.png", image)), ("b", ("bad.png", b"no image at all, but a text"))]
    answer = client.post("/predict", files=files, headers={"x-request-id": "my-id.1"})
    assert answer.status_code == 422
    error = answer.json()
    assert error["reason"] == "image_refused"
    assert error["request_id"] == answer.headers["x-request-id"] == "my-id.1"
    assert "‘bad.png’" in error["error"]
    assert [(one["index"], one["name"], one["reason"]) for one in error["images"]] == [
        (1, "bad.png", "unsupported")
    ]


@pytest.mark.parametrize(
    ("body", "kind", "status", "reason"),
    [
        (b"", "image/png", 422, "image_refused"),
        (b"{", "application/json", 422, "invalid_request"),
        (b"{}", "application/json", 422, "invalid_request"),
        (b'{"images": []}', "application/json", 422, "invalid_request"),
        (b'{"images": ["*"]}', "application/json", 422, "image_refused"),
        (b'{"images": "x"}', "application/json", 422, "invalid_request"),
        (b"\xff\xfe", "application/json; charset=utf-16", 422, "invalid_request"),
        (b'{"images": [' + b",".join([b'""'] * 9) + b"]}", "application/json", 413, "too_large"),
        (b"x" * (2**20 + 1), "image/png", 413, "too_large"),
        (b"x", "multipart/form-data", 422, "invalid_request"),
        (b"x", "multipart/form-data; boundary=b", 422, "invalid_request"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_type"),
        (b"x", "video/mp4", 415, "unsupported_type"),
    ],
)
def test_bodies_that_are_refused(
    client: httpx.Client, body: bytes, kind: str, status: int, reason: str
) -> None:
    answer = client.post("/predict", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.json()["error"].endswith(".")


def test_a_large_image_is_refused_by_its_header(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(path)  # 400 megapixels in 50 kilobytes
    answer = client.post("/predict", content=path.read_bytes())
    assert answer.status_code == 413
    assert answer.json()["images"][0]["reason"] == "too_large"


def test_wrong_addresses(client: httpx.Client, image: bytes) -> None:
    assert client.post("/predict?model=none", content=image).json()["reason"] == "unknown_model"
    assert client.get("/v2/models/none").status_code == 404
    assert client.get("/nothing").json()["reason"] == "not_found"
    refused = client.get("/predict")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def test_request_ids_that_are_not_sane_are_replaced(client: httpx.Client) -> None:
    for shown in ("x" * 200, "a b", '"quoted"'):
        found = client.get("/health/live", headers={"x-request-id": shown})
        assert re.fullmatch("[0-9a-f]{32}", found.headers["x-request-id"])


def test_health_models_page_and_description(client: httpx.Client, model_file: Path) -> None:
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}
    (model,) = client.get("/models").json()["models"]
    assert model["name"] == "patterns"
    assert model["id"] == load_classifier(model_file).id
    assert model["labels"] == ["checks", "dots", "stripes"]
    assert model["default"]
    page = client.get("/")
    assert "<html" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) >= {"/predict", "/models", "/metrics", "/v2/models/{name}/infer"}
    assert set(paths["/predict"]["post"]["requestBody"]["content"]) >= {
        "application/json",
        "multipart/form-data",
        "image/*",
    }


GETS = (
    "/", "/health/live", "/health/ready", "/metrics", "/models", "/openapi.json", "/v2",
    "/v2/health/live", "/v2/health/ready", "/v2/models/patterns", "/v2/models/patterns/ready",
)  # fmt: skip


@pytest.mark.parametrize("path", GETS)
def test_head_is_answered_on_every_get(client: httpx.Client, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
    varying = {"date", "x-request-id"} | ({"content-length"} if path == "/metrics" else set())
    assert int(head.headers["content-length"]) > 0
    for name in got.headers.keys() - varying:
        assert head.headers[name] == got.headers[name]
    assert head.headers.keys() == got.headers.keys()


def test_those_are_all_gets(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    # A version is tried in `test_openinference`.
    described = {path for path in paths if "get" in paths[path] and "{version}" not in path}
    here = {path.replace("patterns", "{name}") for path in GETS}
    assert described == here - {"/openapi.json"}
    assert client.post("/models").headers["allow"] == "GET, HEAD"


def test_a_stock_client_of_the_open_protocol(
    server: Running, model_file: Path, patterns: Path
) -> None:
    paths = [patterns / label / "4.png" for label in ("checks", "stripes")]
    expected = load_classifier(model_file).predict(paths)
    with tritonclient.http.InferenceServerClient(server.url.removeprefix("http://")) as triton:
        assert triton.is_server_live()
        assert triton.is_server_ready()
        assert triton.is_model_ready("patterns")
        assert not triton.is_model_ready("none")
        assert triton.get_server_metadata()["name"] == "foveate"
        about = triton.get_model_metadata("patterns")
        images = np.array([path.read_bytes() for path in paths], np.object_)
        tensor = tritonclient.http.InferInput(about["inputs"][0]["name"], [2], "BYTES")
        tensor.set_data_from_numpy(images, binary_data=True)
        for in_binary in (True, False):
            outputs = [
                tritonclient.http.InferRequestedOutput(output["name"], binary_data=in_binary)
                for output in about["outputs"]
            ]
            for wanted in (outputs, None):
                result = triton.infer("patterns", [tensor], outputs=wanted, request_id="9")
                assert result.get_response()["id"] == "9"
                labels = [
                    label.decode() if isinstance(label, bytes) else label
                    for label in result.as_numpy("label")
                ]
                assert labels == [one.label for one in expected]
                probabilities = result.as_numpy("probabilities")
                assert probabilities.shape == (2, 3)
                np.testing.assert_allclose(
                    probabilities,
                    [list(one.probabilities.values()) for one in expected],
                    atol=1e-3,
                )
        tensor.set_data_from_numpy(np.array([b"no image", b""], np.object_))
        with pytest.raises(tritonclient.utils.InferenceServerException, match="cannot be used"):
            triton.infer("patterns", [tensor])


def metric(client: httpx.Client, line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_count_what_happens(client: httpx.Client, patterns: Path) -> None:
    counted = [
        'foveate_predictions_total{label="dots",model="patterns"}',
        'foveate_confidence_count{model="patterns"}',
        'foveate_rejections_total{reason="image_refused"}',
        'foveate_request_seconds_count{route="/predict",status="200"}',
        'foveate_request_seconds_count{route="/predict",status="422"}',
        'foveate_batch_images_sum{model="patterns"}',
        'foveate_stage_seconds_count{stage="queue"}',
    ]
    before = [metric(client, line) for line in counted]
    dots = [(patterns / "dots" / f"{i}.png").read_bytes() for i in range(3)]
    client.post("/predict", json=encoded(*dots)).raise_for_status()
    client.post("/predict", content=b"no image")
    after = [metric(client, line) for line in counted]
    assert [b - a for a, b in zip(before, after, strict=True)] == [3, 3, 1, 1, 1, 4, 4]
    assert metric(client, "foveate_workers") == 2
    assert metric(client, "foveate_queue_images") == 0
    assert metric(client, "foveate_queue_limit_images") == 64
    (model,) = client.get("/models").json()["models"]
    assert metric(client, f'foveate_model_info{{id="{model["id"]}",model="patterns"}}') == 1


def test_the_log_tells_of_requests_but_not_of_images(
    server: Running, client: httpx.Client, image: bytes
) -> None:
    client.post("/predict", json=encoded(image), headers={"x-request-id": "to-be-logged"})

    def found() -> list[dict[str, object]]:
        return [line for line in server.logged if line.get("request_id") == "to-be-logged"]

    wait_until(found)
    (line,) = found()
    assert (line["method"], line["path"], line["status"], line["images"]) == (
        "POST",
        "/predict",
        200,
        1,
    )
    assert base64.b64encode(image).decode()[:40] not in json.dumps(server.logged)


def test_the_server_imports_no_torch_and_no_mlflow(server: Running) -> None:
    for pid in (server.process.pid, *server.workers):
        loaded = {Path(one.path).name for one in psutil.Process(pid).memory_maps()}
        assert not any("torch" in name for name in loaded)


@pytest.mark.slow
def test_tokens_two_models_and_a_log_of_predictions(
    tmp_path: Path, model_file: Path, other_model_file: Path, image: bytes
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("first\n")
    log = tmp_path / "predictions.jsonl"
    arguments = [model_file, f"second={other_model_file}", "--workers", 1]
    arguments += ["--token-file", tokens, "--log-predictions", log]
    environment = {"FOVEATE_TOKENS": "from-environment"}
    with (
        serving(tmp_path / "log", *arguments, environment=environment) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        for path in ("/predict", "/models", "/metrics", "/v2/models/patterns"):
            method = "POST" if path == "/predict" else "GET"
            refused = client.request(method, path, headers={"authorization": "Bearer wrong"})
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        for path in ("/", "/health/live", "/health/ready", "/v2/health/ready", "/openapi.json"):
            assert client.get(path).status_code == 200
        shown = {"authorization": "Bearer first"}
        answers = [
            client.post("/predict", content=image, headers=shown),
            client.post("/predict?model=second", content=image, headers=shown),
            client.post(
                "/predict", content=image, headers={"authorization": "Bearer from-environment"}
            ),
        ]
        assert [one.json()["model"] for one in answers] == ["patterns", "second", "patterns"]
        tokens.write_text("second\n")
        wait_until(
            lambda: client.get("/models", headers={"authorization": "Bearer second"}).is_success
        )
        assert client.get("/models", headers=shown).status_code == 401
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [line["model"] for line in lines] == ["patterns", "second", "patterns"]
        assert lines[0]["label"] == answers[0].json()["predictions"][0]["label"]
        assert len(lines[0]["image"]) == 64
    assert "first" not in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_tls(tmp_path: Path, model_file: Path, image: bytes) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    arguments = ["--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem"]
    with serving(tmp_path / "log", model_file, "--workers", 1, *arguments) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        answer = httpx.post(f"{server.url}/predict", content=image, verify=context, timeout=30)
        assert answer.json()["predictions"][0]["label"] == "stripes"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.onnx"], "cannot be read"),
        (["MODEL", "--tls-cert", "cert.pem"], "TLS needs both"),
        (["MODEL", "--tls-cert", "no.pem", "--tls-key", "no.pem"], "no.pem"),
        (["MODEL", "--token-file", "no-tokens"], "no-tokens"),
        (["MODEL", "--port", "70000"], "--port"),
        (["MODEL", "--host", "203.0.113.1", "--port", "0"], "cannot listen on 203.0.113.1"),
        (["MODEL", "--log-predictions", "no/where.jsonl"], "cannot be logged"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    model_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(model_file) if one == "MODEL" else one for one in arguments]
    assert run(["serve", *given, "--quiet"]) == 1
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""


@pytest.mark.slow
def test_a_replaced_file_is_taken_over(
    tmp_path: Path, model_file: Path, other_model_file: Path, image: bytes
) -> None:
    path = tmp_path / "m.onnx"
    shutil.copy(model_file, path)
    with (
        serving(tmp_path / "log", path, "--workers", 1) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        first = client.post("/predict", content=image).json()["id"]
        path.write_text("half a fi")  # in place, and no model
        wait_until(lambda: metric(client, 'foveate_model_reloads_total{result="refused"}') == 1)
        assert client.post("/predict", content=image).json()["id"] == first
        shutil.copy(other_model_file, tmp_path / "new")
        (tmp_path / "new").replace(path)
        found = set()

        def replaced() -> bool:
            answer = client.post("/predict", content=image)
            assert answer.status_code == 200
            found.add(answer.json()["id"])
            return answer.json()["id"] != first

        wait_until(replaced)
        assert found == {first, load_classifier(other_model_file).id}
        assert client.get("/models").json()["models"][0]["id"] != first
        wait_until(lambda: len(server.workers) == 1)
    assert server.process.returncode == 0
