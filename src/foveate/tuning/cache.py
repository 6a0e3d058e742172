"""What a search has found out so far, kept on disk, so that a killed one goes on where it was.

Everything that takes time is a function of what its name says (candidate, images, seed), so a
search that is run again asks the cache first and comes to the same result. One result is one
small file, which appears whole or not at all.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from foveate.errors import OutputError
from foveate.files import atomic_write, digest

Name = str | int | float | None


class ResultCache:
    """Results by name.

    Args:
        folder: where they are; made when the first one is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, *name: Name) -> dict[str, Any] | None:
        """What was kept by this name; None where nothing was, or it cannot be read."""
        try:
            held = json.loads(self._file(name).read_bytes())
        except (OSError, ValueError):
            return None
        matches = isinstance(held, dict) and held.get("name") == list(name)
        return held["result"] if matches else None

    def put(self, result: dict[str, Any], *name: Name) -> None:
        """Keep a result, which is made of what JSON knows; where it cannot be, it is not."""
        with suppress(OutputError), atomic_write(self._file(name), durable=False) as file:
            file.write(json.dumps({"name": name, "result": result}).encode())

    def _file(self, name: tuple[Name, ...]) -> Path:
        return self._folder / f"{digest(json.dumps(name).encode())[:24]}.json"
