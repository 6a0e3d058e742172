"""Every run on record, in MLflow: written beside the work, read back to compare."""

from foveate.history.place import HistoryPlace, find_place
from foveate.history.reading import RecordedRun, artifact, find_run, list_runs, unsent_runs
from foveate.history.record import Outcome, Record
from foveate.history.recording import Recording, recording, run_name

__all__ = [
    "HistoryPlace",
    "Outcome",
    "Record",
    "RecordedRun",
    "Recording",
    "artifact",
    "find_place",
    "find_run",
    "list_runs",
    "recording",
    "run_name",
    "unsent_runs",
]
