"""From a source to a classifier, end to end on small images."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from conftest import draw_folder
from foveate.errors import SourceError, TooFewImages
from foveate.settings import Settings
from foveate.workflow.training import train_classifier

SMALL = Settings(resolution=64)


def small(**changes: object) -> Settings:
    return Settings(resolution=64, **changes)


@pytest.mark.parametrize("kind", ["svm", "logistic", "forest"])
def test_train_learns_the_patterns(patterns: Path, kind: str) -> None:
    training = train_classifier(patterns, small(classifier=kind, trees=64))
    assert training.evaluation.accuracy.value >= 0.7
    assert training.evaluation.n == 9
    assert training.classifier.labels == ("checks", "dots", "stripes")
    assert not set(training.split.train) & set(training.split.test)


def test_the_same_seed_gives_the_same_file(patterns: Path, tmp_path: Path) -> None:
    one, other = (train_classifier(patterns, SMALL) for _ in range(2))
    assert one.classifier.onnx_bytes == other.classifier.onnx_bytes
    third = train_classifier(patterns, small(seed=1))
    assert third.split != one.split


@pytest.mark.slow
def test_frozen_training_is_not_about_fine_tuning(patterns: Path) -> None:
    code = (
        "import sys; from foveate.settings import Settings; "
        "from foveate.workflow.training import train_classifier; "
        f"train_classifier({str(patterns)!r}, Settings(resolution=64)); "
        "print([name for name in sys.modules if name.startswith(('foveate.finetune', 'torch'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_given_split(tmp_path: Path) -> None:
    draw_folder(tmp_path / "train", 8)
    for label in (tmp_path / "train").iterdir():
        target = tmp_path / "test" / label.name
        target.mkdir(parents=True)
        for name in ("6.png", "7.png"):
            (label / name).rename(target / name)
    training = train_classifier(tmp_path, SMALL)
    assert training.evaluation.n == 6
    assert {Path(path).name for path in training.predictions.paths} == {"6.png", "7.png"}


def test_list_of_test_files(patterns: Path, tmp_path: Path) -> None:
    names = ["checks/0.png", "dots/4.png", "stripes/11.png"]
    listed = tmp_path / "test.txt"
    listed.write_text("\n".join(names))
    training = train_classifier(patterns, small(test_list=str(listed)))
    assert [str(Path(p).relative_to(patterns)) for p in training.predictions.paths] == names


def test_table_of_paths(patterns: Path, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows(
            [path, "round" if path.parent.name == "dots" else "straight"]
            for path in sorted(patterns.rglob("*.png"))
        )
    training = train_classifier(table, SMALL)
    assert training.classifier.labels == ("round", "straight")
    assert training.evaluation.n == 9


def test_copies_never_straddle(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path, 6)
    for path in list(folder.rglob("*.png")):
        # A slope of light, as photographs have it: in flat areas the hash is noise.
        slope = Image.linear_gradient("L").resize((96, 96)).rotate(30, expand=False)
        image = Image.blend(Image.open(path), slope.convert("RGB"), 0.5)
        image = image.filter(ImageFilter.GaussianBlur(2))
        image.save(path)
        image.save(path.with_suffix(".jpg"), quality=95)
    training = train_classifier(folder, SMALL)
    side = training.split.sides()
    sides: dict[str, set[str]] = {}
    for row in training.prepared.catalog.rows:
        original = str(Path(row.path).with_suffix(""))
        sides.setdefault(original, set()).add(side[row.facts.id])
    assert all(len(found) == 1 for found in sides.values())
    assert training.duplicates.near >= 18


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda f: (f / "plain").mkdir(), TooFewImages, "‘plain’ has no images"),
        (
            lambda f: [p.unlink() for p in (f / "dots").iterdir() if p.name != "0.png"],
            TooFewImages,
            "‘dots’ has 1 image; at least 2",
        ),
        (
            lambda f: [p.write_bytes(b"") for p in (f / "dots").iterdir()],
            TooFewImages,
            "None of the images of ‘dots’ can be used",
        ),
    ],
)
def test_hopeless_labels(
    tmp_path: Path, spoil: object, error: type[Exception], message: str
) -> None:
    folder = draw_folder(tmp_path / "source", 3)
    spoil(folder)
    with pytest.raises(error, match=message):
        train_classifier(folder, SMALL)
    spared = "plain" if "plain" in message else "dots"
    assert train_classifier(folder, small(exclude=(spared,))).evaluation.n > 0


def test_hopeless_sources(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no folder or file"):
        train_classifier(tmp_path / "none")
    with pytest.raises(SourceError, match="holds no files"):
        train_classifier(tmp_path)
    draw_folder(tmp_path / "all", 2)
    with pytest.raises(SourceError, match="have no labels"):
        train_classifier(tmp_path / "all" / "dots")
    with pytest.raises(SourceError, match="only one label"):
        train_classifier(tmp_path)


def test_two_images_a_label_are_enough(tmp_path: Path) -> None:
    training = train_classifier(draw_folder(tmp_path, 2), SMALL)
    assert training.evaluation.n == 3
    assert training.head.search == ()


def test_progress_tells_the_stage(patterns: Path) -> None:
    stages: list[str] = []
    train_classifier(patterns, SMALL, progress=lambda stage, done, total: stages.append(stage))
    assert stages[-1] == "head"
    assert set(stages) == {"features", "head"}
