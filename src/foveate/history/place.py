"""Where runs are kept: a project's `runs.db`, the user's own, or a tracking server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from foveate.errors import OutputError
from foveate.folders import own_folder
from foveate.history.secrets import without_secrets

OFF = "off"
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class HistoryPlace:
    """Where runs are kept.

    Attributes:
        folder: for runs that have not arrived yet, and for `runs.db`.
        uri: MLflow's tracking URI.
        experiment: MLflow's name for the runs of one project.
    """

    folder: Path
    uri: str
    experiment: str

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for a server."""
        path = self.uri.removeprefix(_SQLITE)
        return Path(path).absolute() if path != self.uri else None

    @property
    def artifacts(self) -> Path:
        """Where the files of runs are, beside foveate's own `runs.db`."""
        return self.folder / "runs"

    @property
    def shown(self) -> str:
        """The URI as it may be shown: without a password."""
        return without_secrets(self.uri)

    @property
    def is_own(self) -> bool:
        """Whether it is foveate's own `runs.db`, beside its own files."""
        return self.database == self.folder / "runs.db"

    @property
    def outbox(self) -> Path:
        """The folder of runs that have not arrived yet."""
        return self.folder / "runs.outbox"


def find_place(project: Path | None = None, tracking: str = "") -> HistoryPlace | None:
    """Where the runs of a project, or of bare folders, are kept.

    The environment's `MLFLOW_TRACKING_URI` names another tracking server, `MLFLOW_EXPERIMENT_NAME`
    another experiment; `FOVEATE_HISTORY` is the folder for runs on bare sources, or `off`.

    Args:
        project: its folder; None for bare sources.
        tracking: MLflow's tracking URI from the settings; empty for `runs.db`.

    Returns:
        None where the history is turned off, or has no place as the user has no home folder.
    """
    wanted = os.environ.get("FOVEATE_HISTORY", "")
    if wanted == OFF:
        return None
    try:
        folder = (
            project.absolute() if project is not None else own_folder("FOVEATE_HISTORY", "data")
        )
    except OutputError:
        return None
    if "?" in str(folder):  # the one character that cannot be in a URI of SQLAlchemy's
        return None
    uri = os.environ.get("MLFLOW_TRACKING_URI") or tracking
    name = folder.resolve().name if project is not None else "foveate"
    return HistoryPlace(
        folder,
        uri or f"{_SQLITE}{(folder / 'runs.db').as_posix()}",
        os.environ.get("MLFLOW_EXPERIMENT_NAME") or name,
    )
