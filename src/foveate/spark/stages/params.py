"""Parameters that the pipeline stages share."""

# ruff: noqa: N802, N815 - Spark ML's own style of names

from __future__ import annotations

from typing import Self

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol

from foveate.errors import SettingsError
from foveate.settings import make_settings


class ImageParams(HasInputCol):
    """What every stage on images can be told."""

    errorCol: Param[str] = Param(
        Params._dummy(),
        "errorCol",
        "column for the reason why an image was refused, null where it was not; empty for none.",
        typeConverter=TypeConverters.toString,
    )
    outputType: Param[str] = Param(
        Params._dummy(),
        "outputType",
        "vector (Spark ML's, of doubles) or array (of floats).",
        typeConverter=TypeConverters.toString,
    )
    precision: Param[str] = Param(
        Params._dummy(),
        "precision",
        "auto (bfloat16 where the CPU has it), bfloat16 or float32.",
        typeConverter=TypeConverters.toString,
    )
    batch: Param[int] = Param(
        Params._dummy(),
        "batch",
        "images a call of the network; 0 is what the runtime is fastest with.",
        typeConverter=TypeConverters.toInt,
    )

    def __init__(self) -> None:
        super().__init__()
        self._setDefault(errorCol="error", outputType="vector", precision="auto", batch=0)

    def setInputCol(self, value: str) -> Self:
        """Set the column of images: paths or URLs (string), or whole image files (binary)."""
        return self._set(inputCol=value)

    def setErrorCol(self, value: str) -> Self:
        """Set the column for the reason of a refusal; empty for none."""
        return self._set(errorCol=value)

    def setOutputType(self, value: str) -> Self:
        """Set the type of the result: vector or array."""
        return self._set(outputType=value)

    def setPrecision(self, value: str) -> Self:
        """Set what the network computes in: auto, bfloat16 or float32."""
        return self._set(precision=value)

    def setBatch(self, value: int) -> Self:
        """Set the images a call of the network; 0 is what the runtime is fastest with."""
        return self._set(batch=value)

    def getErrorCol(self) -> str:
        """The column for the reason of a refusal; empty for none."""
        return self.getOrDefault(self.errorCol)

    def getOutputType(self) -> str:
        """The type of the result: vector or array."""
        return self.getOrDefault(self.outputType)

    def getPrecision(self) -> str:
        """What the network computes in: auto, bfloat16 or float32."""
        return self.getOrDefault(self.precision)

    def getBatch(self) -> int:
        """Images a call of the network; 0 is what the runtime is fastest with."""
        return self.getOrDefault(self.batch)

    def check_values(self) -> None:
        """Look at the values of the parameters.

        Raises:
            SettingsError: one of them is wrong.
        """
        if self.getOutputType() not in ("vector", "array"):
            raise SettingsError(
                f"outputType is ‘{self.getOutputType()}’; it must be vector or array."
            )
        if self.getBatch() < 0:
            raise SettingsError(f"batch is {self.getBatch()}; it must be 0 or more.")
        make_settings(flags={"precision": self.getPrecision()})
