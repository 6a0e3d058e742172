"""A checkpoint is taken as it was written, or not at all."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from torch import nn

from foveate.finetune import checkpoint as module
from foveate.finetune.checkpoint import FORMAT, Checkpoint, TrainingState


class Training:
    """A layer that has learned for two steps, with all that a checkpoint is of."""

    def __init__(self, steps: int = 0, size: int = 3) -> None:
        torch.manual_seed(steps)
        self.layer = nn.Linear(size, 2)
        self.learned = list(self.layer.parameters())
        self.optimiser = torch.optim.AdamW(self.learned)
        self.state = TrainingState([p.detach().clone() for p in self.learned], 8)
        for _ in range(steps):
            self.layer(torch.ones(size)).sum().backward()
            self.optimiser.step()
            self.state.step += 1
        if steps:
            self.state.best = [p.detach() + 1 for p in self.learned]
            self.state.epochs = [{"loss": 0.5, "validation_error": None}]
            self.state.scores = torch.ones(4, 2)

    def save(self, path: Path, key: str = "key") -> None:
        Checkpoint(path, key).save(self.learned, self.optimiser, self.state)

    def load(self, path: Path, key: str = "key") -> bool:
        return Checkpoint(path, key).load(self.learned, self.optimiser, self.state)

    def everything(self) -> list[Any]:
        moments = [
            value.tolist()
            for moment in self.optimiser.state_dict()["state"].values()
            for value in moment.values()
        ]
        state = [getattr(self.state, name) for name in TrainingState.__slots__]
        return [p.tolist() for p in self.learned] + moments + [str(value) for value in state]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "c.pt"
    Training(2).save(path)
    return path.read_bytes()


def is_none(data: bytes, path: Path) -> bool:
    """Whether a file counts as none and leaves a training as it was."""
    path.write_bytes(data)
    training = Training()
    before = training.everything()
    return not training.load(path) and training.everything() == before


def sealed(payload: object) -> bytes:
    """Anything, written as a checkpoint is."""
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    data = buffer.getvalue()
    return data + module._SEAL + hashlib.sha256(data).digest()


def test_all_of_it_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    before = Training(2)
    before.save(path)
    after = Training()
    assert after.load(path)
    assert after.everything() == before.everything()


def test_none_is_there(tmp_path: Path) -> None:
    assert not Training().load(tmp_path / "c.pt")
    assert not Training().load(tmp_path)  # a folder


@examples(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_wrong_bit_anywhere_is_seen(sound: bytes, tmp_path: Path, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, 8 * len(sound) - 1))
    damaged = bytearray(sound)
    damaged[at // 8] ^= 1 << at % 8
    assert is_none(bytes(damaged), tmp_path / "c.pt")


@examples(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_half_a_file_is_none(sound: bytes, tmp_path: Path, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, len(sound) - 1))
    assert is_none(sound[:length], tmp_path / "c.pt")
    assert is_none(sound[:length] + bytes(len(sound) - length), tmp_path / "c.pt")


@pytest.mark.parametrize("payload", [[1, 2], torch.ones(3), {"format": 1}, {}, None])
def test_other_contents_are_none(tmp_path: Path, payload: object) -> None:
    assert is_none(sealed(payload), tmp_path / "c.pt")
    torch.save(payload, tmp_path / "plain.pt")  # as the earlier format was
    assert is_none((tmp_path / "plain.pt").read_bytes(), tmp_path / "c.pt")


@pytest.mark.parametrize(
    "changes",
    [
        {"format": FORMAT - 1},
        {"key": "another"},
        {"learned": []},
        {"learned": [torch.ones(2, 3)]},
        {"learned": [torch.ones(2, 3).double(), torch.ones(2).double()]},
        {"optimiser": {}},
        {"state": {"step": 3}},
        {"state": {"average": [torch.ones(5)], "minibatch": 8}},
    ],
)
def test_contents_of_another_shape_are_none(
    sound: bytes, tmp_path: Path, changes: dict[str, object]
) -> None:
    found = torch.load(io.BytesIO(sound), weights_only=True)
    assert not is_none(sealed(found), tmp_path / "c.pt")
    assert is_none(sealed({**found, **changes}), tmp_path / "c.pt")


def test_too_little_memory_is_not_taken_for_damage(
    sound: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.pt").write_bytes(sound)

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(torch.OutOfMemoryError):
        Training().load(tmp_path / "c.pt")
