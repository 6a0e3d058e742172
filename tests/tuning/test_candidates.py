from __future__ import annotations

import pytest

from foveate.errors import BackboneError, SettingsError
from foveate.settings import Settings
from foveate.tuning.candidates import HEADS, Candidate, Space

EMBEDDED = "efficientnet-lite0"
ALL = [224, 320, 448, 896]


def resolutions(space: Space, detail: float) -> list[int]:
    return sorted({one.resolution for one in space.candidates(detail)})


def test_the_default_of_train_comes_first() -> None:
    found = Space.of(Settings()).candidates(640)
    assert found[0] == Candidate(EMBEDDED, 224, "svm")
    assert len(found) == len(set(found)) == 4 * 3


def test_a_project_begins_with_its_own_setting() -> None:
    found = Space.of(Settings(resolution=300, classifier="forest")).candidates(640)
    assert found[0] == Candidate(EMBEDDED, 300, "forest")


def test_who_refines_begins_with_an_svm() -> None:
    assert Space.of(Settings(classifier="dnn")).candidates(640)[0].classifier == "svm"


def test_heads_on_the_same_features_follow_each_other_and_cheap_ones_come_first(
    add_backbone,
) -> None:
    add_backbone("small", parameters=1_000)
    found = Space.of(Settings()).candidates(640)
    extractors = list(dict.fromkeys(one.extractor for one in found))
    assert [one.extractor for one in found] == [one for one in extractors for _ in HEADS]
    assert extractors[:3] == [(EMBEDDED, 224), ("small", 224), ("small", 320)]
    assert extractors[-1] == (EMBEDDED, 896)


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        (64, [224]),
        (112, [224]),
        (160, [224, 320]),
        (447, [224, 320, 448]),
        (448, [224, 320, 448, 896]),
    ],
)
def test_images_are_enlarged_to_twice_their_size_at_most(
    detail: float, expected: list[int]
) -> None:
    assert resolutions(Space.of(Settings()), detail) == expected


def test_a_resolution_that_was_named_is_tried_whatever_the_detail() -> None:
    assert resolutions(Space.of(Settings(), resolutions=[448, 320]), 64) == [320, 448]


def test_without_the_default_what_comes_closest_begins(add_backbone) -> None:
    add_backbone("other")
    space = Space.of(Settings(), ["other"], [320, 96], ["forest", "logistic"])
    assert space.candidates(640)[0] == Candidate("other", 96, "logistic")
    space = Space.of(Settings(), [], [320, 224], ["forest"])
    assert space.candidates(640)[0] == Candidate(EMBEDDED, 224, "forest")


def test_a_backbone_of_one_resolution_is_tried_at_that(add_backbone) -> None:
    add_backbone("fixed", fixed_resolution=240)
    found = Space.of(Settings()).candidates(640)
    assert {one.resolution for one in found if one.backbone == "fixed"} == {240}
    found = Space.of(Settings(), resolutions=[224]).candidates(640)
    assert {one.backbone for one in found} == {EMBEDDED}


def test_a_resolution_that_no_backbone_takes(add_backbone) -> None:
    add_backbone("fixed", fixed_resolution=240)
    with pytest.raises(BackboneError, match=r"No backbone takes images of 300 px .* 240 px"):
        Space.of(Settings(), ["fixed"], [300])


@pytest.mark.parametrize("name", ["dnn", "svm-dnn"])
def test_refining_is_not_searched(name: str) -> None:
    with pytest.raises(SettingsError, match=f"not searched.*--classifier {name}"):
        Space.of(Settings(), classifiers=[name])


def test_what_there_is_not() -> None:
    with pytest.raises(SettingsError, match="No head is called ‘cnn’"):
        Space.of(Settings(), classifiers=["cnn"])
    with pytest.raises(BackboneError, match="There is no backbone"):
        Space.of(Settings(), ["resnet9000"])
    with pytest.raises(SettingsError, match="resolution = 3"):
        Space.of(Settings(), resolutions=[3])


def test_a_candidate_changes_nothing_but_its_own_settings() -> None:
    others = Settings(seed=3, folds=4, classifier="dnn")
    made = Candidate(EMBEDDED, 448, "logistic").settings(others)
    assert (made.resolution, made.classifier, made.seed, made.folds) == (448, "logistic", 3, 4)
