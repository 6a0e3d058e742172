"""Tests of foveate.evaluation.metrics."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_score, recall_score, roc_auc_score

from foveate.errors import SourceError
from foveate.evaluation.intervals import wilson
from foveate.evaluation.metrics import evaluate
from foveate.predictions import Predictions


def drawn(n: int, k: int, strength: float, seed: int = 0) -> Predictions:
    """Predictions of a classifier that is right the more often, the greater `strength`."""
    rng = np.random.default_rng(seed)
    known = np.r_[np.arange(k), rng.integers(0, k, n - k)]
    scores = rng.normal(size=(n, k))
    scores[np.arange(n), known] += strength
    scores = np.exp(scores)
    labels = tuple(f"label {index}" for index in range(k))
    return Predictions(
        labels=labels,
        paths=tuple(f"{index}.jpg" for index in range(n)),
        known=tuple(labels[index] for index in known),
        probabilities=(scores / scores.sum(axis=1, keepdims=True)).astype(np.float32),
        errors=(None,) * n,
    )


def answers(labels: str, known: str, predicted: str) -> Predictions:
    """One image per letter of `known`, predicted with probability 0.9."""
    k = len(labels)
    probabilities = np.full((len(known), k), 0.1 / (k - 1), np.float32)
    probabilities[np.arange(len(known)), [labels.index(letter) for letter in predicted]] = 0.9
    return Predictions(
        tuple(labels), tuple(known), tuple(known), probabilities, (None,) * len(known)
    )


def test_agrees_with_scikit_learn() -> None:
    predictions = drawn(400, 5, 1.5)
    evaluation = evaluate(predictions, resamples=200)
    known, said = predictions.known, predictions.predicted
    labels = list(predictions.labels)
    np.testing.assert_array_equal(
        evaluation.confusion, confusion_matrix(known, said, labels=labels)
    )
    measures = evaluation.per_class.values()
    assert list(evaluation.per_class) == labels
    np.testing.assert_allclose(
        [one.accuracy.value for one in measures],
        recall_score(known, said, labels=labels, average=None),
    )
    np.testing.assert_allclose(
        [one.precision.value for one in measures],
        precision_score(known, said, labels=labels, average=None),
    )
    assert evaluation.class_average_auc.value == pytest.approx(
        roc_auc_score(
            known, predictions.probabilities.astype(float), multi_class="ovr", labels=labels
        ),
        abs=1e-6,
    )


def test_a_small_example_by_hand() -> None:
    evaluation = evaluate(answers("abc", "aaaabbcc", "aaabbbca"), resamples=100)
    assert evaluation.n == 8
    assert evaluation.accuracy == wilson(6, 8)
    assert evaluation.class_average_accuracy.value == pytest.approx((0.75 + 1 + 0.5) / 3)
    assert evaluation.confusion.tolist() == [[3, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert evaluation.per_class["b"].precision == wilson(2, 3)
    assert evaluation.most_frequent == "a"
    assert evaluation.chance == 0.5


def test_only_known_and_read_images_are_measured_and_the_rest_is_counted() -> None:
    base = answers("ab", "aabbab", "ababab")
    probabilities = base.probabilities.copy()
    probabilities[0] = np.nan
    evaluation = evaluate(
        replace(
            base,
            known=("a", "a", "b", "b", None, "zebra"),
            probabilities=probabilities,
            errors=("truncated", None, None, None, None, None),
        ),
        resamples=50,
    )
    assert evaluation.n == 3
    assert evaluation.confusion.tolist() == [[0, 1], [1, 1]]
    assert evaluation.refused == 1
    assert evaluation.unlabelled == 1
    assert evaluation.unknown_labels == {"zebra": 1}


def test_a_label_without_test_images_is_unknown_not_zero() -> None:
    evaluation = evaluate(answers("abc", "aabb", "aaba"), resamples=50)
    assert evaluation.untested == ("c",)
    assert not evaluation.per_class["c"].accuracy.known
    assert not evaluation.per_class["c"].auc.known
    assert evaluation.per_class["c"].roc is None
    assert evaluation.class_average_accuracy.value == pytest.approx(0.75)
    written = evaluation.to_json()
    assert written["per_class"]["c"]["accuracy"] is None  # type: ignore[index]
    assert written["per_class"]["c"]["auc_ci95"] == [None, None]  # type: ignore[index]


def test_a_single_tested_label_has_no_auc() -> None:
    evaluation = evaluate(answers("ab", "aaa", "aab"), resamples=50)
    assert not evaluation.class_average_auc.known
    assert evaluation.chance == 1


def test_all_right_is_not_certainty() -> None:
    evaluation = evaluate(answers("abc", "aaaaabbbbbccccc", "aaaaabbbbbccccc"))
    for estimate in (evaluation.class_average_accuracy, evaluation.class_average_auc):
        assert estimate.value == 1
        assert estimate.high == 1
        assert estimate.low < 0.95
    assert evaluation.per_class["a"].auc.low < 0.95


def test_an_ordinary_interval_is_the_bootstrap_and_says_so() -> None:
    evaluation = evaluate(drawn(300, 3, 1.5))
    estimate = evaluation.class_average_accuracy
    assert estimate.method == "bootstrap within labels, 2,000 resamples"
    shares = [one.accuracy for one in evaluation.per_class.values()]
    error = sum(one.value * (1 - one.value) / one.n for one in shares) ** 0.5 / 3
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_intervals_cover_the_truth() -> None:
    """Class-average accuracy of known labels, 3 × 46 images, 200 repetitions."""
    rng = np.random.default_rng(0)
    shares = np.array([0.9, 0.94, 0.98])
    covered = 0
    for _ in range(200):
        said = []
        for label, share in zip("abc", shares, strict=True):
            right = rng.random(46) < share
            said += [label if ok else "abcab"["abc".index(label) + 1] for ok in right]
        known = "".join(label * 46 for label in "abc")
        estimate = evaluate(
            answers("abc", known, "".join(said)), resamples=200
        ).class_average_accuracy
        covered += estimate.low <= shares.mean() <= estimate.high
    assert covered >= 182


def test_same_seed_same_intervals() -> None:
    predictions = drawn(100, 3, 1.0)
    assert evaluate(predictions, seed=4).to_json() == evaluate(predictions, seed=4).to_json()
    assert evaluate(predictions, seed=4).to_json() != evaluate(predictions, seed=5).to_json()


def test_json_is_plain() -> None:
    written = evaluate(drawn(100, 3, 1.0), resamples=50).to_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    for name in ("accuracy", "accuracy_ci95", "class_average_accuracy", "n_test", "chance",
                 "class_average_accuracy_ci95", "per_class", "confusion", "calibration_error",
                 "log_loss"):  # fmt: skip
        assert name in written
    assert set(written["per_class"]["label 0"]) >= {  # type: ignore[index]
        "accuracy", "accuracy_ci95", "auc", "auc_ci95", "n",
    }  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_predictions_give_sound_measures(data: st.DataObject) -> None:
    k = data.draw(st.integers(2, 4))
    labels = "abcd"[:k]
    known = data.draw(st.text(labels, min_size=1, max_size=12))
    said = data.draw(st.text(labels, min_size=len(known), max_size=len(known)))
    evaluation = evaluate(answers(labels, known, said), resamples=20)
    assert evaluation.confusion.sum() == evaluation.n == len(known)
    estimates = [
        evaluation.accuracy,
        evaluation.class_average_accuracy,
        evaluation.class_average_auc,
    ]
    for one in evaluation.per_class.values():
        estimates += [one.accuracy, one.precision, one.auc]
    for estimate in estimates:
        assert not estimate.known or 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    json.dumps(evaluation.to_json(), allow_nan=False)


def test_nothing_to_measure_says_what_to_do() -> None:
    base = answers("ab", "ab", "ab")
    nan = np.full((2, 2), np.nan, np.float32)
    with pytest.raises(SourceError, match="None of the 2 images could be read"):
        evaluate(replace(base, probabilities=nan, errors=("empty", "empty")))
    with pytest.raises(SourceError, match="None of the 2 images has a known label"):
        evaluate(replace(base, known=(None, None)))
    with pytest.raises(SourceError, match="the images say ‘x’, ‘y’, the classifier says ‘a’, ‘b’"):
        evaluate(replace(base, known=("x", "y")))


def test_importing_the_room_is_light() -> None:
    script = (
        "import sys, foveate.evaluation, foveate.evaluation.metrics;"
        "print([m for m in ('scipy', 'sklearn', 'jinja2', 'pyarrow', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
