"""Tests of foveate.evaluation.paired."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.evaluation.comparison import compare_paired
from foveate.evaluation.intervals import tango, wilson
from foveate.evaluation.metrics import evaluate
from foveate.evaluation.paired import (
    Answer,
    DifferentTestSets,
    Disagreement,
    Paired,
    compare_predictions,
    compare_with_first,
    disagreements,
)
from foveate.predictions import Predictions


def answers(known: str, said: str, labels: str = "abc", sure: float = 0.9) -> Predictions:
    """One image per letter of `known`; image k has the path `k.jpg` and the id `idk`."""
    probabilities = np.full((len(known), len(labels)), (1 - sure) / (len(labels) - 1), np.float32)
    probabilities[np.arange(len(known)), [labels.index(letter) for letter in said]] = sure
    return Predictions(
        labels=tuple(labels),
        paths=tuple(f"{row}.jpg" for row in range(len(known))),
        known=tuple(known),
        probabilities=probabilities,
        errors=(None,) * len(known),
        ids=tuple(f"id{row}" for row in range(len(known))),
    )


def paired(a: Predictions, b: Predictions, resamples: int = 100) -> Paired:
    found = compare_predictions(a, b, resamples=resamples)
    assert isinstance(found, Paired)
    return found


def different(a: Predictions, b: Predictions) -> DifferentTestSets:
    found = compare_predictions(a, b)
    assert isinstance(found, DifferentTestSets)
    return found


def refused(predictions: Predictions, row: int) -> Predictions:
    probabilities = predictions.probabilities.copy()
    probabilities[row] = np.nan
    errors = list(predictions.errors)
    errors[row] = "truncated"
    return replace(predictions, probabilities=probabilities, errors=tuple(errors))


KNOWN = "aaaabbbbcc"
ONE = answers(KNOWN, "aaabbbbbca")
OTHER = answers(KNOWN, "aabcbbbacc", sure=0.7)


def test_a_small_example_by_hand() -> None:
    found = paired(ONE, OTHER)
    assert found.comparison == compare_paired(ONE.right, OTHER.right)
    assert (found.comparison.only_a, found.comparison.only_b) == (2, 1)
    assert found.bootstrap.value == found.comparison.difference.value == pytest.approx(0.1)
    assert found.class_average.value == pytest.approx((1 / 4 + 1 / 4 - 1 / 2) / 3)
    assert found.left_out == 0
    assert list(found.per_label) == ["a", "b", "c"]
    a = found.per_label["a"]
    assert (a.n, a.accuracy_a, a.accuracy_b) == (4, wilson(3, 4), wilson(2, 4))
    assert a.difference == tango(1, 0, 4)


def test_the_accuracies_are_those_of_the_evaluations() -> None:
    found, one, other = (
        paired(ONE, OTHER),
        evaluate(ONE, resamples=20),
        evaluate(OTHER, resamples=20),
    )
    assert found.comparison.accuracy_a == one.accuracy
    assert found.comparison.accuracy_b == other.accuracy
    for label, measures in found.per_label.items():
        assert measures.accuracy_a == one.per_class[label].accuracy
        assert measures.accuracy_b == other.per_class[label].accuracy
    assert found.class_average.value == pytest.approx(
        one.class_average_accuracy.value - other.class_average_accuracy.value
    )


def test_images_on_which_they_disagree_the_surest_first() -> None:
    probabilities = OTHER.probabilities.copy()
    probabilities[7] = [0.8, 0.1, 0.1]
    found = paired(ONE, replace(OTHER, probabilities=probabilities)).disagreements
    # In row 3 both are wrong, each in its own way.
    assert [one.path for one in found] == ["7.jpg", "2.jpg", "3.jpg", "9.jpg"]
    first = found[0]
    assert (first.known, first.answers[0].label, first.answers[1].label) == ("b", "b", "a")
    assert [one.probability for one in first.answers] == pytest.approx([0.9, 0.8])
    assert first.confidence == pytest.approx(0.8)


def test_the_surest_of_several_answers() -> None:
    said = [Answer("a", 0.9), Answer("a", 0.95), Answer("b", 0.6), Answer("c", 0.7)]
    assert Disagreement("x.jpg", "a", tuple(said)).confidence == 0.7


def test_rows_in_another_order_change_nothing() -> None:
    assert paired(ONE, OTHER.take(range(9, -1, -1))) == paired(ONE, OTHER)
    assert paired(ONE.take([3, 1, 2, 0, *range(4, 10)]), OTHER) == paired(ONE, OTHER)


def test_images_are_known_by_their_bytes_whatever_they_are_called() -> None:
    moved = replace(OTHER, paths=tuple(f"elsewhere/{path}" for path in OTHER.paths))
    found = paired(ONE, moved)
    assert found == paired(ONE, OTHER)
    assert found.disagreements[0].path in ONE.paths
    assert different(replace(ONE, ids=None), moved).n_shared == 0


def test_without_ids_images_are_known_by_their_paths() -> None:
    assert paired(replace(ONE, ids=None), OTHER) == paired(ONE, OTHER)
    assert paired(ONE, replace(OTHER, ids=None)) == paired(ONE, OTHER)


def test_copies_of_an_image_count_as_often_as_they_are_there() -> None:
    ids = ("same", "same", "same", *(f"id{row}" for row in range(3, 10)))
    one, other = replace(ONE, ids=ids), replace(OTHER, ids=ids)
    found = paired(one, other.take([2, 0, 1, *range(3, 10)]))
    assert found.comparison.n == 10
    assert found.comparison.difference == paired(ONE, OTHER).comparison.difference
    assert different(one, other.take([0, 1, *range(3, 10)])).n_shared == 9


def test_other_images_are_not_compared() -> None:
    found = different(ONE, OTHER.take(range(4)))
    assert (found.n_a, found.n_b, found.n_shared, found.relabelled) == (10, 4, 4, 0)
    assert found.sentence("Refined", "Frozen") == (
        "Refined was tested on 10 images and Frozen on 4 images, of which 4 are the same. A "
        "difference may come from the images, so there is no paired test; evaluate both on the "
        "same images to compare them."
    )
    assert "tested on 1 image and" in different(ONE.take([0]), OTHER).sentence("x", "y")


def test_other_known_labels_are_not_compared() -> None:
    found = different(ONE, replace(OTHER, known=tuple("aaaabbbbca")))
    assert found.same_images
    assert found.sentence("Refined", "Frozen") == (
        "Refined and Frozen were tested on the same 10 images, but 1 of them has another known "
        "label, so there is no paired test. Evaluate both again with the labels as they are now "
        "to compare them."
    )
    some = different(ONE, replace(OTHER, known=tuple("abaabbbbca")).take(range(9)))
    assert (some.n_shared, some.relabelled) == (9, 1)
    assert "9 are the same (1 with another known label)." in some.sentence("x", "y")


def test_images_that_one_could_not_read_or_name_are_left_out() -> None:
    found = paired(refused(ONE, 2), refused(OTHER, 5))
    assert (found.comparison.n, found.left_out) == (8, 2)
    fewer = answers("aaaabbbb", "aabcbbba", sure=0.7)
    # A classifier that lacks a label was given its images all the same.
    without = replace(
        OTHER,
        labels=("a", "b"),
        probabilities=OTHER.probabilities[:, :2] / OTHER.probabilities[:, :2].sum(1, keepdims=True),
    )
    found = paired(ONE, without)
    assert (found.comparison.n, found.left_out) == (8, 2)
    assert list(found.per_label) == ["a", "b"]
    assert found.comparison.n == evaluate(fewer, resamples=20).n


def test_images_without_a_known_label_do_not_matter() -> None:
    more = answers(KNOWN + "aa", "aaabbbbbcaaa")
    unlabelled = replace(more, known=(*KNOWN, None, None))
    assert paired(unlabelled, OTHER) == paired(ONE, OTHER)


def test_nothing_that_both_measured() -> None:
    one, other = answers("ab", "ab"), answers("ab", "ba")
    found = different(refused(one, 0), refused(other, 1))
    assert found.sentence("x", "y") == (
        "x and y were tested on the same 2 images, but there is none that both could read and "
        "whose label both have, so there is no paired test."
    )


def test_labels_in_another_order_are_the_same_labels() -> None:
    turned = answers(KNOWN, "aabcbbbacc", labels="cab", sure=0.7)
    found = paired(ONE, turned)
    assert found.comparison == paired(ONE, OTHER).comparison
    assert list(found.per_label) == ["a", "b", "c"]


ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.sampled_from("abc")),
    min_size=1,
    max_size=60,
)


@given(ROWS)
def test_what_always_holds(rows: list[tuple[str, str, str]]) -> None:
    known, said_a, said_b = ("".join(side) for side in zip(*rows, strict=True))
    one, other = answers(known, said_a), answers(known, said_b, sure=0.8)
    found = paired(one, other)
    for estimate in (found.bootstrap, found.class_average):
        assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.low < estimate.high
    assert sum(label.n for label in found.per_label.values()) == len(rows)
    assert len(found.disagreements) == sum(a != b for _, a, b in rows)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()


@given(ROWS)
def test_the_order_of_the_two_changes_only_signs(rows: list[tuple[str, str, str]]) -> None:
    known, said_a, said_b = ("".join(side) for side in zip(*rows, strict=True))
    one, other = answers(known, said_a), answers(known, said_b, sure=0.8)
    found, turned = paired(one, other), paired(other, one)
    assert turned.comparison.difference.value == -found.comparison.difference.value
    assert turned.bootstrap.value == pytest.approx(-found.bootstrap.value)
    assert turned.class_average.value == pytest.approx(-found.class_average.value)
    for label, measures in found.per_label.items():
        assert turned.per_label[label].difference.value == -measures.difference.value
        assert turned.per_label[label].accuracy_a == measures.accuracy_b
    assert [one.path for one in turned.disagreements] == [one.path for one in found.disagreements]


@given(ROWS, st.randoms())
def test_the_order_of_the_images_changes_nothing(
    rows: list[tuple[str, str, str]], random: Random
) -> None:
    known, said_a, said_b = ("".join(side) for side in zip(*rows, strict=True))
    one, other = answers(known, said_a), answers(known, said_b, sure=0.8)
    order = list(range(len(rows)))
    random.shuffle(order)
    assert paired(one.take(order), other) == paired(one, other)


def test_several_are_compared_with_the_first_and_corrected() -> None:
    known = "ab" * 60
    first = answers(known, "ab" * 45 + "ba" * 15, "ab")
    better = answers(known, "ab" * 51 + "ba" * 9, "ab")
    best = answers(known, known, "ab")
    elsewhere = answers(known[:80], known[:80], "ab")
    slightly, lost, clearly = compare_with_first([first, better, elsewhere, best], resamples=50)
    assert isinstance(lost, DifferentTestSets)
    assert isinstance(slightly, Paired)
    assert isinstance(clearly, Paired)
    # The first is b: what is better than it has a difference above 0.
    assert clearly.comparison.difference.value == 0.25
    assert clearly.comparison.tests == 2
    assert clearly.comparison.p_holm == pytest.approx(2 * clearly.comparison.p)
    assert slightly.comparison.p_holm == slightly.comparison.p
    assert replace(slightly.comparison, tests=1) == paired(better, first, 50).comparison
    assert clearly.sentence("best", "first").startswith("best is better than first by 25.0 points")


def test_two_alone_need_no_correction() -> None:
    (one,) = compare_with_first([OTHER, ONE], resamples=100)
    assert one == paired(ONE, OTHER)


def test_disagreements_of_three() -> None:
    third = answers(KNOWN, "aaabbbbacc", sure=0.6).take(range(9, -1, -1))
    found = disagreements([ONE, OTHER, third])
    assert {one.path for one in found} == {"2.jpg", "3.jpg", "7.jpg", "9.jpg"}
    nine = next(one for one in found if one.path == "9.jpg")
    assert [one.label for one in nine.answers] == ["a", "c", "c"]
    without = disagreements([ONE, OTHER, refused(third, 0)])
    assert {one.path for one in without} == {"2.jpg", "3.jpg", "7.jpg"}
    with pytest.raises(ValueError, match="different test sets"):
        disagreements([ONE, OTHER.take(range(5))])


def test_different_test_sets_as_json() -> None:
    written = different(ONE, OTHER.take(range(4))).to_json()
    assert written == {"paired": False, "n_a": 10, "n_b": 4, "n_shared": 4, "relabelled": 0}


def test_same_seed_same_intervals() -> None:
    assert compare_predictions(ONE, OTHER, seed=3) == compare_predictions(ONE, OTHER, seed=3)


def test_ten_thousand_images_take_less_than_a_second() -> None:
    rng = np.random.default_rng(0)
    known = "".join(rng.choice(list("abcdefgh"), 10_000))
    said = ["".join(np.where(rng.random(10_000) < 0.9, list(known), "a")) for _ in range(2)]
    one, other = (answers(known, word, "abcdefgh") for word in said)
    started = process_time()
    found = paired(one, other, resamples=2000)
    assert process_time() - started < 1
    assert len(found.disagreements) > 1000
