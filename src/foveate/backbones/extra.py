"""The `[refine]` extra: PyTorch, torchvision and timm, where they are installed."""

from __future__ import annotations

from importlib.util import find_spec

from foveate.errors import BackboneError

NEEDED = ("torch", "torchvision", "timm", "safetensors")


def need_torch(what_for: str) -> None:
    """Say how to install what is missing. Nothing is imported.

    Args:
        what_for: the beginning of the sentence, as "To add a backbone".

    Raises:
        BackboneError: one of PyTorch, torchvision, timm and safetensors is not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise BackboneError(
            f"{what_for}, foveate needs {', '.join(missing)}, which {_verb(missing)} not "
            "installed here: pip install 'foveate[refine]'"
        )


def _verb(things: list[str]) -> str:
    return "is" if len(things) == 1 else "are"
