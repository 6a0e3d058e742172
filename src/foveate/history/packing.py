"""What came out of a run, as bytes: made on one machine, put on record by another.

On a cluster the machines that work keep no history; the one that gave them the work does.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from dataclasses import fields
from pathlib import Path

from foveate.errors import HistoryError
from foveate.files import digest
from foveate.history.record import Outcome

_NUMBERS = "outcome.json"
_FILES = "artifacts/"
_WRITES = "write_artifacts"
_SEAL = 64


def pack_outcome(outcome: Outcome) -> bytes:
    """An outcome with all its files: a digest, and a ZIP archive."""
    numbers = {
        field.name: getattr(outcome, field.name)
        for field in fields(outcome)
        if field.name != _WRITES
    }
    packed = io.BytesIO()
    with (
        tempfile.TemporaryDirectory(prefix="foveate-") as folder,
        zipfile.ZipFile(packed, "w") as archive,
    ):
        archive.writestr(_NUMBERS, json.dumps(numbers))
        outcome.write_artifacts(Path(folder))
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                archive.write(path, _FILES + path.relative_to(folder).as_posix())
    archived = packed.getvalue()
    return digest(archived).encode() + archived


def unpack_outcome(packed: bytes) -> Outcome:
    """What `pack_outcome` packed; its files are written when they are asked for.

    Raises:
        HistoryError: the bytes are something else, or damaged.
    """
    seal, archived = packed[:_SEAL], packed[_SEAL:]
    # ZIP's own checks overlook a file that is missing.
    if seal != digest(archived).encode():
        raise HistoryError(
            "What came out of the run arrived damaged; the same command again makes it anew."
        )
    with zipfile.ZipFile(io.BytesIO(archived)) as archive:
        numbers = json.loads(archive.read(_NUMBERS))
    return Outcome(**numbers, write_artifacts=_Artifacts(archived))


class _Artifacts:
    def __init__(self, archived: bytes) -> None:
        self._archived = archived

    def __call__(self, folder: Path) -> None:
        with zipfile.ZipFile(io.BytesIO(self._archived)) as archive:
            for name in archive.namelist():
                relative = name.removeprefix(_FILES)
                if relative == name:
                    continue
                # Not by `extractall`: a name must never lead out of the folder.
                path = (folder / relative).resolve()
                if not path.is_relative_to(folder.resolve()):
                    raise HistoryError(f"What came out of the run names a file ‘{relative}’.")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
