"""The verb `train`: its record, its files, and how it is stopped."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from conftest import draw_folder
from foveate.errors import SettingsError, Stopped
from foveate.files import join
from foveate.history import find_place
from foveate.history.outbox import Entry, waiting
from foveate.settings import Settings
from foveate.workflow.train import train

SMALL = Settings(resolution=64)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A history whose outbox nobody empties while the test looks."""
    monkeypatch.setenv("FOVEATE_HISTORY", str(tmp_path / "history"))
    monkeypatch.setattr(sys.modules["foveate.history.recording"], "_spawn", lambda *_: None)
    return tmp_path / "history"


def only_entry() -> Entry:
    place = find_place()
    assert place is not None
    (entry,) = waiting(place.outbox)
    return entry


@pytest.mark.usefixtures("kept")
def test_it_is_written_and_on_record(patterns: Path, tmp_path: Path) -> None:
    trained = train(patterns, SMALL, out=tmp_path / "m.onnx", sample=0.9)
    assert trained.model == str(tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == trained.training.classifier.onnx_bytes
    assert trained.report == str(tmp_path / "m.html")
    record = only_entry().read()
    assert record is not None
    assert (record.status, record.kind, record.name) == ("finished", "train", trained.training.name)
    assert record.settings["sample_frac"] == "0.9"
    assert "target" not in record.settings
    assert record.tags["model"] == trained.model
    kept_result = json.loads((only_entry().artifacts / "result.json").read_text())
    assert kept_result["model"] == trained.to_json()["model"] == trained.model


def test_a_classifier_goes_to_a_url_with_its_report_beside_it(patterns: Path) -> None:
    url = "memory://trained/m.onnx"
    trained = train(patterns, SMALL, out=url)
    assert (trained.model, trained.report) == (url, "memory://trained/m.html")
    import fsspec

    memory = fsspec.filesystem("memory")
    assert memory.cat(url) == trained.training.classifier.onnx_bytes
    assert b"<html" in memory.cat(join("memory://trained", "m.html"))


def test_a_project_has_usual_places_and_its_own_settings(tmp_path: Path) -> None:
    draw_folder(tmp_path / "p" / "images", 4)
    (tmp_path / "p" / "foveate.toml").write_text("resolution = 64")
    run = train(tmp_path / "p", seed=1, write=True)
    assert run.model == str(tmp_path / "p" / "models" / f"{run.name}.onnx")
    assert Path(str(run.report)).parent == tmp_path / "p" / "reports"
    assert (run.training.settings.resolution, run.training.settings.seed) == (64, 1)
    with pytest.raises(TypeError, match="seed"):
        train(tmp_path / "p", SMALL, seed=1)


def test_a_network_is_not_refined_here_where_a_cluster_is_named(patterns: Path) -> None:
    with pytest.raises(SettingsError, match="foveate refine --target"):
        train(patterns, classifier="dnn", engine="spark")


def test_nothing_is_written_unless_it_is_wanted(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained = train(patterns, SMALL)
    assert (trained.model, trained.report) == (None, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("kept")
def test_another_thread_stops_it_and_the_same_call_goes_on(patterns: Path) -> None:
    stop, computed = Event(), Event()
    ends: list[BaseException] = []

    def watch(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "features" and done:
            computed.set()
            stop.wait(60)

    def work() -> None:
        try:
            train(patterns, SMALL, progress=watch, stop=stop)
        except BaseException as error:
            ends.append(error)

    thread = Thread(target=work)
    thread.start()
    assert computed.wait(60)
    stop.set()
    thread.join(60)
    assert [type(error) for error in ends] == [Stopped]
    assert isinstance(ends[0], KeyboardInterrupt), "what Ctrl-C is treated as"
    record = only_entry().read()
    assert record is not None
    assert (record.status, record.reason) == ("failed", "It was stopped.")
    again = train(patterns, SMALL)
    assert again.training.evaluation.n == 9
    assert again.training.prepared.rate.images < 36, "some features were kept"
