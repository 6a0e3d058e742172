"""`foveate refine`: `foveate train` for networks, on this machine or on a target."""

from __future__ import annotations

from functools import WRAPPER_ASSIGNMENTS, wraps
from typing import Any

from foveate.cli.train import train
from foveate.errors import SettingsError


@wraps(train, assigned=[name for name in WRAPPER_ASSIGNMENTS if name != "__doc__"])
def refine(**flags: Any) -> None:
    """Refine a network on SOURCE (dnn or svm-dnn), evaluate it, write model and report."""
    from foveate.settings import make_settings
    from foveate.workflow.places import find_project

    chosen, assigned = flags.get("classifier"), flags.get("assignments") or ()
    known = make_settings(find_project(flags["source"]), assigned, {"classifier": chosen})
    if not known.refines:
        if chosen is not None:
            raise SettingsError(f"‘{chosen}’ refines no network; use dnn or svm-dnn.")
        flags["classifier"] = "dnn"
    train(**flags)
