"""The classifier: load one model file, predict.

The file's graph is cut at `features`. The backbone runs in the fastest precision the machine has,
the head always in float32: so probabilities do not suffer from bfloat16, and features that
are cached already go through the very same head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from foveate import files
from foveate.catalog import read_file
from foveate.errors import ImageRefused, ModelFileError
from foveate.image import Limits, Resize, open_image, resize_pixels
from foveate.model_file import ID_BYTES, read_model
from foveate.runtime import Network, Precision, open_network, usable_cores
from foveate.runtime.onnxruntime import open_session
from foveate.runtime.untrusted import MOST_BYTES, first_line

ROWS_AT_ONCE = 4096
"""Rows of features that go through the head in one call: a few megabytes."""

SUM_TOLERANCE = 1e-3
"""By how much the probabilities of an image may miss 1: float32, of thousands of labels."""

ImageLike = str | Path | bytes | NDArray[np.uint8]
"""A path or URL, the bytes of an image file, or pixels (H, W, 3) uint8 RGB of any size."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says about one image.

    Attributes:
        path: the path or URL, None where the image did not come from one.
        label: the most probable label, None where the image was refused.
        probability: of that label.
        probabilities: label → probability; they sum to 1.
        error: why the image was refused, None where it was not.
    """

    path: str | None
    label: str | None
    probability: float | None
    probabilities: Mapping[str, float]
    error: str | None = None


class Classifier:
    """A loaded classifier. Make one with `foveate.load` or by training.

    Args:
        onnx_bytes: the whole file.
        precision: "auto" is bfloat16 where the CPU has it; the head is always float32.
        runtime: "auto" is OpenVINO where it can.
        workers: how many threads will call the network at once; all usable cores by default.
        batch: images a call; None is what the runtime is fastest with.

    Raises:
        ModelFileError: the bytes are not a foveate classifier, or one that cannot be run.
    """

    def __init__(
        self,
        onnx_bytes: bytes,
        *,
        precision: Precision = "auto",
        runtime: Literal["auto", "openvino", "onnxruntime"] = "auto",
        workers: int | None = None,
        batch: int | None = None,
    ) -> None:
        model = read_model(onnx_bytes)
        self.onnx_bytes = onnx_bytes
        self.backbone = model.backbone
        self.metadata = model.metadata
        self._trained_on = model.trained_on
        self._precision: Precision = precision
        self._runtime = runtime
        self._workers = workers
        self._batch = batch
        self._network: Network | None = None
        try:
            self._head = open_session(model.head)
        except RuntimeError as error:
            raise ModelFileError(
                f"The head of this classifier cannot be run: {first_line(error)}."
            ) from None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities."""
        return self.metadata.labels

    @property
    def resize(self) -> Resize:
        """How an image becomes pixels."""
        return self.metadata.preprocessing

    @property
    def id(self) -> str:
        """SHA-256 of the file."""
        return files.digest(self.onnx_bytes)

    @property
    def network(self) -> Network:
        """The backbone, compiled when it is first wanted."""
        if self._network is None:
            self._network = open_network(
                self.backbone,
                resolution=self.metadata.resolution,
                precision=self._precision,
                runtime=self._runtime,
                workers=self._workers,
                batch=self._batch,
            )
        return self._network

    # A string is a sequence of strings to the type checker, but one path to us.
    @overload
    def predict(self, images: ImageLike) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, images: Sequence[ImageLike]) -> list[Prediction]: ...
    def predict(self, images: ImageLike | Sequence[ImageLike]) -> Prediction | list[Prediction]:
        """Label and probabilities of one image, or of each of several.

        An image that cannot be used does not raise: its prediction carries the `error`.

        Raises:
            ModelFileError: the classifier cannot be run, or gives no probabilities.
        """
        if isinstance(images, str | Path | bytes | np.ndarray):
            return self.predict([images])[0]
        step = self.network.batch
        batches = [images[start : start + step] for start in range(0, len(images), step)]
        with ThreadPoolExecutor(usable_cores()) as pool:
            return list(chain.from_iterable(pool.map(self._predict_batch, batches)))

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (n, K) of features (n, d) that the backbone gave.

        Raises:
            ModelFileError: what the classifier gives for an image are no probabilities.
        """
        rows = self.unchecked_probabilities(features)
        if not (sound := are_probabilities(rows)).all():
            row = np.array2string(rows[~sound][0], precision=3, threshold=4)
            raise ModelFileError(
                f"This classifier does not give probabilities: {row} for one of {len(rows)} images."
            )
        return rows

    def unchecked_probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the head makes (n, K) of features (n, d); see `are_probabilities`.

        Raises:
            ModelFileError: it cannot be run on them.
        """
        starts = range(0, len(features), ROWS_AT_ONCE)
        parts = [self._run_head(features[start : start + ROWS_AT_ONCE]) for start in starts]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)), np.float32)

    def _run_head(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            rows: NDArray[np.float32] = self._head.run(["probabilities"], {"features": features})[0]
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types of its own
            raise ModelFileError(
                f"The head of this classifier cannot be run: {first_line(error)}."
            ) from None
        if rows.shape != (len(features), len(self.labels)) or rows.dtype != np.float32:
            raise ModelFileError(
                f"This classifier has {len(self.labels)} labels, but gives {rows.dtype} of shape "
                f"{rows.shape} for {len(features)} images."
            )
        return rows

    def was_trained_on(self, image_id: str) -> bool:
        """Whether an image, by its id (SHA-256 of its bytes), was in the training set."""
        return bytes.fromhex(image_id)[:ID_BYTES] in self._trained_on

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        files.write_bytes(Path(path), self.onnx_bytes)

    def _predict_batch(self, images: Sequence[ImageLike]) -> list[Prediction]:
        pixels: list[NDArray[np.uint8]] = []
        errors: list[str | None] = []
        for image in images:
            try:
                pixels.append(image_pixels(image, self.resize))
                errors.append(None)
            except ImageRefused as refusal:
                errors.append(str(refusal))
        rows = iter(self.probabilities(self.network.run(np.stack(pixels))) if pixels else ())
        return [
            self.prediction(_shown(image), next(rows))
            if error is None
            else Prediction(_shown(image), None, None, {}, error)
            for image, error in zip(images, errors, strict=True)
        ]

    def prediction(self, path: str | None, row: NDArray[np.float32]) -> Prediction:
        """One row of probabilities (K,) as a prediction."""
        best = int(row.argmax())
        return Prediction(
            path,
            self.labels[best],
            float(row[best]),
            {label: float(p) for label, p in zip(self.labels, row, strict=True)},
        )


def are_probabilities(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows (n,) of (n, K) are finite numbers, none below 0, that sum to 1."""
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is found all the same
        sums = rows.sum(axis=1, dtype=np.float64)
        sound: NDArray[np.bool_] = (rows >= 0).all(axis=1) & (abs(sums - 1) <= SUM_TOLERANCE)
    return sound


def load_classifier(path: str | Path, *, precision: Precision = "auto") -> Classifier:
    """Read a classifier from a path or URL.

    Raises:
        ModelFileError: it is not there or is not a foveate classifier.
    """
    try:
        data = files.read_whole(str(path), MOST_BYTES)
    except OSError as error:
        reason = error.strerror or error
        raise ModelFileError(f"The model ‘{path}’ cannot be read: {reason}.") from None
    try:
        return Classifier(data, precision=precision)
    except ModelFileError as error:
        raise ModelFileError(f"‘{path}’: {error}") from None


def image_pixels(image: ImageLike, resize: Resize) -> NDArray[np.uint8]:
    """Pixels (resolution, resolution, 3) uint8 RGB of one image.

    Raises:
        ImageRefused: it cannot be read or used.
    """
    if isinstance(image, np.ndarray):
        return resize_pixels(image, resize)
    if isinstance(image, bytes):
        return open_image(image).pixels(resize)
    file = files.file_entry(str(image))
    return open_image(read_file(file, Limits())).pixels(resize)


def _shown(image: ImageLike) -> str | None:
    return files.printable(str(image)) if isinstance(image, str | Path) else None
