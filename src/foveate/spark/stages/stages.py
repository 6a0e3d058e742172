"""Two stages for Spark ML pipelines, usable from a notebook with no other foveate command.

    from foveate.spark import ImageClassifierModel, ImageFeaturizer

    featurizer = ImageFeaturizer(inputCol="path", outputCol="features")
    Pipeline(stages=[featurizer, StringIndexer(…), LogisticRegression(…)]).fit(images)

    ImageClassifierModel(model="model.onnx", inputCol="path").transform(images)

Images are read and decoded on the workers with the same code as everywhere in foveate, and the
answers are the same as those of `foveate.featurize` and `Classifier.predict`.
"""

# ruff: noqa: N802 - Spark ML's own style of names

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import onnx
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasOutputCol, HasPredictionCol, HasProbabilityCol
from pyspark.ml.util import MLReadable
from pyspark.sql import functions as F  # noqa: N812 - as everybody imports it
from pyspark.sql.types import DataType, StringType

from foveate.backbones import find_backbone
from foveate.classifier import Classifier, load_classifier
from foveate.image import Resize
from foveate.settings import Settings, make_settings
from foveate.spark.stages.base import ImageStage, StorageOptions
from foveate.spark.stages.saving import StageReader

if TYPE_CHECKING:
    from pyspark.sql import Column

    from foveate.image import ResizeRule

DEFAULTS = Settings()
HOME = "foveate.spark"
"""The module that saved pipelines name, wherever the classes live."""


class ImageFeaturizer(ImageStage, HasOutputCol, MLReadable["ImageFeaturizer"]):
    """Images to features of a frozen, pretrained backbone.

    Adds two columns: the features, null where the image was refused, and the reason for that. The
    backbone is saved together with the stage.

    Args:
        inputCol: paths or URLs (string), or bytes of image files (binary, as in the column
            `content` of Spark's `binaryFile`).
        outputCol: for the features.
        errorCol: for the reason of a refusal, null where there was none; empty for no such column.
        backbone: name of the network, as in `foveate backbones list`.
        features: "depths" of the network or its "last".
        resolution: pixels a side.
        resize: "crop" or "squash".
        precision: "auto" (bfloat16 where the worker's CPU has it), "bfloat16" or "float32".
        outputType: "vector" (Spark ML's) or "array" (of floats, half the size).
        batch: images a call of the network; 0 is what the runtime is fastest with.
        storageOptions: how URLs are opened, see `setStorageOptions`; never saved.
    """

    __module__ = HOME

    backbone: Param[str] = Param(
        Params._dummy(),
        "backbone",
        "name of the pretrained network.",
        typeConverter=TypeConverters.toString,
    )
    features: Param[str] = Param(
        Params._dummy(),
        "features",
        "what is taken of the network: depths or last.",
        typeConverter=TypeConverters.toString,
    )
    resolution: Param[int] = Param(
        Params._dummy(), "resolution", "pixels a side.", typeConverter=TypeConverters.toInt
    )
    resize: Param[str] = Param(
        Params._dummy(),
        "resize",
        "crop (the centre of the image) or squash (all of it).",
        typeConverter=TypeConverters.toString,
    )

    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str = "features",
        errorCol: str = "error",
        backbone: str = DEFAULTS.backbone,
        features: str = DEFAULTS.features,
        resolution: int = DEFAULTS.resolution,
        resize: str = DEFAULTS.resize,
        precision: str = "auto",
        outputType: str = "vector",
        batch: int = 0,
        storageOptions: StorageOptions | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(
            outputCol="features",
            backbone=DEFAULTS.backbone,
            features=DEFAULTS.features,
            resolution=DEFAULTS.resolution,
            resize=DEFAULTS.resize,
        )
        self._saved: tuple[tuple[str, str], bytes] | None = None
        self.setStorageOptions(storageOptions or {})
        if inputCol is not None:
            self.setInputCol(inputCol)
        self._set(
            outputCol=outputCol,
            errorCol=errorCol,
            backbone=backbone,
            features=features,
            resolution=resolution,
            resize=resize,
            precision=precision,
            outputType=outputType,
            batch=batch,
        )

    def setOutputCol(self, value: str) -> Self:
        """Set the column for the features."""
        return self._set(outputCol=value)

    def setBackbone(self, value: str) -> Self:
        """Set the network, by name."""
        return self._set(backbone=value)

    def setFeatures(self, value: str) -> Self:
        """Set what is taken of the network: depths or last."""
        return self._set(features=value)

    def setResolution(self, value: int) -> Self:
        """Set the pixels a side."""
        return self._set(resolution=value)

    def setResize(self, value: str) -> Self:
        """Set how an image becomes a square: crop or squash."""
        return self._set(resize=value)

    def getBackbone(self) -> str:
        """The name of the network."""
        return self.getOrDefault(self.backbone)

    def getFeatures(self) -> str:
        """What is taken of the network: depths or last."""
        return self.getOrDefault(self.features)

    def getResolution(self) -> int:
        """Pixels a side."""
        return self.getOrDefault(self.resolution)

    def getResize(self) -> str:
        """How an image becomes a square: crop or squash."""
        return self.getOrDefault(self.resize)

    def check_values(self) -> None:
        """Look at the values of the parameters.

        Raises:
            SettingsError: one of them is wrong.
        """
        super().check_values()
        self._settings()

    def network_bytes(self) -> bytes:
        """The backbone's ONNX file.

        Raises:
            BackboneError: it is not here, or does not take images of this resolution.
        """
        made_of = (self.getBackbone(), self.getFeatures())
        if self._saved is not None and self._saved[0] == made_of:
            return self._saved[1]
        settings = self._settings()
        return find_backbone(
            self.getBackbone(), resolution=settings.resolution, features=settings.features
        ).onnx_bytes()

    @classmethod
    def from_saved(cls, network: bytes, metadata: dict[str, Any]) -> ImageFeaturizer:
        """Make it again from its files; used by `load`."""
        stage = cls()
        names = metadata["defaultParamMap"] | metadata["paramMap"]
        stage._saved = ((names["backbone"], names.get("features", "last")), network)
        return stage

    @classmethod
    def read(cls) -> StageReader[ImageFeaturizer]:
        """What loads a saved stage."""
        return StageReader(cls)

    def _settings(self) -> Settings:
        return make_settings(
            flags={
                "resolution": self.getResolution(),
                "resize": self.getResize(),
                "features": self.getFeatures(),
            }
        )

    def _resize(self) -> Resize:
        return Resize(self.getResolution(), cast("ResizeRule", self.getResize()))

    def _result_types(self) -> dict[str, DataType]:
        return {self.getOutputCol(): self._number_type()}

    def _results(self, outcome: str) -> Sequence[Column]:
        return [self._numbers(outcome, self.getOutputCol(), _dimension(self.network_bytes()))]


