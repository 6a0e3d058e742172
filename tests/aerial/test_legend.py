"""Legends: what is built in, what tables may look like, and colours that differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.aerial.legend import BUILT_IN, colours_of
from foveate.aerial.legend_table import find_legend
from foveate.errors import SettingsError, SourceError


@pytest.mark.parametrize(
    ("legend", "code", "label"),
    [
        ("nlcd", 11, "Open Water"),
        ("nlcd", 82, "Cultivated Crops"),
        ("nlcd-groups", 21, "Developed"),
        ("nlcd-groups", 81, "Cultivated"),
        ("nlcd-groups", 43, "Forest"),
        ("nlcd-groups", 52, "Shrub"),
        ("nlcd-groups", 31, "Barren"),
        ("nlcd-groups", 71, "Herbaceous"),
        ("nlcd-groups", 11, None),
        ("nlcd-groups", 95, None),
        ("nlcd-land-use", 24, "Developed"),
        ("nlcd-land-use", 82, "Cultivated"),
        ("nlcd-land-use", 11, "Undeveloped"),
        ("nlcd-land-use", 90, "Undeveloped"),
    ],
)
def test_what_the_codes_of_nlcd_mean(legend: str, code: int, label: str | None) -> None:
    found = find_legend(legend)
    assert found.knows(code)
    assert found.label_of(code) == label


def test_all_nlcd_legends_know_the_same_codes() -> None:
    codes = [set(legend.labels) for legend in BUILT_IN.values()]
    assert codes[0] == codes[1] == codes[2]
    assert len(codes[0] - {51, 72, 73, 74}) == 16, "the classes outside Alaska"
    assert all(legend.knows(255) and not legend.knows(17) for legend in BUILT_IN.values())


def test_groups_come_in_the_order_of_the_tutorial() -> None:
    groups = ("Developed", "Cultivated", "Forest", "Shrub", "Barren", "Herbaceous")
    assert find_legend("nlcd-groups").names == groups
    assert find_legend("nlcd-land-use").names == ("Developed", "Cultivated", "Undeveloped")


def test_a_plain_table(tmp_path: Path) -> None:
    path = tmp_path / "legend.csv"
    path.write_text("code,label,colour\n1,Town,#ff0000\n2,Wood,#00ff00\n3,,\n0,No data,\n4,Town,\n")
    legend = find_legend(str(path))
    assert legend.names == ("Town", "Wood")
    assert [legend.label_of(code) for code in (1, 2, 3, 0, 4)] == [
        "Town",
        "Wood",
        None,
        None,
        "Town",
    ]
    assert legend.nodata == {0}
    assert legend.knows(3)
    assert legend.colours_of(["Wood", "Town"]) == [(0, 255, 0), (255, 0, 0)]


@pytest.mark.parametrize("columns", [":GROUP", ":VALUE:GROUP", ":value:group"])
def test_columns_can_be_named(tmp_path: Path, columns: str) -> None:
    path = tmp_path / "evt.csv"
    path.write_text("VALUE;EVT_NAME;GROUP;R;G;B\n7011;Aspen;Tree;1;2;3\n7080;Sage;Shrub;4;5;6\n")
    assert find_legend(str(path)).names == ("Aspen", "Sage")
    legend = find_legend(f"{path}{columns}")
    assert legend.labels == {7011: "Tree", 7080: "Shrub"}
    assert legend.colours == {"Tree": (1, 2, 3), "Shrub": (4, 5, 6)}


def test_colours_may_be_shares(tmp_path: Path) -> None:
    path = tmp_path / "legend.csv"
    path.write_text("code,label,RED,GREEN,BLUE\n1,Town,1,0,0.5\n")
    assert find_legend(str(path)).colours == {"Town": (255, 0, 128)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("what,ever\n1,2\n", "no column of codes"),
        ("code,ever\n1,2\n", "no column of labels"),
        ("code,label\nx,Town\n", "Line 2 .* not a code"),
        ("code,label\n1,Town\n1,Wood\n", "Line 3 .* code 1 is ‘Wood’ here and ‘Town’ before"),
        ("code,label\n1,\n", "has no labels"),
    ],
)
def test_a_bad_table_gets_a_sentence(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "legend.csv"
    path.write_text(content)
    with pytest.raises((SettingsError, SourceError), match=said):
        find_legend(str(path))


def test_an_unknown_legend_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no legend ‘corine’. Choose nlcd, nlcd-groups"):
        find_legend("corine")
    with pytest.raises(SourceError, match="cannot be read"):
        find_legend(str(tmp_path / "no.csv"))


def test_known_labels_have_their_colours_however_they_are_written() -> None:
    assert colours_of(["developed", "Open Water", "UNDEVELOPED"]) == [
        (235, 0, 0),
        (70, 107, 159),
        (104, 171, 95),
    ]
    assert colours_of(["shrub_scrub"]) == colours_of(["Shrub/Scrub"])


@given(
    st.lists(
        st.sampled_from(["a", "b", "Forest", "Evergreen Forest", "x", "Developed"]) | st.text()
    )
)
def test_no_two_labels_have_one_colour(labels: list[str]) -> None:
    colours = colours_of(labels)
    assert len(colours) == len(set(colours)) == len(labels)
    assert all(0 <= part <= 255 for colour in colours for part in colour)


def test_real_legend_of_landfire(shared_data: Path) -> None:
    path = shared_data / "geo" / "landfire" / "LF20_EVT_220.csv"
    assert find_legend(str(path)).label_of(7011) == "Rocky Mountain Aspen Forest and Woodland"
    groups = find_legend(f"{path}:EVT_PHYS")
    assert "Conifer" in groups.names
    assert groups.label_of(-9999) is None
