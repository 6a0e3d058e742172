"""Tensors of the Open Inference Protocol, in JSON and in binary."""

from __future__ import annotations

import base64
import json
import struct
from contextlib import suppress

import httpx
import numpy as np
import pytest
import tritonclient.http
from hypothesis import given
from hypothesis import strategies as st

from foveate.serve.http.openinference import Inference, describe, read_inference, write_inference
from foveate.serve.http.refusals import RequestRefused
from foveate.serve.models import ServedModel
from foveate.serve.settings import ServerSettings
from foveate.serve.workers.queue import ImageAnswer
from support.servers import Running

SETTINGS = ServerSettings(max_images=4)


def as_json(images: list[bytes], **more: object) -> bytes:
    data = [base64.b64encode(image).decode() for image in images]
    tensor = {"name": "image", "shape": [len(images)], "datatype": "BYTES", "data": data}
    return json.dumps({"inputs": [tensor | more]}).encode()


def as_binary(images: list[bytes]) -> tuple[bytes, str]:
    data = b"".join(struct.pack("<I", len(image)) + image for image in images)
    tensor = {
        "name": "image",
        "shape": [len(images), 1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(data)},
    }
    head = json.dumps({"id": "7", "inputs": [tensor]}).encode()
    return head + data, str(len(head))


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4))
def test_both_spellings_bring_the_images(images: list[bytes]) -> None:
    found = read_inference(as_json(images), None, SETTINGS)
    assert [upload.data for upload in found.uploads] == images
    assert found.outputs == {"label": False, "probabilities": False}
    body, length = as_binary(images)
    found = read_inference(body, length, SETTINGS)
    assert [upload.data for upload in found.uploads] == images
    assert found.id == "7"


@pytest.mark.parametrize(
    ("body", "length", "status"),
    [
        (b"", None, 422),
        (b"{}", None, 422),
        (b'{"inputs": []}', None, 422),
        (as_json([]), None, 422),
        (as_json([b"a"] * 5), None, 413),
        (as_json([b"a"], name="pixels"), None, 422),
        (as_json([b"a"], datatype="FP32"), None, 422),
        (as_json([b"a"], shape=[2]), None, 422),
        (as_json([b"a"], shape=[-1]), None, 422),
        (as_json([b"a"], data=[1.5]), None, 422),
        (as_json([b"a"], data=["*"]), None, 422),
        (as_json([b"a"]), "1000", 422),
        (as_json([b"a"]), "-1", 422),
        (as_json([b"a"]), "²", 422),
        (as_binary([b"abc"])[0][:-1], as_binary([b"abc"])[1], 422),
        (as_json([b"a"], parameters={"binary_data_size": 3}) + b"abc", None, 422),
    ],
)
def test_what_is_no_request(body: bytes, length: str | None, status: int) -> None:
    with pytest.raises(RequestRefused) as refused:
        read_inference(body, length, SETTINGS)
    assert refused.value.status == status


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_binary_is_read_or_refused(head: bytes, data: bytes) -> None:
    parameters = {"binary_data_size": len(data)}
    body = as_json([], parameters=parameters)
    for whole, length in ((body + data, str(len(body))), (head + data, str(len(head)))):
        with suppress(RequestRefused):  # anything else is a defect
            read_inference(whole, length, SETTINGS)


def test_answers_in_json_and_in_binary(served: ServedModel) -> None:
    rows = np.array([[0.2, 0.7, 0.1], [0.9, 0.05, 0.05]], np.float32)
    answers = [ImageAnswer(served, row) for row in rows]
    body, length = write_inference(
        Inference("x", [], {"label": False, "probabilities": False}), served, answers
    )
    assert length is None
    response = json.loads(body)
    assert response["id"] == "x"
    assert response["model_version"] == served.id[:12]
    assert response["outputs"][0]["data"] == ["dots", "checks"]
    assert response["outputs"][1]["shape"] == [2, 3]
    np.testing.assert_allclose(response["outputs"][1]["data"], rows.ravel(), rtol=1e-6)

    body, length = write_inference(Inference(None, [], {"probabilities": True}), served, answers)
    assert length is not None
    (output,) = json.loads(body[:length])["outputs"]
    assert output["parameters"]["binary_data_size"] == len(body) - length
    np.testing.assert_array_equal(np.frombuffer(body[length:], "<f4").reshape(2, 3), rows)


def test_the_description(served: ServedModel) -> None:
    about = describe(served)
    assert [tensor.shape for tensor in about.outputs] == [[-1], [-1, 3]]


def test_a_version_is_answered_by_or_refused(server: Running, image: bytes) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        about = client.get("/v2/models/patterns").json()
        (version,) = about["versions"]
        (model,) = client.get("/models").json()["models"]
        for known in (version, model["id"]):
            address = f"/v2/models/patterns/versions/{known}"
            assert client.get(address).json() == about
            assert client.head(address).status_code == 200
            assert client.get(f"{address}/ready").json() == {"name": "patterns", "ready": True}
        for unknown in ("1", version[:11], version.upper() + "x", "%2e%2e", "9" * 500):
            address = f"/v2/models/patterns/versions/{unknown}"
            for answer in (
                client.get(address),
                client.get(f"{address}/ready"),
                client.post(f"{address}/infer", content=b"{}"),
            ):
                assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_version")
                assert version in answer.json()["error"]
                assert len(answer.content) < 1000
        assert client.get(f"/v2/models/none/versions/{version}").status_code == 404
    with tritonclient.http.InferenceServerClient(server.url.removeprefix("http://")) as triton:
        assert triton.is_model_ready("patterns", version)
        assert not triton.is_model_ready("patterns", "1")
        assert triton.get_model_metadata("patterns", version)["versions"] == [version]
        tensor = tritonclient.http.InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([image], np.object_))
        result = triton.infer("patterns", [tensor], model_version=version)
        assert result.as_numpy("label") == [b"stripes"]
        assert result.get_response()["model_version"] == version
    page = httpx.get(f"{server.url}/metrics", timeout=30).text
    for route in ("", "/ready", "/infer"):
        assert f'route="/v2/models/NAME/versions/V{route}",status="200"' in page
