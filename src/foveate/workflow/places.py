"""Where a verb's inputs are, and where its results go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foveate.errors import OutputError
from foveate.files import is_url, join
from foveate.outputs import MODEL, PAGE, Output, check_folder, check_outputs, is_same_file
from foveate.settings import FILE_NAME, Settings, make_settings


def find_project(source: str | Path | None) -> Path | None:
    """The project that a source is; None for a bare one."""
    if source is None or is_url(str(source)):
        return None
    folder = Path(source)
    return folder if (folder / FILE_NAME).is_file() else None


def files_of(source: str | Path | None) -> list[str]:
    """What a verb reads of a source besides images: itself, a table in it, a project's settings.

    No result may replace one of them.
    """
    from foveate.catalog.source import METADATA_NAMES

    if source is None:
        return []
    source = str(source)
    folders = [source, join(source, "images")] if find_project(source) else [source]
    return [
        source,
        join(source, FILE_NAME),
        *(join(folder, name) for folder in folders for name in METADATA_NAMES),
    ]


def settings_of(
    source: str | Path, settings: Settings | None, changes: Mapping[str, object]
) -> Settings:
    """The settings of a verb: as given, or those of the project with some changed.

    Raises:
        SettingsError: see `settings.make_settings`.
        TypeError: both are given.
    """
    if settings is None:
        return make_settings(find_project(source), flags=changes)
    if changes:
        raise TypeError(f"settings are given as a whole; {min(changes)} belongs among them")
    return settings


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a classifier and its report go.

    Attributes:
        out: path or URL of the classifier; the usual place where None.
        report: path of the report; beside the classifier where None.
        project: whose usual place it is: `models/RUN.onnx`; None: `model.onnx`.
    """

    out: str | Path | None = None
    report: str | Path | None = None
    project: Path | None = None

    @property
    def url(self) -> str | None:
        """Where the classifier goes, if that is not on this machine."""
        return str(self.out) if self.out is not None and is_url(str(self.out)) else None

    def of(self, run: str) -> tuple[str, str]:
        """Paths or URLs of the classifier and the report of a run."""
        if self.out is not None:
            model = str(self.out)
            page = model.removesuffix(".onnx") if self.url else str(Path(model).with_suffix(""))
            return model, str(self.report or f"{page}.html")
        if self.project is None:
            return "model.onnx", str(self.report or "model.html")
        page = str(self.report or self.project / "reports" / f"{run}.html")
        return str(self.project / "models" / f"{run}.onnx"), page

    def check(self, inputs: Sequence[str | Path | None]) -> None:
        """See that both can be written, as far as names are known; a run's own is not yet.

        Raises:
            OutputError: see `outputs.check_outputs`.
        """
        model, page = self.of("run")
        check_outputs(
            [Output("a classifier", model, MODEL), Output("the report", page, PAGE)], inputs
        )


def check_table(
    what: str, out: str, suffixes: Sequence[str], inputs: Sequence[str], *, on_cluster: bool
) -> None:
    """See that a table can be written; on a cluster it may be a folder, too.

    Raises:
        OutputError: it cannot, or it would replace what is read.
    """
    if not on_cluster or out.lower().endswith(tuple(suffixes)):
        check_outputs([Output(what, out, suffixes)], inputs)
    elif any(is_same_file(out, read) for read in inputs):
        raise OutputError(f"‘{out}’ is read by this very command; name another folder.")
    else:
        check_folder(out)
