"""Cloth: it repeats without a seam, and each texture has the structure of its name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from foveate.demo.textures import TEXTURES, TILE, Texture, periodic_noise


def sampled(texture: Texture, left: float = 0.0) -> npt.NDArray[np.float32]:
    """One tile's worth of cloth, grey, (TILE, TILE) float32."""
    y, x = np.mgrid[:TILE, :TILE].astype(np.float32)
    return texture.at(x + np.float32(left), y).astype(np.float32).mean(0)


def unturned(texture: Texture) -> Texture:
    return Texture(texture.tile, 0.0)


@pytest.mark.parametrize("label", TEXTURES)
def test_repeats_in_both_directions(label: str) -> None:
    texture = unturned(TEXTURES[label](np.random.default_rng(3), 20.0))
    y, x = np.mgrid[:40, :40].astype(np.float32)
    here = texture.at(x, y)
    for right, down in ((TILE, 0), (0, -TILE), (-3 * TILE, 2 * TILE)):
        assert np.array_equal(texture.at(x + right, y + down), here)


@pytest.mark.parametrize("label", TEXTURES)
@pytest.mark.parametrize("pitch", [3.5, 17.0, 60.0, 200.0])
def test_no_seam_where_tiles_meet(label: str, pitch: float) -> None:
    # Across the seam, neighbours differ no more than elsewhere.
    for seed in range(6):
        cloth = unturned(TEXTURES[label](np.random.default_rng(seed), pitch))
        grey = sampled(cloth, left=TILE / 2)
        for lines in (grey, np.roll(sampled(cloth), TILE // 2, axis=0).T):
            steps = np.abs(np.diff(lines, axis=1)).mean(0)
            assert steps[TILE // 2 - 1] <= steps.max() * 1.001
            assert steps[TILE // 2 - 1] < np.percentile(steps, 90) + 12


def test_stripes_vary_across_and_not_along() -> None:
    ratios = []
    for seed in range(12):
        grey = sampled(unturned(TEXTURES["striped"](np.random.default_rng(seed), 24.0)))
        ratios.append(grey.mean(1).std() / (grey.mean(0).std() + 1e-3))
    assert np.median(ratios) > 5


@pytest.mark.parametrize("label", ["dotted", "leopard"])
def test_spots_vary_in_both_directions(label: str) -> None:
    for seed in range(12):
        grey = sampled(unturned(TEXTURES[label](np.random.default_rng(seed), 40.0)))
        assert grey.std() > 1.5 * max(grey.mean(0).std(), grey.mean(1).std())


def test_noise_is_smooth_and_periodic() -> None:
    noise = periodic_noise(np.random.default_rng(0), 6)
    assert noise.shape == (TILE, TILE)
    around = np.abs(noise - np.roll(noise, 1, axis=1))
    assert around[:, 0].max() <= 1.5 * around[:, 1:].max()
    assert 0.4 < noise.std() < 1.4
