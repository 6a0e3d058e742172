"""Backbones in the user's folder, without PyTorch: cards, lookup, speed, command line."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from foveate.backbones import Backbone, Card, add_backbone, bench, find_backbone, list_backbones
from foveate.backbones.registry import user_folder
from foveate.cli import run
from foveate.errors import BackboneError

EMBEDDED = "efficientnet-lite0"


@pytest.fixture
def added(own_backbones: Path) -> Backbone:
    """A copy of the embedded backbone under another name, that takes 64 pixels a side only."""
    embedded = find_backbone(EMBEDDED)
    card = embedded.card.model_copy(
        update={"name": "timm-small", "resolution": 64, "fixed_resolution": 64}
    )
    shutil.copy(embedded.path, own_backbones / "timm-small.onnx")
    (own_backbones / "timm-small.json").write_text(card.model_dump_json())
    return Backbone(card, own_backbones / "timm-small.onnx")


def test_the_environment_moves_the_folder(
    own_backbones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert user_folder() == own_backbones
    monkeypatch.delenv("FOVEATE_BACKBONES")
    assert user_folder().parts[-2:] == ("foveate", "backbones")


def test_is_listed_after_the_embedded_one(added: Backbone) -> None:
    assert [one.card.name for one in list_backbones()] == [EMBEDDED, "timm-small"]


@pytest.mark.parametrize("typed", ["timm-small", "timm:small"])
def test_is_found_as_listed_and_as_typed(added: Backbone, typed: str) -> None:
    assert find_backbone(typed) == added
    assert find_backbone(typed).onnx_bytes() == find_backbone(EMBEDDED).onnx_bytes()
    assert find_backbone(typed).weights.name == "timm-small.safetensors"


def test_missing_one_says_how_to_add_it() -> None:
    with pytest.raises(BackboneError, match="foveate backbones add timm:convnext_tiny`"):
        find_backbone("timm:convnext_tiny")
    with pytest.raises(BackboneError, match="resnet18") as caught:
        find_backbone("resnet18")
    assert EMBEDDED in str(caught.value)
    with pytest.raises(BackboneError) as caught:
        find_backbone("no such thing")
    assert "add" not in str(caught.value)


def test_names_do_not_lead_out_of_the_folder(added: Backbone, own_backbones: Path) -> None:
    (own_backbones / "below").mkdir()
    for name in ("below/../timm-small", str(own_backbones / "timm-small"), "../timm-small", ".."):
        with pytest.raises(BackboneError, match="There is no backbone"):
            find_backbone(name)


def test_fixed_resolution_is_said_where_it_is_used(added: Backbone) -> None:
    assert find_backbone("timm:small", resolution=64) == added
    with pytest.raises(BackboneError, match=r"`--resolution 64`.*_lite0 --resolution 224`"):
        find_backbone("timm:small", resolution=224)
    find_backbone(EMBEDDED, resolution=448)


def test_training_at_another_resolution_is_a_sentence(
    added: Backbone, patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(patterns), "--backbone", "timm:small", "--json"]
    assert run([*command, "--out", str(tmp_path / "m.onnx")]) == 1
    assert "takes images of 64 pixels" in json.loads(capsys.readouterr().out)["error"]
    assert run([*command, "--out", str(tmp_path / "m.onnx"), "--resolution", "64"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["accuracy"] > 0.5


def test_damaged_card_is_a_sentence(own_backbones: Path) -> None:
    (own_backbones / "resnet18.json").write_text("{}")
    with pytest.raises(BackboneError, match=r"resnet18\.json cannot be read"):
        find_backbone("resnet18")
    assert find_backbone(EMBEDDED).card.name == EMBEDDED


def test_cards_from_before_can_be_read() -> None:
    fields = find_backbone(EMBEDDED).card.model_dump()
    assert fields["reference"] == "timm:tf_efficientnet_lite0"
    del fields["reference"], fields["fixed_resolution"]
    assert Card.model_validate(fields).fixed_resolution is None


def test_what_comes_with_foveate_need_not_be_added(tmp_path: Path) -> None:
    assert add_backbone("timm:tf_efficientnet_lite0") == find_backbone(EMBEDDED)
    with pytest.raises(BackboneError, match="comes with foveate"):
        add_backbone(EMBEDDED, tmp_path / "weights.pth")
    with pytest.raises(BackboneError, match=r"any size.*--backbone efficientnet-lite0 --resol"):
        add_backbone(EMBEDDED, resolution=320)


def test_without_pytorch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveate.backbones.extra.NEEDED", ("sys", "no_such_torch"))
    with pytest.raises(BackboneError, match=r"pip install 'foveate\[refine\]'"):
        add_backbone("resnet18")


def test_list_add_and_bench_do_not_import_torch(added: Backbone) -> None:
    import subprocess

    code = (
        "import sys; from foveate.cli import run; run(['backbones', 'list', '--json']); "
        "import foveate.backbones.bench; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_speed_is_measured_and_remembered(added: Backbone) -> None:
    assert bench.known_speed(added) is None
    speed = bench.measure_speed(added, 64, seconds=0.05)
    assert speed.images_per_second > 1
    assert speed.resolution == 64
    assert bench.known_speed(added) == speed
    again = bench.measure_speed(added, 64, seconds=0.05)
    assert bench.known_speeds() == [again]
    other = Backbone(added.card.model_copy(update={"pack_sha256": "0" * 64}), added.path)
    assert bench.known_speed(other) is None
    assert [one.card.name for one in list_backbones()] == [EMBEDDED, "timm-small"]


def test_damaged_memory_of_speeds_is_no_memory(added: Backbone, own_backbones: Path) -> None:
    bench.measure_speed(added, 64, seconds=0.01)
    (file,) = (own_backbones / "speed").iterdir()
    file.write_text("[1]")
    assert bench.known_speeds() == []


def test_command_line(
    added: Backbone, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.measure_speed, "__kwdefaults__", {"seconds": 0.05})
    assert run(["backbones", "list"]) == 0
    shown = capsys.readouterr()
    assert "64 px only" in shown.out
    assert "foveate backbones bench" in shown.err
    assert run(["backbones", "bench", "timm:small", "--resolution", "64", "--json"]) == 0
    (speed,) = json.loads(capsys.readouterr().out)["speeds"]
    assert speed["backbone"] == "timm-small"
    assert run(["backbones", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["backbones"]
    assert found[1]["images_per_second"] == speed["images_per_second"]
    assert found[0]["images_per_second"] is None
    assert run(["backbones", "bench", "timm:small", "--resolution", "128"]) == 1
    assert "takes images of 64" in capsys.readouterr().err
    assert run(["backbones", "bench", "--resolution", "128"]) == 0
    assert "timm-small" not in capsys.readouterr().out
    assert run(["backbones", "add", EMBEDDED]) == 0
    assert "Apache-2.0" in capsys.readouterr().out
    assert run(["backbones", "add", EMBEDDED, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == EMBEDDED
    assert run(["backbones", "add", "keras:vgg", "--json"]) == 1
    assert "keras" in json.loads(capsys.readouterr().out)["error"]
