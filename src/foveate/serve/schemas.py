"""What goes over the wire, typed, for the server and for the client.

The OpenAPI description is made from these.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mM4EaABAAMkAUEj5ExoAAAAAElFTkSuQmCC"
)
"""A PNG of one pixel, so that the examples in the description are accepted."""

_ID = "4a1c7d9f6b0e2835c1d4f7a90b3e6c8d5f2a1b4c7e0d3f6a9b2c5e8d1f4a7b0c"
_Share = Annotated[float, Field(allow_inf_nan=False)]


class PredictRequest(BaseModel):
    """Images in JSON."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"images": [EXAMPLE_IMAGE]}]})

    images: list[str] = Field(
        min_length=1, description="image files (JPEG, PNG, WebP, …), each in base64"
    )


class ImagePrediction(BaseModel):
    """What the classifier says about one image."""

    name: str | None = Field(description="of the file, where one was given")
    label: str = Field(description="the most probable one")
    probability: _Share = Field(ge=0, le=1.0001, description="of that label")
    probabilities: dict[str, _Share] = Field(
        description="of every label, and then they sum to 1; or of `top_k` of them"
    )


class PredictResponse(BaseModel):
    """One prediction an image, in the order of the request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "fashion",
                    "id": _ID,
                    "predictions": [
                        {
                            "name": "shirt.jpg",
                            "label": "dotted",
                            "probability": 0.93,
                            "probabilities": {"dotted": 0.93, "leopard": 0.05, "striped": 0.02},
                        }
                    ],
                }
            ]
        }
    )

    model: str = Field(description="name of the classifier")
    id: str = Field(description="SHA-256 of its file")
    predictions: list[ImagePrediction]


class ErrorImage(BaseModel):
    """An image that is the reason for an error."""

    index: int = Field(ge=0, description="which image of the request, from 0")
    name: str | None
    reason: str = Field(description="empty, unsupported, unreadable, truncated or too_large")
    error: str = Field(description="one plain sentence")


class ErrorResponse(BaseModel):
    """Why there are no predictions."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": "Image 1 (‘notes.txt’) cannot be used: It is a text.",
                    "reason": "image_refused",
                    "request_id": "9f0c6a",
                    "images": [
                        {
                            "index": 0,
                            "name": "notes.txt",
                            "reason": "unsupported",
                            "error": "It is a text.",
                        }
                    ],
                }
            ]
        }
    )

    error: str = Field(description="one plain sentence")
    reason: str = Field(description="one word, for programs")
    request_id: str
    images: list[ErrorImage]


class ModelInfo(BaseModel):
    """A classifier that is served."""

    name: str
    id: str = Field(description="SHA-256 of its file")
    labels: list[str]
    resolution: int = Field(description="pixels a side that the classifier sees")
    backbone: str
    default: bool = Field(description="whether it answers where no model is named")


class ModelsResponse(BaseModel):
    """The classifiers that are served."""

    models: list[ModelInfo]


class ReloadedModel(BaseModel):
    """A classifier after its file was read again."""

    name: str
    id: str = Field(description="SHA-256 of the file that answers now")
    changed: bool = Field(description="whether it is another one than before")


class ReloadResponse(BaseModel):
    """What is served after all files were read again."""

    models: list[ReloadedModel]


class Health(BaseModel):
    """How the server is."""

    status: str


class ServerLive(BaseModel):
    """Whether the server answers, in the Open Inference Protocol."""

    live: bool


class ServerReady(BaseModel):
    """Whether images can be sent, in the Open Inference Protocol."""

    ready: bool


class InferTensor(BaseModel):
    """A tensor of the Open Inference Protocol."""

    name: str
    shape: list[Annotated[int, Field(ge=0, le=2**31 - 1)]] = Field(max_length=8)
    datatype: str
    parameters: dict[str, bool | int | float | str] | None = None
    data: list[object] | None = None


class InferOutput(BaseModel):
    """An output that is asked for."""

    name: str
    parameters: dict[str, bool | int | float | str] | None = None


class InferRequest(BaseModel):
    """A request of the Open Inference Protocol."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "inputs": [
                        {
                            "name": "image",
                            "shape": [1],
                            "datatype": "BYTES",
                            "data": [EXAMPLE_IMAGE],
                        }
                    ]
                }
            ]
        }
    )

    id: str | None = None
    parameters: dict[str, bool | int | float | str] | None = None
    inputs: list[InferTensor] = Field(min_length=1)
    outputs: list[InferOutput] | None = None


class InferResponse(BaseModel):
    """A response of the Open Inference Protocol."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[InferTensor]


class TensorInfo(BaseModel):
    """An input or output."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A classifier in the Open Inference Protocol."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]


class ModelReady(BaseModel):
    """Whether a classifier can be asked."""

    name: str
    ready: bool


class ServerMetadata(BaseModel):
    """The server in the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]
