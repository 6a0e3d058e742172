"""Save and load a stage together with its network: a folder with `metadata/` and `network.onnx`.

The network is written through Hadoop's file systems, as everything else that Spark saves, so any
path will do that Spark's own writers reach. No pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter

from foveate import __version__, files
from foveate.errors import ModelFileError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NETWORK = "network.onnx"
CHUNK = 4 * 2**20
"""Bytes that cross from Python to Java at once."""


class Savable(Protocol):
    """A stage that can be saved."""

    def network_bytes(self) -> bytes:
        """The ONNX file."""
        ...


class Loadable(Protocol):
    """A stage that can be loaded."""

    @classmethod
    def from_saved(cls, network: bytes, metadata: dict[str, Any]) -> Self:
        """The stage again; its parameters are set afterwards."""
        ...


S = TypeVar("S", bound=Loadable)


class StageWriter(MLWriter):
    """Writes a stage; `stage.write().overwrite().save(path)` replaces what is there."""

    def __init__(self, stage: Savable) -> None:
        super().__init__()
        self._stage = stage

    def saveImpl(self, path: str) -> None:  # noqa: N802 - the name that Spark calls
        """Write into a folder that does not exist yet."""
        network = self._stage.network_bytes()
        about = {"foveate": {"version": __version__, "sha256": files.digest(network)}}
        DefaultParamsWriter.saveMetadata(self._stage, path, self.sparkSession, about)  # type: ignore[arg-type]
        write_file(self.sparkSession, f"{path.rstrip('/')}/{NETWORK}", network)


class StageReader(MLReader[Any], Generic[S]):
    """Reads what `StageWriter` wrote."""

    def __init__(self, kind: type[S]) -> None:
        super().__init__()
        self._kind = kind

    def load(self, path: str) -> S:
        """The stage in a folder.

        Raises:
            ModelFileError: the folder holds another stage, or its network is damaged.
        """
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        name = f"{self._kind.__module__}.{self._kind.__name__}"
        if metadata["class"] != name:
            raise ModelFileError(f"‘{path}’ holds a {metadata['class']}, not a {name}.")
        network = read_file(self.sparkSession, f"{path.rstrip('/')}/{NETWORK}")
        if files.digest(network) != metadata["foveate"]["sha256"]:
            raise ModelFileError(
                f"‘{path}/{NETWORK}’ is not the file that was saved: it is damaged or was changed. "
                "Save the stage again."
            )
        stage = self._kind.from_saved(network, metadata)
        params: Any = stage
        params._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(params, metadata)
        return stage


def write_file(session: SparkSession, path: str, data: bytes) -> None:
    """Write a file to any path that Spark reaches; one that is there is replaced."""
    out = _open(session, path, "create", True)
    try:
        for start in range(0, len(data), CHUNK):
            out.write(bytearray(data[start : start + CHUNK]))  # py4j sends these as Java's bytes
    finally:
        out.close()


def read_file(session: SparkSession, path: str) -> bytes:
    """All bytes of a file at any path that Spark reaches."""
    opened = _open(session, path, "open")
    parts = []
    try:
        while part := bytes(opened.readNBytes(CHUNK)):
            parts.append(part)
    finally:
        opened.close()
    return b"".join(parts)


def _open(session: SparkSession, path: str, how: str, *arguments: object) -> Any:
    java: Any = session.sparkContext._jvm
    place = java.org.apache.hadoop.fs.Path(path)
    system = place.getFileSystem(session._jsparkSession.sessionState().newHadoopConf())
    return getattr(system, how)(place, *arguments)
