"""Refining on several machines: the image's recipe, and the script that calls torchrun.

No container engine is needed. The script runs here, on this machine alone and without a GPU. What
holds for every recipe is checked in `test_dockerfile.py`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from support.recipes import DEPLOY, REFINE, ROOT, list_requirements, project, with_our_programs

SCRIPT = DEPLOY / "refine" / "torchrun.sh"
MANIFEST = DEPLOY / "pytorchjob.yaml"


def test_the_manifest_runs_as_its_user() -> None:
    job = yaml.safe_load(MANIFEST.read_text())
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        context = replica["template"]["spec"]["securityContext"]
        assert f"{context['runAsUser']}:{context['fsGroup']}" == REFINE.last("USER")


def test_what_refines_is_installed_and_pinned(tmp_path: Path) -> None:
    found = list_requirements(REFINE, tmp_path)
    pinned = (ROOT / "constraints.txt").read_text()
    for package in ("torch", "torchvision", "timm"):
        assert any(line.startswith(f"{package}>") for line in found)
        assert f"\n{package}==" in pinned


def test_the_manifest_names_this_image() -> None:
    image = f"foveate-refine:{project()['version']}"
    assert f"-t {image} ." in REFINE.text
    job = yaml.safe_load(MANIFEST.read_text())
    for replica in job["spec"]["pytorchReplicaSpecs"].values():
        assert replica["template"]["spec"]["containers"][0]["image"] == image
    assert json.loads(REFINE.last("CMD"))[0] == "foveate"


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
