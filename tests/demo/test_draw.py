"""The files of the demonstration: how many, the same again, going on after a stop."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from foveate.demo import draw_garments
from foveate.demo.draw import counts
from foveate.errors import SettingsError

COUNT = 12


def digests(folder: Path) -> dict[str, str]:
    """Relative path → digest of the bytes, of every file."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def garments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("garments")
    draw_garments(folder, count=COUNT, workers=2)
    return folder


def test_labels_and_names(garments: Path) -> None:
    assert list(digests(garments)) == [
        f"{label}/{label}_{number:04d}.jpg"
        for label, images in counts(COUNT).items()
        for number in range(1, images + 1)
    ]
    assert sorted(folder.name for folder in garments.iterdir()) == ["dotted", "leopard", "striped"]


def test_images_are_photographs_of_the_expected_size(garments: Path) -> None:
    for path in garments.glob("*/*.jpg"):
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert 300 <= image.width <= 340
            assert 380 <= image.height <= 420
        assert 4_000 < path.stat().st_size < 80_000


def test_no_image_twice(garments: Path) -> None:
    assert len(set(digests(garments).values())) == COUNT


def test_same_bytes_whatever_the_number_of_workers(garments: Path, tmp_path: Path) -> None:
    draw_garments(tmp_path, count=COUNT, workers=1)
    assert digests(tmp_path) == digests(garments)


def test_goes_on_where_it_was(garments: Path, tmp_path: Path) -> None:
    # Fewer images, then one of them lost: as a run leaves it that was killed.
    draw_garments(tmp_path, count=6)
    (tmp_path / "striped" / "striped_0001.jpg").unlink()
    kept = tmp_path / "dotted" / "dotted_0001.jpg"
    written = kept.stat().st_mtime_ns
    draw_garments(tmp_path, count=COUNT)
    assert digests(tmp_path) == digests(garments)
    assert kept.stat().st_mtime_ns == written


def test_another_seed_draws_other_images(garments: Path, tmp_path: Path) -> None:
    draw_garments(tmp_path, count=3, seed=1)
    assert not set(digests(tmp_path).values()) & set(digests(garments).values())


def test_progress_counts_every_image(tmp_path: Path) -> None:
    seen: list[int] = []
    draw_garments(tmp_path, count=4, progress=seen.append)
    assert seen == [1, 2, 3, 4]


def test_stopping_leaves_only_whole_files(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_garments(tmp_path, count=COUNT, workers=2, progress=stop)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert 1 <= len(left) < COUNT
    assert all(path.suffix == ".jpg" for path in left)


def test_shares_of_the_labels() -> None:
    assert counts(428) == {"dotted": 121, "leopard": 137, "striped": 170}
    assert counts(3) == {"dotted": 1, "leopard": 1, "striped": 1}
    for count in range(3, 200):
        dealt = counts(count)
        assert sum(dealt.values()) == count
        assert min(dealt.values()) >= 1
        assert abs(dealt["striped"] - count * 170 / 428) < 2


def test_a_larger_set_holds_every_smaller_one() -> None:
    for count in range(3, 200):
        more = counts(count + 1)
        assert all(images <= more[label] for label, images in counts(count).items())


def test_too_few_images_is_a_sentence() -> None:
    with pytest.raises(SettingsError, match="ask for 3 or more"):
        counts(2)
