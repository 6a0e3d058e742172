"""The endpoints of the Open Inference Protocol; its tensors are read in `openinference`."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from foveate import __version__
from foveate.serve.openapi import ERRORS, INFER_BODY, some_errors
from foveate.serve.openinference import LENGTH_HEADER, describe, read_inference, write_inference
from foveate.serve.requests import classify
from foveate.serve.schemas import (
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from foveate.serve.service import Service


def add_openinference(app: FastAPI, service: Service) -> None:
    """Add the endpoints to an application."""

    @app.get("/v2", summary="The server")
    async def server() -> ServerMetadata:
        return ServerMetadata(
            name="foveate", version=__version__, extensions=["binary_tensor_data"]
        )

    @app.get("/v2/health/live", summary="Whether the process answers")
    async def live() -> ServerLive:
        return ServerLive(live=True)

    @app.get("/v2/health/ready", summary="Whether images can be sent", responses=some_errors(503))
    async def ready() -> ServerReady:
        service.check_ready()
        return ServerReady(ready=True)

    @app.get("/v2/models/{name}", summary="A classifier", responses=some_errors(401, 403, 404))
    async def metadata(name: str) -> ModelMetadata:
        return describe(service.model(name))

    @app.get(
        "/v2/models/{name}/ready",
        summary="Whether a classifier can be asked",
        responses=some_errors(401, 403, 404, 503),
    )
    async def model_ready(name: str) -> ModelReady:
        service.model(name)
        service.check_ready()
        return ModelReady(name=name, ready=True)

    @app.post(
        "/v2/models/{name}/infer",
        summary="Label and probabilities of images, as tensors",
        response_model=InferResponse,
        responses=ERRORS,
        openapi_extra=INFER_BODY,
    )
    async def infer(name: str, request: Request) -> Response:
        service.model(name)
        inference = read_inference(
            await request.body(), request.headers.get(LENGTH_HEADER), service.settings
        )
        answers = await classify(service, request, name, inference.uploads)
        body, length = write_inference(inference, answers[0].model, answers)
        if length is None:
            return Response(body, media_type="application/json")
        headers = {LENGTH_HEADER: str(length)}
        return Response(body, headers=headers, media_type="application/octet-stream")
