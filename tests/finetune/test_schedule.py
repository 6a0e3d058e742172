from __future__ import annotations

import pytest

from foveate.finetune.schedule import WARM_UP, layer_factors, rate_factor


def test_step_is_twenty_twenty_five_of_forty_five_epochs() -> None:
    factors = [rate_factor("step", epoch / 45) for epoch in range(45)]
    assert factors[:20] == [1.0] * 20
    assert factors[20:40] == pytest.approx([0.1] * 20)
    assert factors[40:] == pytest.approx([0.01] * 5)


def test_cosine_rises_then_falls_to_zero() -> None:
    assert rate_factor("cosine", 0) == 0
    assert rate_factor("cosine", WARM_UP) == pytest.approx(1)
    assert rate_factor("cosine", (1 + WARM_UP) / 2) == pytest.approx(0.5)
    assert rate_factor("cosine", 1) == pytest.approx(0)
    falling = [rate_factor("cosine", WARM_UP + i / 100) for i in range(90)]
    assert falling == sorted(falling, reverse=True)


def test_layers_near_the_input_learn_slower() -> None:
    assert layer_factors(3, 0.5) == [0.125, 0.25, 0.5]
    assert layer_factors(2, 1.0) == [1.0, 1.0]
