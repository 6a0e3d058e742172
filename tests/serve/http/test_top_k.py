"""Only the most probable labels."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import tritonclient.http
from hypothesis import given
from hypothesis import strategies as st

from foveate.serve.workers.queue import most_probable
from support.servers import Running

INFER = "/v2/models/patterns/infer"


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3]), min_size=1, max_size=9), st.integers(1, 12))
def test_the_largest_come_first_and_of_equal_ones_the_first(values: list[float], k: int) -> None:
    row = np.array(values, np.float32)
    expected = sorted(range(len(row)), key=lambda index: (-row[index], index))[:k]
    assert most_probable(row, k).tolist() == expected
    assert most_probable(np.stack([row, row]), k).tolist() == [expected] * 2
    assert expected[0] == row.argmax()


@pytest.mark.slow
def test_of_predict(client: httpx.Client, image: bytes) -> None:
    (whole,) = client.post("/predict", content=image).json()["predictions"]
    ranked = sorted(whole["probabilities"].items(), key=lambda one: -one[1])
    assert len(ranked) == 3
    for k in (1, 2, 3, 99):
        (found,) = client.post(f"/predict?top_k={k}", content=image).json()["predictions"]
        assert list(found["probabilities"]) == [label for label, _ in ranked[:k]]
        assert found["probabilities"] == pytest.approx(dict(ranked[:k]), abs=1e-5)
        assert found["label"] == whole["label"] == ranked[0][0]
        assert found["probability"] == pytest.approx(whole["probability"])


@pytest.mark.slow
@pytest.mark.parametrize("k", ["0", "-1", "x", "1.5", "", "9" * 5000, "1&top_k=x"])
def test_what_is_no_number_of_labels(client: httpx.Client, image: bytes, k: str) -> None:
    answer = client.post(f"/predict?top_k={k}", content=image)
    assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_request")
    assert len(answer.content) < 1000


@pytest.mark.slow
def test_of_the_open_protocol(server: Running, client: httpx.Client, image: bytes) -> None:
    (whole,) = client.post("/predict", content=image).json()["predictions"]
    ranked = sorted(whole["probabilities"], key=lambda label: -whole["probabilities"][label])
    with tritonclient.http.InferenceServerClient(server.url.removeprefix("http://")) as triton:
        tensor = tritonclient.http.InferInput("image", [2], "BYTES")
        tensor.set_data_from_numpy(np.array([image, image], np.object_))
        for k in (1, 2, 9):
            result = triton.infer("patterns", [tensor], parameters={"top_k": k})
            labels, rows = result.as_numpy("label"), result.as_numpy("probabilities")
            assert labels.shape == rows.shape == (2, min(k, 3))
            assert [one.decode() for one in labels[1]] == ranked[:k]
            assert rows[0].tolist() == pytest.approx(
                [whole["probabilities"][label] for label in ranked[:k]], abs=1e-5
            )


@pytest.mark.slow
@pytest.mark.parametrize("k", [0, -1, True, 1.5, "1"])
def test_what_the_open_protocol_does_not_take(
    client: httpx.Client, image: bytes, k: object
) -> None:
    data = [base64.b64encode(image).decode()]
    inputs = [{"name": "image", "shape": [1], "datatype": "BYTES", "data": data}]
    answer = client.post(INFER, json={"inputs": inputs, "parameters": {"top_k": k}})
    assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_request")
