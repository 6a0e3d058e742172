"""Folders of a user's own: the cache for derived data, and what foveate keeps for good.

An environment variable moves each. In a container a user may have no home folder at all, and
nobody's folder is then guessed: a folder called `~` in the working directory helps nobody.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from foveate.errors import OutputError

_KEPT = {"cache": "derived data", "data": "what you keep"}


def own_folder(variable: str, kind: Literal["cache", "data"]) -> Path:
    """A folder of the user's own, absolute; it need not be there yet.

    Args:
        variable: of the environment, which names another; `~` in it is the user's home.
        kind: where it is otherwise: among caches, or among data.

    Raises:
        OutputError: the user has no home folder, and the variable names no other.
    """
    import platformdirs

    usual = platformdirs.user_cache_dir if kind == "cache" else platformdirs.user_data_dir
    try:
        chosen = os.environ.get(variable) or usual("foveate", appauthor=False)
        folder = str(Path(chosen).expanduser())
    except RuntimeError:  # of some versions of platformdirs, and of pathlib
        folder = "~"
    if folder.startswith("~"):
        said = "this user has no home folder"
        raise OutputError(
            f"There is no place for {_KEPT[kind]}: {said}. Set {variable} to a folder that can be "
            "written (its whole path).",
            said,
        )
    return Path(folder).absolute()
