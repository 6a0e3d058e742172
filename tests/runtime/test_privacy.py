"""Nothing is reported to the makers of the runtimes, seen by what they would leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import foveate as fv

RUNTIMES = """
import sys
import numpy as np
from foveate.backbones import find_backbone
from foveate.runtime import open_network
pack = find_backbone("efficientnet-lite0").onnx_bytes()
for runtime in ("onnxruntime", "openvino"):
    network = open_network(pack, resolution=64, runtime=runtime)
    network.run(np.zeros((1, 64, 64, 3), np.uint8))
print("openvino_telemetry" in sys.modules)
"""


class Home:
    """The folders of a user who has just come to this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        places = {"HOME": "home", "TMPDIR": "tmp", "USERPROFILE": "home"}
        places |= {f"XDG_{one}_HOME": one.lower() for one in ("CACHE", "CONFIG", "DATA", "STATE")}
        for place in places.values():
            (folder / place).mkdir(parents=True, exist_ok=True)
        # Not the rest of the environment: with CI=true in it neither runtime reports.
        self.environment = {
            "PATH": os.environ["PATH"],
            "FOVEATE_CACHE": str(folder / "foveate"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **{variable: str(folder / place) for variable, place in places.items()},
        }

    def run(self, *arguments: str | Path, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout

    @property
    def files(self) -> list[str]:
        """What was written, but for foveate's own cache."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*"))
        return sorted(
            str(path) for path in found if len(path.parts) > 1 and path.parts[0] != "foveate"
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture(scope="module")
def model(patterns: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(folder / "cache"))
        patch.setenv("FOVEATE_HISTORY", "off")
        fv.train(patterns, resolution=64).save(folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.slow
def test_predicting_leaves_nothing_behind(home: Home, model: Path, patterns: Path) -> None:
    assert "dots" in home.run("-m", "foveate", "predict", model, patterns / "dots" / "0.png")
    assert home.files == []


def test_neither_runtime_leaves_anything_behind(home: Home) -> None:
    assert home.run("-c", RUNTIMES).strip() == "False"
    assert home.files == []


@pytest.mark.slow
def test_a_worker_of_the_server_inherits_it(home: Home) -> None:
    code = (
        "import os, subprocess, sys, foveate.serve.workers.worker\n"
        "show = 'import os; print(os.environ[\"ORT_DISABLE_TELEMETRY\"])'\n"
        "subprocess.run([sys.executable, '-c', show], check=True)"
    )
    assert home.run("-c", code).strip() == "1"
    assert home.files == []


def test_what_the_user_has_set_stays(home: Home) -> None:
    code = "import os, foveate.runtime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert home.run("-c", code, ORT_DISABLE_TELEMETRY="0").strip() == "0"


@pytest.mark.slow
def test_the_users_own_programs_may_report(home: Home) -> None:
    pytest.importorskip("openvino_telemetry")
    after = (
        "import foveate.runtime.openvino, foveate.runtime.openvino_ir\n"
        "import openvino_telemetry; print(openvino_telemetry.Telemetry.__name__)"
    )
    before = (
        "import sys, openvino_telemetry as mine, foveate.runtime.openvino\n"
        "print(sys.modules['openvino_telemetry'] is mine)"
    )
    assert home.run("-c", after).strip() == "Telemetry"
    assert home.run("-c", before).strip() == "True"
    assert home.files == []
