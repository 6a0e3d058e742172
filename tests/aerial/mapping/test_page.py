"""The page of a map: one file, safe, and small for many tiles."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foveate.aerial.mapping import page as page_module
from foveate.aerial.mapping.mapping import TilesMapped, map_tiles
from foveate.aerial.mapping.page import SURE, map_page
from support.maps import LABELS, LEFT, TOP, blurred, named, patches, placed_of


class Elements(HTMLParser):
    """Counts elements, and keeps scripts, texts and addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.count = 0
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self.policy = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count += 1
        self._inside = tag
        values = dict(attrs)
        self.addresses += [values[name] or "" for name in ("src", "href") if name in values]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data


def shown(mapped: TilesMapped, title: str = "A county") -> tuple[Elements, dict[str, Any]]:
    page = Elements(map_page(mapped, title).decode())
    return page, json.loads(page.scripts[0])


def layer(data: dict[str, Any], name: str) -> NDArray[np.integer]:
    packed = zlib.decompress(base64.b64decode(data["layers"][name]))
    kind = np.uint16 if data["wide"] else np.uint8
    return np.frombuffer(packed, kind).reshape(data["rows"], data["cols"])


def county(side: int = 30, **more: Any) -> TilesMapped:
    truth = patches(side)
    known = named(truth)
    known[:4] = None
    said = blurred(truth, 0.2)
    said[0, 0] = -9
    return map_tiles(placed_of(said, known=known, **more))


def test_it_runs_one_script_and_loads_nothing() -> None:
    page, _ = shown(county())
    script = page.scripts[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.policy
    assert page.policy.startswith("default-src 'none'")
    assert page.addresses == []
    assert "http" not in re.sub(r"<meta[^>]*>", "", script)
    assert "{{" not in page.text
    assert "{%" not in page.text


def test_the_data_are_those_of_the_map() -> None:
    trained = np.zeros((30, 30), bool)
    trained[10, 10] = True
    mapped = county(trained=trained)
    _, data = shown(mapped)
    assert (data["top"], data["left"], data["size"]) == (TOP, LEFT, 224)
    assert data["labels"] == list(LABELS)
    assert (layer(data, "predicted") == mapped.predicted.classes + 1).all()
    assert (layer(data, "smoothed") == mapped.smoothed.classes + 1).all()
    assert (layer(data, "known") == mapped.reference.classes + 1).all()
    sure = (layer(data, "confidence").astype(float) - 1) / (SURE - 1)
    there = mapped.predicted.classes >= 0
    assert np.abs(sure - mapped.predicted.confidence)[there].max() < 0.00501
    assert (layer(data, "confidence")[~there] == 0).all()
    roles = layer(data, "roles")
    assert roles[10, 10] == 1
    assert (roles == 2).sum() == 8
    assert roles[9:12, 9:12].sum() == 17


def test_it_says_what_was_measured() -> None:
    mapped = county(trained=np.zeros((30, 30), bool))
    page, _ = shown(mapped)
    assert mapped.after is not None
    text = " ".join(page.text.split())  # narrow spaces, too
    assert f"of {30 * 26} tiles of known label are mapped right" in text
    assert f"{100 * mapped.after.accuracy.value:.1f} %" in text
    assert mapped.sentence in text
    for label in LABELS:
        assert label in text
    assert "not measured: no known label119" in text
    assert "where it differs from them" in text
    for note in mapped.notes:
        assert note in text


def test_without_known_labels() -> None:
    page, data = shown(map_tiles(placed_of(patches(5))))
    assert "nobody knows" in page.text
    assert set(data["layers"]) == {"predicted", "smoothed", "confidence"}
    assert "Before and after smoothing" not in page.text
    assert "where it differs" not in page.text


def test_labels_and_titles_are_text_and_nothing_else() -> None:
    evil = ("</script><b>", "<img src=x onerror=alert(1)>", "a & 'b' \"c\"")
    mapped = map_tiles(placed_of(patches(6), known=named(patches(6), evil), labels=evil))
    page, data = shown(mapped, "<script>alert(1)</script>")
    plain, _ = shown(map_tiles(placed_of(patches(6), known=named(patches(6)))))
    assert page.count == plain.count
    assert len(page.scripts) == 2
    assert data["labels"] == list(evil)


@pytest.mark.slow
def test_a_hundred_thousand_tiles() -> None:
    """As many elements as for nine, and less than a megabyte."""
    truth = patches(317)
    mapped = map_tiles(placed_of(blurred(truth, 0.2), known=named(truth)))
    few = map_tiles(placed_of(patches(3, patch=1), known=named(patches(3, patch=1))))
    assert len(map_page(mapped, "many")) < 1_000_000
    many, _ = shown(mapped)
    # The two differ in nothing but a note.
    assert abs(many.count - shown(few)[0].count) <= 40


def test_more_than_a_page_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_CELLS", 250)
    mapped = county()
    page, data = shown(mapped)
    assert data["step"] == 2
    assert (layer(data, "predicted") == mapped.predicted.classes[::2, ::2] + 1).all()
    assert "every 2th" not in page.text
    assert "too many tiles for a page" in page.text


def test_more_labels_than_a_byte() -> None:
    labels = tuple(f"label {number}" for number in range(250))
    known = np.array([[f"other {number}" for number in range(40)]], object)
    known[0, 0] = "label 3"
    mapped = map_tiles(placed_of(np.arange(40)[None] * 6, known=known, labels=labels))
    _, data = shown(mapped)
    assert data["wide"]
    assert layer(data, "known").max() == 250 + 39
