"""Rounding depthwise kernels."""

from __future__ import annotations

import numpy as np

from foveate.backbones.rounding import nearest_bfloat16, round_keeping_sums


def test_bfloat16_has_eight_bits() -> None:
    values = nearest_bfloat16(np.array([1.0, 1 / 3, -1 / 3, 0.0, 1000.0]))
    np.testing.assert_allclose(values, [1, 0.333984375, -0.333984375, 0, 1000])


def test_sums_survive() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 20, (64, 1, 3, 3))
    kernel -= kernel.mean(axis=(1, 2, 3), keepdims=True) - 0.01  # sees differences, not means
    rounded = round_keeping_sums(kernel)
    assert rounded.shape == kernel.shape
    np.testing.assert_array_equal(rounded, nearest_bfloat16(rounded))
    np.testing.assert_allclose(rounded, kernel, rtol=0.05, atol=0.2)
    lost = np.abs((rounded - kernel).sum(axis=(1, 2, 3)))
    plain = np.abs((nearest_bfloat16(kernel) - kernel).sum(axis=(1, 2, 3)))
    assert lost.mean() < plain.mean() / 10
