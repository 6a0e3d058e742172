"""Every parameter, its default and its one-line explanation: the only such place.

Values come, later ones winning, from the defaults here, from `foveate.toml` in a project, from
`--set key=value`, and from the flags of a command.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from foveate.errors import SettingsError

if TYPE_CHECKING:
    from foveate.image import Limits

FeatureKind = Literal["depths", "last"]
Depth = Literal["last_only", "head", "all"]
Schedule = Literal["cosine", "step"]
Augment = Literal["none", "light", "strong"]
Orientation = Literal["upright", "any"]

EPOCHS: Mapping[Schedule, int] = {"cosine": 5, "step": 45}
"""Passes over the images where the settings leave it open. A pretrained network whose last layer
fits already has learned a few hundred images after four or five; then it learns them by heart."""

LEARNING_RATES: Mapping[Schedule, float] = {"cosine": 5e-4, "step": 0.01}
"""The peak learning rate where the settings leave it open."""

LEAST_RESOLUTION, MOST_RESOLUTION = 64, 1024
"""Pixels a side that an image is given to a network with."""

MINUTES = 10.0
"""That a search for the best settings may take."""

CALIBRATION_IMAGES = 300
"""Of training, for int8. On EfficientNet-Lite0, 50 and 200 leave the same error of the features."""

FILE_NAME = "foveate.toml"
OTHER_TABLES = ("targets",)
"""Tables of the file that are no settings; see `foveate.targets`."""

_TARGET_TEMPLATE = """
# Clusters to send work to, with `--target NAME`. Keep them below all settings.
# `foveate target check county` proves that one can be used.
#
# [targets.county]
# master = "spark://head:7077"
# executors = 8
# cores = 4
# memory = "6g"
# storage = "abfs://work@account.dfs.core.windows.net/foveate"
#
# [targets.county.storage_options.abfs]
# account_name = "account"
# account_key = "env:AZURE_STORAGE_KEY"
"""


class Settings(BaseModel):
    """The settings of a training.

    Raises:
        pydantic.ValidationError: a value is out of range (`make_settings` says it in a sentence).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    backbone: str = Field("efficientnet-lite0", description="pretrained network, by name")
    resolution: int = Field(
        224,
        ge=LEAST_RESOLUTION,
        le=MOST_RESOLUTION,
        description="pixels a side; more sees finer detail, at more time; refining chooses one by "
        "the images and the time where none is given",
    )
    resize: Literal["crop", "squash"] = Field(
        "crop",
        description="crop: the centre of the image; squash: all of it, aspect ratio given up",
    )
    features: FeatureKind = Field(
        "last",
        description="what the head sees of a network; last: what is left after its last layer; "
        "depths: what its layers from first to last say of the image",
    )
    classifier: Literal["svm", "logistic", "forest", "dnn", "svm-dnn"] = Field(
        "svm",
        description="svm, logistic (regression), (random) forest on frozen features; dnn: the "
        "network refined; svm-dnn: an SVM on the refined network's features",
    )
    c: tuple[float, ...] = Field(
        (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0),
        description="values of C to choose from by cross-validation (svm, logistic)",
    )
    class_weight: Literal["none", "balanced"] = Field(
        "none", description="balanced: rare labels count as much as frequent ones"
    )
    folds: int = Field(5, ge=2, le=20, description="folds of the cross-validation")
    trees: int = Field(300, ge=64, le=10_000, description="trees of the random forest")
    depth: Depth = Field(
        "all",
        description="what refining trains: a new last layer only; the head of the network, too "
        "(its fully connected layers or last stage); or all of it",
    )
    epochs: int = Field(
        0,
        ge=0,
        le=10_000,
        description=f"passes over the images, at most; 0: {EPOCHS['cosine']} (cosine), "
        f"{EPOCHS['step']} (step)",
    )
    minibatch: int = Field(16, ge=1, le=4096, description="images a step of refining learns from")
    schedule: Schedule = Field(
        "cosine",
        description="how refining learns; cosine: AdamW, warm-up, slower near the input; step: "
        "SGD, a tenth of the rate after 20 and after 40 of 45 epochs",
    )
    learning_rate: float = Field(
        0.0,
        ge=0,
        description="at its peak; 0: what suits the schedule "
        f"({LEARNING_RATES['cosine']:g}; {LEARNING_RATES['step']:g})",
    )
    layer_decay: float = Field(
        0.8, gt=0, le=1, description="rate of each stage over that of the next (cosine)"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD (step)")
    weight_decay: float = Field(5e-4, ge=0, description="how strongly weights are drawn to zero")
    ema: float = Field(
        0.98, ge=0, lt=1, description="memory of the weights' moving average; 0: no average"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="share of features left out in a step")
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="share of each label spread over all labels"
    )
    augment: Augment = Field(
        "light",
        description="views to learn from; light: crops and mirror images; strong: also smaller "
        "crops, turned, recoloured, partly hidden",
    )
    orientation: Orientation = Field(
        "upright", description="any: images have no upper side (aerial, microscope)"
    )
    mixup: float = Field(0.0, ge=0, description="mix pairs of images (0.2 is usual); 0: never")
    validation_share: float = Field(
        0.15, ge=0, lt=1, description="share of the training images that says when to stop"
    )
    patience: int = Field(
        8, ge=0, description="epochs without progress on those after which to stop; 0: never"
    )
    images_per_epoch: int = Field(0, ge=0, description="images an epoch, at most; 0: all")
    device: str = Field("auto", description="where to refine: auto, cpu, cuda, cuda:1, …")
    test_share: float = Field(0.25, gt=0, lt=1, description="share of each label to test on")
    split: Literal["auto", "image", "subfolder", "block"] = Field(
        "auto",
        description="what is dealt to train and test: images, whole subfolders of a label, or "
        "blocks of land; auto: blocks where the images say where they lie, else images",
    )
    block_size: float = Field(
        0.0, ge=0, description="metres a side of a block of land; 0: so that there are about 30"
    )
    block_buffer: float = Field(
        224.0, ge=0, description="metres at least between images to train and to test on (block)"
    )
    test_list: str | None = Field(
        None, description="a file that lists the images to test on, one path a line"
    )
    near_duplicate_bits: int = Field(
        12,
        ge=0,
        le=64,
        description="images whose 256-bit hashes differ in at most so many bits stay on one side",
    )
    exclude: tuple[str, ...] = Field((), description="labels to leave out")
    seed: int = Field(0, ge=0, description="of the split and the head; same seed, same result")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="auto: bfloat16 where the CPU has it"
    )
    runtime: Literal["auto", "openvino", "onnxruntime"] = Field(
        "auto", description="what runs the network; auto: OpenVINO where it can"
    )
    workers: int = Field(0, ge=0, le=1024, description="threads; 0: one a core")
    tracking: str = Field(
        "", description="MLflow tracking URI of the run history; empty: runs.db in the project"
    )
    max_megabytes: int = Field(256, ge=1, description="larger files are refused")
    max_megapixels: int = Field(100, ge=1, description="larger images are refused")

    @property
    def refines(self) -> bool:
        """Whether the backbone is refined rather than taken as it is."""
        return self.classifier in ("dnn", "svm-dnn")

    @property
    def head(self) -> Literal["svm", "logistic", "forest"]:
        """What is fitted on features; of a refined network, what it is compared with."""
        if self.classifier == "dnn" or self.classifier == "svm-dnn":
            return "svm"
        return self.classifier

    @property
    def limits(self) -> Limits:
        """The largest image that they accept."""
        from foveate.image import DEFAULT_LIMITS, Limits

        return Limits(
            max_bytes=self.max_megabytes * 2**20,
            max_pixels=self.max_megapixels * 1_000_000,
            # Who wants larger images gives them the memory: as much a pixel as by default.
            max_memory=max(DEFAULT_LIMITS.max_memory, 20 * self.max_megapixels * 1_000_000),
        )

    def as_text(self) -> dict[str, str]:
        """Every setting as text, by name."""
        return {
            name: json.dumps(value) if isinstance(value, list) else str(value)
            for name, value in self.model_dump(mode="json").items()
        }

    @field_validator("c", "exclude", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str | int | float) else value

    @field_validator("test_list")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None

    @field_validator("tracking")
    @classmethod
    def _no_password(cls, value: str) -> str:
        if "@" in value.partition("//")[2].partition("/")[0]:
            raise ValueError(
                "settings are shown in reports, so no password goes there; set it in the "
                "environment, as MLFLOW_TRACKING_URI or MLFLOW_TRACKING_PASSWORD"
            )
        return value

    @field_validator("c")
    @classmethod
    def _c_is_positive(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values or not all(value > 0 for value in values):
            raise ValueError("must be one or more numbers above 0")
        return tuple(sorted(set(values)))


def make_settings(
    project: Path | None = None,
    assignments: Iterable[str] = (),
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """Settings from a project's file, from `key=value` assignments and from flags.

    Args:
        project: folder that may hold a `foveate.toml`.
        assignments: as given to `--set`; a value is TOML, or else plain text.
        flags: values by name; None where a flag was not given.

    Raises:
        SettingsError: unknown name, wrong value, or a settings file that cannot be read.
    """
    values = read_settings_file(project / FILE_NAME) if project is not None else {}
    for table in OTHER_TABLES:
        values.pop(table, None)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise SettingsError(f"‘{assignment}’ is not of the form key=value.")
        values[name.strip().replace("-", "_")] = _parse_value(text.strip())
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_in_words(error)) from None


def read_settings_file(path: Path) -> dict[str, object]:
    """The values in a settings file; none where there is no such file.

    Raises:
        SettingsError: it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"‘{path}’ cannot be read as TOML: {error}") from None


def settings_template() -> str:
    """The text of a new `foveate.toml`: every parameter explained, each with its default."""
    lines = [
        "# Settings of this foveate project. Every line shows a default;",
        "# take the # away to change it. The command line wins over this file.",
    ]
    for name, field in Settings.model_fields.items():
        lines += ["", f"# {field.description}", f"#{name} = {_as_toml(field.default)}"]
    return "\n".join(lines) + "\n" + _TARGET_TEMPLATE


def _as_toml(value: object) -> str:
    # JSON's numbers, strings and arrays are TOML's, too.
    return '""' if value is None else json.dumps(value)


def _parse_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _in_words(error: ValidationError) -> str:
    sentences = []
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else "settings"
        if problem["type"] == "extra_forbidden":
            known = ", ".join(Settings.model_fields)
            sentences.append(f"There is no setting ‘{name}’. The settings are: {known}.")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            sentences.append(f"{name} = {problem['input']!r}: {message}.")
    return " ".join(sentences)