class ImageClassifierModel(
    ImageStage, HasPredictionCol, HasProbabilityCol, MLReadable["ImageClassifierModel"]
):
    """A trained classifier: images to labels and probabilities.

    Adds three columns: the most probable label (a string), the probabilities in the order of
    `labels`, both null where the image was refused, and the reason for that. The model file is
    saved together with the stage, so a saved pipeline needs nothing else.

    Args:
        model: path or URL of a model file, its bytes, or a `foveate.Classifier`.
        inputCol: paths or URLs (string), or bytes of image files (binary).
        predictionCol: for the label.
        probabilityCol: for the probabilities.
        errorCol: for the reason of a refusal, null where there was none; empty for no such column.
        precision: "auto" (bfloat16 where the worker's CPU has it), "bfloat16" or "float32".
        outputType: of the probabilities: "vector" (Spark ML's) or "array" (of floats).
        batch: images a call of the network; 0 is what the runtime is fastest with.
        storageOptions: how URLs are opened, see `setStorageOptions`; never saved.

    Raises:
        ModelFileError: there is no such file, or it is not a foveate classifier.
    """

    __module__ = HOME

    def __init__(
        self,
        *,
        model: str | Path | bytes | Classifier,
        inputCol: str | None = None,
        predictionCol: str = "prediction",
        probabilityCol: str = "probability",
        errorCol: str = "error",
        precision: str = "auto",
        outputType: str = "vector",
        batch: int = 0,
        storageOptions: StorageOptions | None = None,
    ) -> None:
        super().__init__()
        self._classifier = _as_classifier(model)
        self.setStorageOptions(storageOptions or {})
        if inputCol is not None:
            self.setInputCol(inputCol)
        self._set(
            predictionCol=predictionCol,
            probabilityCol=probabilityCol,
            errorCol=errorCol,
            precision=precision,
            outputType=outputType,
            batch=batch,
        )

    @classmethod
    def fromFile(cls, path: str | Path, **params: Any) -> ImageClassifierModel:
        """The same as `ImageClassifierModel(model=path, …)`.

        Raises:
            ModelFileError: there is no such file, or it is not a foveate classifier.
        """
        return cls(model=path, **params)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities."""
        return self._classifier.labels

    def setPredictionCol(self, value: str) -> Self:
        """Set the column for the label."""
        return self._set(predictionCol=value)

    def setProbabilityCol(self, value: str) -> Self:
        """Set the column for the probabilities."""
        return self._set(probabilityCol=value)

    def network_bytes(self) -> bytes:
        """The model file."""
        return self._classifier.onnx_bytes

    @classmethod
    def from_saved(cls, network: bytes, metadata: dict[str, Any]) -> ImageClassifierModel:  # noqa: ARG003 - the contract
        """Make it again from its files; used by `load`."""
        return cls(model=network)

    @classmethod
    def read(cls) -> StageReader[ImageClassifierModel]:
        """What loads a saved stage."""
        return StageReader(cls)

    def _resize(self) -> None:
        return None

    def _result_types(self) -> dict[str, DataType]:
        return {
            self.getPredictionCol(): StringType(),
            self.getProbabilityCol(): self._number_type(),
        }

    def _results(self, outcome: str) -> Sequence[Column]:
        return [
            F.col(f"{outcome}.label").alias(self.getPredictionCol()),
            self._numbers(outcome, self.getProbabilityCol(), len(self.labels)),
        ]


def _as_classifier(model: str | Path | bytes | Classifier) -> Classifier:
    if isinstance(model, Classifier):
        return model
    return Classifier(model) if isinstance(model, bytes) else load_classifier(model)


def _dimension(network: bytes) -> int:
    """Features per image of an ONNX backbone."""
    shape = onnx.load_from_string(network).graph.output[0].type.tensor_type.shape
    size: int = shape.dim[1].dim_value
    return size
