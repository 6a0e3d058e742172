"""What weights files hold, without PyTorch: any value stands for a tensor."""

from __future__ import annotations

import pytest

from foveate.backbones.layouts import (
    compare,
    from_efficientnet_lite,
    is_efficientnet_lite,
    unwrap,
)
from foveate.errors import BackboneError

STATE = {"a.weight": 1, "b.weight": 2}


@pytest.mark.parametrize(
    "checkpoint",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {}},
        {"state_dict": {f"module.{k}": v for k, v in STATE.items()}},
        {f"_orig_mod.module.{k}": v for k, v in STATE.items()},
        {"state_dict_ema": STATE, "state_dict": {"a.weight": 9}},
    ],
)
def test_wrappings_come_off(checkpoint: object) -> None:
    assert unwrap(checkpoint) == STATE


@pytest.mark.parametrize("checkpoint", [None, [1, 2], {1: 2}])
def test_other_things_are_refused(checkpoint: object) -> None:
    with pytest.raises(BackboneError, match="no weights by name"):
        unwrap(checkpoint)


def test_efficientnet_lite_by_timms_names() -> None:
    old = {
        "_conv_stem.weight": 1,
        "_bn0.bias": 2,
        "_blocks.0._depthwise_conv.weight": 3,
        "_blocks.0._bn2.running_mean": 4,
        "_blocks.2._expand_conv.weight": 5,
        "_blocks.2._bn0.bias": 6,
        "_blocks.2._bn2.bias": 7,
        "_conv_head.weight": 8,
        "_bn1.bias": 9,
        "_fc.weight": 10,
    }
    wanted = ["blocks.0.0.x", "blocks.1.0.x", "blocks.1.1.x", "blocks.10.0.x"]
    assert is_efficientnet_lite(old)
    assert not is_efficientnet_lite(STATE)
    assert from_efficientnet_lite(old, wanted) == {
        "conv_stem.weight": 1,
        "bn1.bias": 2,
        "blocks.0.0.conv_dw.weight": 3,
        "blocks.0.0.bn2.running_mean": 4,
        "blocks.1.1.conv_pw.weight": 5,
        "blocks.1.1.bn1.bias": 6,
        "blocks.1.1.bn3.bias": 7,
        "conv_head.weight": 8,
        "bn2.bias": 9,
        "classifier.weight": 10,
    }


def test_differences_are_named() -> None:
    wanted = {f"w{i}": (3, 3) for i in range(6)} | {"bn.num_batches_tracked": ()}
    assert compare(wanted, {f"w{i}": (3, 3) for i in range(6)}) is None
    said = compare(wanted, {"w0": (3, 3), "w1": (4, 4), "x": (1,)})
    assert said is not None
    assert "missing: w2, w3, w4 and 1 more" in said
    assert "not part of the network: x" in said
    assert "w1 is 4×4 instead of 3×3" in said
