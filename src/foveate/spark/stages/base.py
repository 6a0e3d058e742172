"""What the pipeline stages have in common: check the schema, ship the network, add the columns."""

# ruff: noqa: N802 - Spark ML's own style of names

from __future__ import annotations

import uuid
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from pyspark.ml import Transformer
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.util import MLWritable, MLWriter
from pyspark.sql import functions as F  # noqa: N812 - as everybody imports it
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    FloatType,
    StringType,
    StructField,
    StructType,
)

from foveate import files
from foveate.errors import SettingsError
from foveate.spark.stages.params import ImageParams
from foveate.spark.stages.saving import StageWriter
from foveate.spark.stages.udf import outcome_column
from foveate.spark.stages.work import Work

if TYPE_CHECKING:
    from pyspark import Broadcast, SparkContext
    from pyspark.sql import Column, DataFrame

    from foveate.image import Resize
    from foveate.runtime import Precision

StorageOptions = Mapping[str, Mapping[str, str]]
"""Arguments of fsspec's file systems, by protocol: `{"abfs": {"account_name": …}}`."""


class ImageStage(Transformer, ImageParams, MLWritable):
    """A stage that runs a network on a column of images; a row that is refused says why."""

    def __init__(self) -> None:
        super().__init__()
        self._storage_options: StorageOptions = {}
        self._shipped: tuple[str, str, Broadcast[bytes]] | None = None

    @abstractmethod
    def network_bytes(self) -> bytes:
        """The ONNX file that the workers run."""

    @abstractmethod
    def _resize(self) -> Resize | None:
        """How an image becomes pixels; None where the ONNX file says so."""

    @abstractmethod
    def _result_types(self) -> dict[str, DataType]:
        """Columns to add and their types, without the one for errors."""

    @abstractmethod
    def _results(self, outcome: str) -> Sequence[Column]:
        """The same columns, made from the column of outcomes."""

    def setStorageOptions(self, value: StorageOptions) -> Self:
        """Set how URLs are opened. This is no parameter and never saved: it may hold secrets.

        Args:
            value: arguments of fsspec's file systems, by protocol: `{"s3": {"key": …}}`.
        """
        self._storage_options = {name: dict(options) for name, options in value.items()}
        return self

    def write(self) -> MLWriter:
        """What saves this stage; `.overwrite()` lets it replace what is there."""
        return StageWriter(self)

    def transformSchema(self, schema: StructType) -> StructType:
        """The schema of the result; nothing is computed.

        Raises:
            SettingsError: a column is missing, of the wrong type or there already, or a parameter
                has a wrong value.
        """
        self.check_values()
        types = {field.name: field.dataType for field in schema.fields}
        self._check_input(types)
        results = self._result_types()
        if self.getErrorCol():
            results[self.getErrorCol()] = StringType()
        taken = {name.lower() for name in types}  # as Spark compares the names of columns
        for name in results:
            if name.lower() in taken:
                raise SettingsError(
                    f"There is a column ‘{name}’ already. Drop it, or let {type(self).__name__} "
                    "write to another (its parameters ending in Col)."
                )
        added = [StructField(name, kind, True) for name, kind in results.items()]
        return StructType([*schema.fields, *added])

    def _check_input(self, types: Mapping[str, DataType]) -> None:
        if not self.isDefined(self.inputCol):
            raise SettingsError(
                f"{type(self).__name__} needs inputCol, the column that holds the images."
            )
        name = self.getInputCol()
        if name not in types:
            known = ", ".join(types) or "none"
            raise SettingsError(f"There is no column ‘{name}’; the columns are: {known}.")
        if not isinstance(types[name], StringType | BinaryType):
            raise SettingsError(
                f"The column ‘{name}’ holds {types[name].simpleString()}; images are paths or URLs "
                "(string), or the bytes of image files (binary)."
            )

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.transformSchema(dataset.schema)
        network = self.network_bytes()
        precision = cast("Precision", self.getPrecision())
        work = Work(files.digest(network), self._resize(), precision, self.getBatch())
        shipped = self._ship(dataset.sparkSession.sparkContext, work.digest, network)
        images = F.col(f"`{self.getInputCol().replace('`', '``')}`")
        outcome = f"foveate_{uuid.uuid4().hex}"
        computed = outcome_column(images, work, shipped, self._storage_options).alias(outcome)
        columns = [*self._results(outcome)]
        if self.getErrorCol():
            columns.append(F.col(f"{outcome}.error").alias(self.getErrorCol()))
        return dataset.select("*", computed).select("*", *columns).drop(outcome)

    def _number_type(self) -> DataType:
        """The type of features or probabilities."""
        return ArrayType(FloatType(), True) if self.getOutputType() == "array" else VectorUDT()

    def _numbers(self, outcome: str, name: str, size: int) -> Column:
        """The column of features or probabilities, `size` of them."""
        values = F.col(f"{outcome}.values")
        if self.getOutputType() == "array":
            return values.alias(name)
        # Spark's own conversion does not take null.
        vectors = F.when(values.isNotNull(), array_to_vector(values))
        # Told the size, Spark ML's stages need not run the first image to learn it.
        return vectors.alias(name, metadata={"ml_attr": {"num_attrs": size}})

    def _ship(self, context: SparkContext, digest: str, network: bytes) -> Broadcast[bytes]:
        """The network on its way to the workers, once for all that this stage transforms."""
        application: Any = context.applicationId
        if self._shipped is None or self._shipped[:2] != (application, digest):
            self._shipped = (application, digest, context.broadcast(network))
        return self._shipped[2]
