from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytest.importorskip("timm", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from foveate.backbones.names import parse_name
from foveate.backbones.network import build_network
from foveate.finetune.learner import Learner


def test_the_last_layer_takes_features() -> None:
    learner = Learner(None, 3, 2, "last_only")
    weight, bias = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(2, np.float32)
    learner.start_from(weight, bias)
    features = np.eye(3, dtype=np.float32)
    scores = learner(torch.from_numpy(features)).detach().numpy()
    np.testing.assert_allclose(scores, features @ weight.T + bias)
    dropped = learner(torch.from_numpy(features), torch.zeros(3, 3)).detach().numpy()
    np.testing.assert_allclose(dropped, np.ones((3, 2)))
    assert learner.stages == []
    with pytest.raises(ValueError, match="no network"):
        learner.features(torch.zeros(1, 3, 8, 8))


def test_depth_says_what_learns() -> None:
    network = build_network(parse_name("timm:resnet10t"), None)
    whole = Learner(network, network.dimension, 2, "all")
    head = Learner(network, network.dimension, 2, "head")
    assert len(whole.learned) == len(list(whole.parameters()))
    assert 2 < len(head.learned) < len(whole.learned)
