"""What a search came to: the table, the JSON, the page."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from foveate.evaluation import Evaluation
from foveate.evaluation.intervals import Estimate
from foveate.files import write_bytes
from foveate.settings import Settings
from foveate.tuning.candidates import Candidate
from foveate.tuning.choice import Row, table_rows
from foveate.tuning.gains import Gains
from foveate.tuning.power_law import Continuation
from foveate.tuning.search import Tried
from foveate.workflow.results.training import train_command
from foveate.workflow.training import Training


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a search found.

    Attributes:
        source: what was searched for.
        settings: of the training; backbone, resolution and classifier are those to begin with.
        limit: as many files were used at most.
        candidates: every setting that was to be tried, in order.
        tried: those that were judged; fewer where the minutes were up.
        chosen: the one to train.
        training: of the chosen one, evaluated on the test images, which it is the first to see.
        continuation: its learning curve; None where the minutes or the images did not suffice.
        gains: what more images and another model would bring.
        seconds: by stage.
        page: where its page was written; None where it was not.
    """

    source: str
    settings: Settings
    limit: int | None
    candidates: tuple[Candidate, ...]
    tried: tuple[Tried, ...]
    chosen: Tried
    training: Training
    continuation: Continuation | None
    gains: Gains
    seconds: dict[str, float]
    page: Path | None = None

    @property
    def evaluation(self) -> Evaluation:
        """Of the chosen setting, on the test images."""
        return self.training.evaluation

    @property
    def rows(self) -> list[Row]:
        """The table of what was tried, the most accurate first."""
        return table_rows(self.tried, self.chosen)

    @property
    def untried(self) -> tuple[Candidate, ...]:
        """Candidates that the minutes did not suffice for, or not to the end."""
        done = {trial.candidate for trial in self.tried if trial.state != "unfinished"}
        return tuple(candidate for candidate in self.candidates if candidate not in done)

    def command(self, model: str | Path = "model.onnx") -> str:
        """The command line that trains the chosen setting.

        Args:
            model: where it is to write the classifier.
        """
        chosen, defaults = self.chosen.candidate, Settings()
        own = ("backbone", "resolution", "classifier")
        others = self.settings.model_copy(update={name: getattr(defaults, name) for name in own})
        # Named even where it is a default, which a project's settings file may have changed.
        words = [word for name in own for word in (f"--{name}", str(getattr(chosen, name)))]
        if self.limit is not None:
            words += ["--limit", str(self.limit)]
        return f"{train_command(self.source, Path(model), others)} {shlex.join(words)}"

    def to_json(self) -> dict[str, object]:
        """What `foveate tune --json` prints, but for the path of the report."""
        training = self.training
        summary, accuracy = training.classifier.metadata.training, training.evaluation.accuracy
        return {
            "chosen": _candidate_json(self.chosen),
            "command": self.command(),
            "n_train": summary.n_train,
            "n_test": summary.n_test,
            "accuracy": accuracy.value,
            "accuracy_ci95": [accuracy.low, accuracy.high],
            "class_average_accuracy": training.evaluation.class_average_accuracy.value,
            "candidates": [_row_json(row) for row in self.rows],
            "untried": [str(candidate) for candidate in self.untried],
            "learning_curve": _curve_json(self.continuation),
            "outlook": self.gains.sentence,
            "verdict": self.gains.verdict,
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
        }

    def report(self, path: str | Path = "tune.html") -> Path:
        """Write the page with the figures, one self-contained HTML file, whole or not at all.

        Returns:
            Where it is.
        """
        # A folder name that is no valid Unicode must not lose the whole page.
        write_bytes(Path(path), self._page().encode("utf-8", "backslashreplace"))
        return Path(path)

    def _page(self) -> str:
        from foveate.evaluation.figures import interval_strip
        from foveate.evaluation.pages import drawn, page_environment
        from foveate.tuning.figures import curve_figure, trade_off_figure

        accuracy, rows = self.evaluation.accuracy, self.rows
        complete = [row for row in rows if row.tried.state == "complete"]
        return (
            page_environment("foveate.tuning")
            .get_template("tune.html.j2")
            .render(
                title=f"{Path(self.source).name or self.source}: {self.chosen.candidate}",
                tuning=self,
                evaluation=self.evaluation,
                summary=self.training.classifier.metadata.training,
                strip=drawn(interval_strip(accuracy, 0.0, self.evaluation.chance)),
                rows=rows,
                trade_off=drawn(trade_off_figure(complete)),
                curve=drawn(curve_figure(self.continuation)) if self.continuation else "",
                total_seconds=sum(self.seconds.values()),
            )
        )


def _candidate_json(tried: Tried) -> dict[str, object]:
    return {
        "backbone": tried.candidate.backbone,
        "resolution": tried.candidate.resolution,
        "classifier": tried.candidate.classifier,
        "c": tried.cross_validation.c,
    }


def _row_json(row: Row) -> dict[str, object]:
    tried = row.tried
    return {
        **_candidate_json(tried),
        "cross_validated_accuracy": _estimate_json(tried.accuracy),
        "images_per_second": round(tried.images_per_second, 1),
        "share": tried.share,
        "state": tried.state,
        "chosen": row.chosen,
        "best_trade_off": row.front,
    }


def _curve_json(curve: Continuation | None) -> dict[str, object] | None:
    if curve is None:
        return None
    return {
        "measured": [
            {"images": round(size), **_estimate_json(accuracy)}
            for size, accuracy in curve.measured.items()
        ],
        "expected": [
            {"images": n, **_estimate_json(accuracy)} for n, accuracy in curve.expected.items()
        ],
        "gain_from_twice_the_images": _estimate_json(curve.gain),
    }


def _estimate_json(estimate: Estimate) -> dict[str, object]:
    return {"value": estimate.value, "ci95": [estimate.low, estimate.high], "n": estimate.n}
