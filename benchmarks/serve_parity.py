"""The same photos by different ways, and how far their answers are apart."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import foveate
from benchmarks.load_http import TYPES, Form, body
from foveate import Classifier

CLIENTS = 8


@dataclass(frozen=True)
class Answers:
    """What one way said about some photos.

    Attributes:
        labels: the label of each.
        probabilities: (n, K), the labels in a fixed order.
    """

    labels: Sequence[str]
    probabilities: NDArray[np.float64]

    def other_labels(self, others: Answers) -> int:
        """Photos with another label."""
        return sum(a != b for a, b in zip(self.labels, others.labels, strict=True))

    def distance(self, others: Answers) -> float:
        """The largest difference of a probability."""
        return float(np.abs(self.probabilities - others.probabilities).max())


def by_python(classifier: Classifier, paths: Sequence[Path]) -> Answers:
    """`foveate.load(…).predict`."""
    found = classifier.predict([str(path) for path in paths])
    return Answers(
        [str(one.label) for one in found],
        np.array([[one.probabilities[label] for label in classifier.labels] for one in found]),
    )


def by_command(classifier: Classifier, model: Path, paths: Sequence[Path]) -> Answers:
    """`foveate predict … --json`."""
    return _answers(classifier, foveate("predict", model, *paths, "--json").json["predictions"])


def by_server(
    classifier: Classifier, url: str, paths: Sequence[Path], form: Form = "json"
) -> Answers:
    """POST /predict, a photo a request, from several clients so that batches of all sizes occur.

    Raises:
        RuntimeError: an answer is not 200.
    """

    def ask(path: Path) -> dict[str, Any]:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        headers = {"Content-Type": TYPES[form], "Connection": "close"}
        connection.request("POST", "/predict", body(path.read_bytes(), form), headers)
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{url} answered {answer.status}: {said[:500]!r}")
        prediction: dict[str, Any] = json.loads(said)["predictions"][0]
        return prediction

    with ThreadPoolExecutor(CLIENTS) as pool:
        return _answers(classifier, list(pool.map(ask, paths)))


def _answers(classifier: Classifier, found: Sequence[dict[str, Any]]) -> Answers:
    return Answers(
        [one["label"] for one in found],
        np.array([[one["probabilities"][label] for label in classifier.labels] for one in found]),
    )
