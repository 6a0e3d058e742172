"""Files that are read again because somebody says so, and what the metrics tell about it."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import httpx
import pytest

from support.servers import serving, wait_until


def gauges(client: httpx.Client) -> dict[str, float]:
    """What the metrics say about the file of the one classifier."""
    page = client.get("/metrics", headers={"authorization": "Bearer watcher"}).text
    found = re.findall(r'^foveate_model_(\w+)\{model="m"\} (\S+)$', page, re.MULTILINE)
    return {name: float(value) for name, value in found if not name.endswith("_created")}


@pytest.mark.slow
def test_a_reload_by_hand(
    tmp_path: Path, model_file: Path, other_model_file: Path, image: bytes
) -> None:
    path = tmp_path / "m.onnx"
    shutil.copy(model_file, path)
    environment = {"FOVEATE_TOKENS": "ops:admin:boss,bare,watch:metrics:watcher"}
    boss = {"authorization": "Bearer boss"}
    bare = {"authorization": "Bearer bare"}
    with (
        serving(tmp_path / "log", path, "--workers", 1, environment=environment) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        first = client.get("/models", headers=bare).json()["models"][0]["id"]
        began = gauges(client)
        assert began == {
            "loaded_timestamp_seconds": pytest.approx(time.time(), abs=60),
            "reload_failed": 0,
            "reload_failures_total": 0,
        }
        for headers, status in ((bare, 403), ({}, 401)):
            assert client.post("/admin/reload", headers=headers).status_code == status
        assert client.get("/admin/reload", headers=boss).status_code == 405
        unchanged = client.post("/admin/reload", headers=boss)
        assert unchanged.json() == {"models": [{"name": "m", "id": first, "changed": False}]}

        shutil.copy(other_model_file, tmp_path / "new")
        (tmp_path / "new").replace(path)
        taken = client.post("/admin/reload", headers=boss).json()["models"]
        second = client.get("/models", headers=bare).json()["models"][0]["id"]
        assert second != first
        # Unless the look of each second was first.
        assert taken in ([{"name": "m", "id": second, "changed": one}] for one in (True, False))
        assert client.post("/predict", content=image, headers=bare).json()["id"] == second
        assert gauges(client)["loaded_timestamp_seconds"] > began["loaded_timestamp_seconds"]

        path.write_bytes(b"no model")
        refused = client.post("/admin/reload", headers=boss)
        assert (refused.status_code, refused.json()["reason"]) == (422, "model_refused")
        assert "‘m’ stays as it was" in refused.json()["error"]
        assert gauges(client)["reload_failed"] == 1
        assert gauges(client)["reload_failures_total"] >= 1
        assert client.post("/predict", content=image, headers=bare).json()["id"] == second

        shutil.copy(other_model_file, path)  # the one that is served
        assert client.post("/admin/reload", headers=boss).status_code == 200
        wait_until(lambda: gauges(client)["reload_failed"] == 0)


@pytest.mark.slow
@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 200), ("0.0.0.0", 403)])
def test_without_tokens_who_sits_at_the_machine_may(
    tmp_path: Path, model_file: Path, host: str, status: int
) -> None:
    with serving(tmp_path / "log", model_file, "--workers", 1, "--host", host) as server:
        url = f"http://127.0.0.1:{server.port}/admin/reload"
        assert httpx.post(url, timeout=60).status_code == status
        page = httpx.post(url, headers={"origin": "http://evil.example"}, timeout=60)
        assert page.status_code == 403
