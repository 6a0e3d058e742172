"""Schemathesis reads /openapi.json and tries whatever that allows, and whatever it does not.

All its checks are on, and none of them is weakened. One does not apply to images that it makes up:
that what fits the schema is accepted, since no schema can say what a JPEG is. It is on for the
examples in the description, which are real.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.servers import Running, serving

pytestmark = pytest.mark.slow

TOKEN = "sesame"
SHOWN = ("--header", f"Authorization: Bearer {TOKEN}")
MADE_UP = ("--exclude-checks", "positive_data_acceptance")


def explore(server: Running, folder: Path, phases: str, examples: int, *options: str) -> int:
    """Let schemathesis look for defects.

    Args:
        server: the one to break.
        folder: where schemathesis may write.
        phases: of it, see `schemathesis run --help`.
        examples: most requests an operation and phase.
        options: of it, besides.

    Returns:
        How many requests it made; an AssertionError shows what it found.
    """
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += ["run", f"{server.url}/openapi.json", "--no-color", "--seed", "0"]
    command += ["--checks", "all", "--phases", phases, "--max-examples", str(examples)]
    command += ["--generation-database", "none", "--continue-on-failure", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if phases != "examples":
        assert "Tested: 16" in done.stdout  # every operation
    assert "nresolvable" not in done.stdout
    generated = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert generated is not None, done.stdout
    return int(generated[1])


def check_statuses(server: Running) -> None:
    """No status of 500 or above was given, whatever schemathesis makes of it."""
    shown = {"authorization": f"Bearer {TOKEN}"}
    page = httpx.get(f"{server.url}/metrics", headers=shown, timeout=30).text
    statuses = set(re.findall(r'foveate_request_seconds_count\{.*status="(\w+)"', page))
    assert statuses >= {"200", "405", "422"}
    assert max(statuses) < "500"


def test_the_examples_are_accepted(server: Running, tmp_path: Path) -> None:
    assert explore(server, tmp_path, "examples", 1) >= 2


def test_a_short_exploration(server: Running, tmp_path: Path) -> None:
    assert explore(server, tmp_path, "coverage", 1, *MADE_UP) > 50
    check_statuses(server)


@pytest.mark.parametrize(
    ("tokens", "examples"), [("none wanted", 30), ("shown", 60), ("not shown", 30)]
)
def test_a_long_exploration(tmp_path: Path, model_file: Path, tokens: str, examples: int) -> None:
    environment = {} if tokens == "none wanted" else {"FOVEATE_TOKENS": TOKEN}
    options = SHOWN if tokens == "shown" else ()
    arguments = [model_file, "--workers", 2, "--max-body", 1]
    with serving(tmp_path / "log", *arguments, environment=environment) as server:
        workers = server.workers
        phases = "examples,coverage,fuzzing,stateful"
        count = explore(server, tmp_path, phases, examples, *options, *MADE_UP)
        print(f"tokens {tokens}: {count} requests")  # noqa: T201
        assert count > 7 * examples
        if tokens != "not shown":
            check_statuses(server)
        assert server.workers == workers
        assert '"trace"' not in (tmp_path / "log").read_text()


def test_the_description_asks_for_tokens_only_where_the_server_does(
    server: Running, tmp_path: Path, model_file: Path
) -> None:
    def secured(url: str) -> set[str]:
        description = httpx.get(f"{url}/openapi.json", timeout=30).json()
        paths = description["paths"]
        return {path for path in paths if any("security" in one for one in paths[path].values())}

    assert secured(server.url) == set()
    environment = {"FOVEATE_TOKENS": TOKEN}
    arguments = [model_file, "--workers", 1]
    with serving(tmp_path / "log", *arguments, environment=environment) as other:
        found = secured(other.url)
        assert {"/predict", "/models", "/metrics", "/v2/models/{name}/infer"} <= found
        for path in ("/", "/health/live", "/openapi.json", "/v2"):
            assert path not in found
            assert httpx.get(other.url + path, timeout=30).status_code == 200
