from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytest.importorskip("timm", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from foveate.finetune.learner import Learner
from foveate.finetune.optimiser import (
    WARM_UP,
    follow,
    layer_factors,
    make_optimiser,
    rate_factor,
    set_rate,
)
from foveate.settings import LEARNING_RATES, Settings


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


@pytest.mark.parametrize(("asked", "peak"), [(0.0, LEARNING_RATES["cosine"]), (0.02, 0.02)])
def test_biases_are_not_drawn_to_zero(asked: float, peak: float) -> None:
    settings = Settings(learning_rate=asked, weight_decay=0.1)
    optimiser = make_optimiser(Learner(None, 4, 3, "last_only"), settings)
    decays = {g["params"][0].ndim: g["weight_decay"] for g in optimiser.param_groups}
    assert decays == {2: 0.1, 1: 0.0}
    set_rate(optimiser, settings, WARM_UP)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([peak] * 2)


def test_the_average_forgets_the_start() -> None:
    average, learned = [torch.zeros(1)], [torch.ones(1)]
    follow(average, learned, 0.98, step=0)
    assert average[0] == 1
    follow(average, [torch.zeros(1)], 0.5, step=1000)
    assert average[0] == 0.5
