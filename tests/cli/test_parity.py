"""Python can what the command line can: each option of a verb is a parameter of its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

import foveate as fv
from foveate.cli import bulk, data, evaluate, refine, train, tune
from foveate.settings import Settings

TERMINAL = {
    "as_json": "what is printed",
    "quiet": "what is printed",
    "_debug": "what is printed",
    "assignments": "settings are parameters",
    "devices": "starts the very command again in several processes",
}
RENAMED = {
    "model": "classifier",
    "by": "split",
    "backbone": "backbones",
    "resolution": "resolutions",
    "classifier": "classifiers",
}

VERBS = [
    (train.train, fv.train),
    (refine.refine, fv.train),  # fv.refine hands all of its options on to it
    (evaluate.evaluate, fv.evaluate),
    (bulk.score, fv.score),
    (bulk.featurize, fv.featurize),
    (data.check, fv.check),
    (data.split, fv.split),
    (tune.tune, fv.tune),
]


@pytest.mark.parametrize(("command", "verb"), VERBS)
def test_each_option_is_a_parameter(
    command: Callable[..., None], verb: Callable[..., object]
) -> None:
    parameters = inspect.signature(verb).parameters
    assert any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    known = {*parameters, *Settings.model_fields, *TERMINAL}
    options = inspect.signature(command).parameters
    missing = [name for name in options if name not in known and RENAMED.get(name) not in known]
    assert missing == []


@pytest.mark.parametrize(("command", "verb"), VERBS)
def test_each_verb_tells_how_far_it_is_and_can_be_stopped(
    command: Callable[..., None], verb: Callable[..., object]
) -> None:
    assert {"progress", "stop"} <= set(inspect.signature(verb).parameters)
