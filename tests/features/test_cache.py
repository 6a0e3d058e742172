"""Features on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.backbones import find_backbone
from foveate.features import FeatureCache, feature_key
from foveate.image import Resize


def row(number: int) -> np.ndarray:
    return np.full(4, number, np.float32)


def test_found_again_by_another_run(tmp_path: Path) -> None:
    first = FeatureCache(tmp_path, 4)
    for number in range(5):
        first.add(f"id{number}", row(number))
    first.flush()
    second = FeatureCache(tmp_path, 4)
    assert "id3" in second
    assert "id9" not in second
    np.testing.assert_array_equal(second.load(["id3", "id0", "id3"])[:, 0], [3, 0, 3])


def test_what_was_not_flushed_is_not_there(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, 4)
    cache.add("a", row(1))
    assert "a" not in FeatureCache(tmp_path, 4)


def test_unknown_image(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        FeatureCache(tmp_path, 4).load(["a"])


def test_damaged_file_is_ignored(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, 4)
    cache.add("a", row(1))
    cache.flush()
    (path,) = tmp_path.glob("*.parquet")
    path.write_bytes(path.read_bytes()[:50])
    assert "a" not in FeatureCache(tmp_path, 4)


def test_two_runs_write_at_once(tmp_path: Path) -> None:
    one, other = FeatureCache(tmp_path, 4), FeatureCache(tmp_path, 4)
    for cache, number in ((one, 1), (other, 2)):
        cache.add("same", row(number))
        cache.add(f"own{number}", row(number))
        cache.flush()
    both = FeatureCache(tmp_path, 4)
    assert both.load(["own1", "own2"])[:, 0].tolist() == [1, 2]
    assert both.load(["same"])[0, 0] in (1, 2)


@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=6), order=st.randoms())
def test_any_order_in_any_files(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]], order: object
) -> None:
    folder = tmp_path_factory.mktemp("features")
    cache = FeatureCache(folder, 4)
    for part in parts:
        for number in part:
            if f"{number}" not in cache:
                cache.add(f"{number}", row(number))
        cache.flush()
    wanted = sorted({number for part in parts for number in part})
    order.shuffle(wanted)
    found = FeatureCache(folder, 4).load([f"{number}" for number in wanted])
    assert found[:, 0].tolist() == wanted


def test_key_tells_everything_apart() -> None:
    card = find_backbone("efficientnet-lite0").card
    other = card.model_copy(update={"pack_sha256": "0" * 64})
    keys = {
        feature_key(card, Resize(224), "bfloat16"),
        feature_key(card, Resize(224), "float32"),
        feature_key(card, Resize(448), "bfloat16"),
        feature_key(card, Resize(224, "squash"), "bfloat16"),
        feature_key(other, Resize(224), "bfloat16"),
    }
    assert len(keys) == 5
    # Until 2, features in int8 were wrong on processors without VNNI.
    assert "-int8s2-" in feature_key(card, Resize(224), "int8")
