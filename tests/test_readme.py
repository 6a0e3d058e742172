"""What the README shows, works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import draw_folder
from foveate.cli import run
from support.rasters import LEFT, TOP, write_raster

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path / "history"))
    draw_folder(tmp_path / "photos", 5)
    draw_folder(tmp_path / "new-photos", 2, first=20)
    image = Image.open(tmp_path / "photos" / "dots" / "0.png").resize((300, 260))
    image.save(tmp_path / "new.jpg", quality=95)
    return tmp_path


def commands(language: str) -> list[list[str]]:
    lines = [line for block in blocks(language) for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("foveate ")]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of PyTorch's own, where it is
def test_every_command_line(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(commands("sh")) >= 6
    for command in commands("sh"):
        assert run(command[1:]) == 0, command


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of PyTorch's own
def test_every_command_that_refines(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="needs the [refine] extra")
    monkeypatch.setenv("FOVEATE_BACKBONES", str(workplace / "backbones"))
    assert len(commands("sh refine")) >= 3
    for command in commands("sh refine"):
        assert run(command[1:]) == 0, command
    shown = capsys.readouterr().out
    assert "refined (all) for 5 epochs" in shown
    assert re.search(r"learned from \d+ images/s; the device waited for images \d", shown)


@pytest.mark.slow
def test_every_command_for_imagery(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Land of 20 x 20 tiles in patches of one label, each with a texture of its own."""
    rng = np.random.default_rng(0)
    codes = np.kron(rng.choice([22, 41, 82], (10, 10)), np.ones((2, 2), int)).astype(np.uint8)
    palette = {22: (150, 140, 140), 41: (40, 90, 40), 82: (190, 170, 90)}
    land = np.array([[palette[code] for code in row] for row in codes.tolist()]).transpose(2, 0, 1)
    noisy = land.repeat(28, 1).repeat(28, 2) + rng.normal(0, 30, (1, 560, 560))
    noisy = noisy.clip(1, 255).repeat(8, 1).repeat(8, 2)
    place = {"left": LEFT // 224 * 224, "top": TOP // 224 * 224}  # a corner of the grid's
    write_raster(workplace / "imagery" / "quad_20200831.tif", noisy.astype(np.uint8), **place)
    write_raster(workplace / "landcover.tif", codes, pixel=224, nodata=0, **place)
    assert len(commands("sh aerial")) >= 4
    for command in commands("sh aerial"):
        assert run(command[1:]) == 0, command
    assert (workplace / "map" / "map.html").is_file()
    assert "Believe the first figure" in capsys.readouterr().out


def test_every_command_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    names = re.findall(r"^\| `foveate ([a-z]+)", README, re.MULTILINE)
    assert run(["--help"]) == 0
    shown = re.findall(r"^  ([a-z]+)  ", capsys.readouterr().out, re.MULTILINE)
    assert sorted(names) == sorted(shown)


def test_python(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story, plain = blocks("python")
    exec(compile(story, "README.md", "exec"), {})
    assert (workplace / "report.html").is_file()
    exec(compile(plain, "README.md", "exec"), {})
    import foveate as fv

    label = capsys.readouterr().out.strip()
    prediction = fv.load("model.onnx").predict("new.jpg")
    assert label == prediction.label


@pytest.mark.slow
def test_plain_onnxruntime_gives_our_probabilities(workplace: Path) -> None:
    import foveate as fv

    fv.train("photos/").save("model.onnx")
    _, plain = blocks("python")
    names: dict[str, object] = {}
    exec(compile(plain, "README.md", "exec"), names)
    ours = fv.load("model.onnx").predict("new.jpg").probabilities
    np.testing.assert_allclose(names["probabilities"][0], list(ours.values()), atol=0.05)
