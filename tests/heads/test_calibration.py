from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.heads.calibration import fit_temperature


def drawn(n: int, temperature: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and labels drawn from softmax(scores / temperature)."""
    random = np.random.default_rng(seed)
    scores = random.standard_normal((n, 4)).astype(np.float32)
    noise = random.gumbel(size=scores.shape)
    return scores, (scores / temperature + noise).argmax(1)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(20_000, temperature, 0)) == pytest.approx(temperature, rel=0.05)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_the_temperature_scales_with_the_scores(seed: int, scale: float) -> None:
    scores, codes = drawn(300, 0.5, seed)
    scaled = fit_temperature(scores * np.float32(scale), codes)
    assert scaled == pytest.approx(scale * fit_temperature(scores, codes), rel=1e-2)


def test_perfect_separation_does_not_make_certain() -> None:
    scores = np.where(np.eye(3, dtype=bool)[np.arange(30) % 3], 1.0, 0.0).astype(np.float32)
    temperature = fit_temperature(scores, np.arange(30) % 3)
    right = 1 / (1 + 2 * np.exp(-1 / temperature))
    assert right == pytest.approx(31 / 32, abs=1e-3)


def test_useless_scores_make_probabilities_even() -> None:
    scores, codes = drawn(300, 0.5, 0)
    assert fit_temperature(-scores, codes) == pytest.approx(100, rel=0.01)
