"""Compare runs on record: their predictions come from the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foveate.errors import HistoryError
from foveate.evaluation import evaluate
from foveate.evaluation.comparison_report import ComparedRun, differing_settings
from foveate.evaluation.paired import DifferentTestSets, Paired, compare_with_first
from foveate.history import HistoryPlace, RecordedRun, artifact
from foveate.predictions import read_predictions


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Runs, side by side.

    Attributes:
        runs: with their settings, measures and predictions.
        recorded: the same, as they are on record.
        against_first: how each of the others differs from the first.
    """

    runs: tuple[ComparedRun, ...]
    recorded: tuple[RecordedRun, ...]
    against_first: tuple[Paired | DifferentTestSets, ...]

    @property
    def differing(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Settings that are not the same in all: name, and the value in each."""
        return differing_settings([run.settings for run in self.runs])

    @property
    def sentences(self) -> list[str]:
        """What came out, a sentence for each run but the first."""
        first = self.runs[0].name
        return [
            difference.sentence(run.name, first)
            for run, difference in zip(self.runs[1:], self.against_first, strict=True)
        ]

    def to_json(self) -> dict[str, object]:
        """What `foveate runs compare --json` prints."""
        return {
            "runs": [
                {"name": run.name, "settings": dict(run.settings), **run.evaluation.to_json()}
                for run in self.runs
            ],
            "differing": {name: list(values) for name, values in self.differing},
            "comparisons": [
                {
                    "a": run.name,
                    "b": self.runs[0].name,
                    "sentence": sentence,
                    **difference.to_json(),
                }
                for run, sentence, difference in zip(
                    self.runs[1:], self.sentences, self.against_first, strict=True
                )
            ],
        }


def compare_runs(place: HistoryPlace, runs: Sequence[RecordedRun]) -> RunComparison:
    """Compare runs with the first of them.

    Args:
        place: where they are kept.
        runs: two or more.

    Raises:
        HistoryError: fewer than two, or one that has no test predictions on record.
    """
    if len({run.id for run in runs}) < 2:
        raise HistoryError("Name at least two different runs; `foveate runs list` shows them.")
    compared = tuple(_load(place, run) for run in runs)
    differences = compare_with_first([run.predictions for run in compared])
    return RunComparison(compared, tuple(runs), differences)


def _load(place: HistoryPlace, run: RecordedRun) -> ComparedRun:
    if run.kind == "score" or run.status != "finished":
        why = "predicted images without testing" if run.kind == "score" else f"is {run.status}"
        raise HistoryError(
            f"The run {run.name} {why}, so there is nothing to compare. Name a finished "
            "training or evaluation."
        )
    predictions = read_predictions(artifact(place, run, "predictions.parquet"))
    seed = int(run.settings.get("seed", 0))
    return ComparedRun(run.name, run.settings, evaluate(predictions, seed=seed), predictions)
