"""What a classifier's file says about itself, besides the graph; and what of that is refused.

It is JSON in the metadata of the ONNX file, a stranger's text like everything else in it: it is
shown on terminals and pages, and numbers in it say how much memory an image gets.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from foveate.backbones import Card
from foveate.errors import ModelFileError
from foveate.image import Resize

FORMAT = 1

MOST_RESOLUTION = 4096
"""Pixels a side; training takes at most 1024."""

MOST_CHARACTERS = 2**24
"""Of the JSON: 100,000 labels of usual length, and all else, are a tenth of that."""

MOST_IN_A_LABEL = 1000
"""Characters; the longest name of a folder has 255."""


class Summary(BaseModel):
    """How a classifier came about, and how well it did.

    Attributes:
        classifier: kind of head.
        c: the chosen C, None for a forest.
        n_train: images trained on.
        n_test: images tested on.
        accuracy: on the test images, with its 95 % interval.
        accuracy_ci95: lower and upper end.
        seed: of split and head.
        foveate: version that trained it.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    classifier: str
    c: float | None
    n_train: int
    n_test: int
    accuracy: float | None = None
    accuracy_ci95: tuple[float, float] | None = None
    seed: int
    foveate: str


class Quantisation(BaseModel):
    """How a classifier's backbone was brought to int8, what that cost and what it gained.

    Attributes:
        precision: what the backbone computes in.
        n_calibration: training images that the ranges of the values come from.
        layers: of the backbone that have weights.
        left_out: names of those that were too sensitive and stay in floating point.
        n_test: images, never trained on, that both accuracies are of.
        precision_before: what the original computed in when it was measured.
        accuracy_before: of the original.
        accuracy_before_ci95: lower and upper end.
        accuracy_after: of this file.
        accuracy_after_ci95: lower and upper end.
        images_per_second_before: of the original network alone, on the machine that made the file.
        images_per_second_after: of this file's, in turn with the original.
        original: SHA-256 of the file it was made from.
        foveate: version that made it.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    precision: Literal["int8"] = "int8"
    n_calibration: int
    layers: int
    left_out: tuple[str, ...]
    n_test: int
    precision_before: str
    accuracy_before: float
    accuracy_before_ci95: tuple[float, float]
    accuracy_after: float
    accuracy_after_ci95: tuple[float, float]
    images_per_second_before: float
    images_per_second_after: float
    original: str
    foveate: str


class Parts(BaseModel):
    """SHA-256 of the parts of a file, in hexadecimal digits (see `digests`).

    Attributes:
        backbone: its nodes and weights.
        head: the same.
        trained_on: the list of training images.
    """

    model_config = ConfigDict(frozen=True)

    backbone: str
    head: str
    trained_on: str


class Metadata(BaseModel):
    """What the file says about itself, besides the graph.

    `quantisation` is None unless the backbone was brought to int8 after training; `parts` is None
    in files of before there were digests.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    format: int
    labels: tuple[str, ...]
    resolution: int
    resize: Literal["crop", "squash"]
    resize_in_words: str
    backbone: Card
    licence_of_weights: str
    training: Summary
    quantisation: Quantisation | None = None
    parts: Parts | None = None

    @property
    def preprocessing(self) -> Resize:
        """How an image becomes the pixels that the graph takes."""
        return Resize(self.resolution, self.resize)


RESIZE_IN_WORDS = {
    "crop": "Upright RGB. The centre square, 7/8 of the short side (all of the short side where it "
    "is below the resolution), resampled to resolution x resolution with antialiasing.",
    "squash": "Upright RGB. The whole image resampled to resolution x resolution with "
    "antialiasing; the aspect ratio is given up.",
}


def parse_metadata(text: str) -> Metadata:
    """What the JSON of a file says, checked.

    Raises:
        ModelFileError: it is not what a classifier says, or a value makes no sense.
    """
    if len(text) > MOST_CHARACTERS:
        raise ModelFileError(f"The metadata of this classifier is {len(text):,} characters long.")
    try:
        metadata = Metadata.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelFileError(
            "The metadata of this classifier cannot be read: "
            f"{f'‘{place}’: ' if place else ''}{first['msg']}."
        ) from None
    if metadata.format > FORMAT:
        raise ModelFileError(
            f"This classifier has file format {metadata.format}, this foveate reads {FORMAT}. "
            "Install a newer foveate."
        )
    if not 1 <= metadata.resolution <= MOST_RESOLUTION:
        raise ModelFileError(
            f"This classifier wants images of {metadata.resolution:,} pixels a side; 1 to "
            f"{MOST_RESOLUTION:,} can be."
        )
    fixed = metadata.backbone.fixed_resolution
    if fixed not in (None, metadata.resolution):
        raise ModelFileError(
            f"This classifier wants images of {metadata.resolution} pixels a side, its backbone "
            f"takes {fixed}."
        )
    check_labels(metadata.labels)
    _check_text(metadata.model_dump(exclude={"labels"}))
    return metadata


def check_labels(labels: Sequence[str]) -> None:
    """Refuse labels that cannot be told apart, or not be shown.

    Raises:
        ModelFileError: there are fewer than two, or one is empty, there twice, too long, or holds
            control characters.
    """
    if len(labels) < 2:
        raise ModelFileError(f"A classifier has at least two labels, this one {len(labels)}.")
    if len(set(labels)) < len(labels):
        twice = Counter(labels).most_common(1)[0][0]
        raise ModelFileError(f"The label ‘{_shown(twice)}’ is there twice in this classifier.")
    for number, label in enumerate(labels, start=1):
        if not label.strip():
            raise ModelFileError(f"Label {number} of this classifier is empty.")
        if len(label) > MOST_IN_A_LABEL:
            raise ModelFileError(
                f"The label ‘{_shown(label[:30])}…’ of this classifier has {len(label):,} "
                f"characters; {MOST_IN_A_LABEL:,} can be."
            )
    _check_text(labels)


def _check_text(value: object) -> None:
    """No control characters anywhere: they would rule the terminal that shows them."""
    if isinstance(value, str):
        if any(unicodedata.category(character) == "Cc" for character in value):
            raise ModelFileError(
                f"The text ‘{_shown(value[:100])}’ in the metadata of this classifier holds "
                "control characters."
            )
    elif isinstance(value, dict):
        _check_text(list(value.values()))
    elif isinstance(value, Iterable):
        for one in value:
            _check_text(one)


def _shown(text: str) -> str:
    return text.encode("unicode_escape").decode() if not text.isprintable() else text
