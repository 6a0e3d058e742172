"""The endpoints of the Open Inference Protocol; its tensors are read in `openinference`."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from starlette.responses import Response

from foveate import __version__
from foveate.serve.http.middleware import classify
from foveate.serve.http.openapi import ERRORS, INFER_BODY, some_errors
from foveate.serve.http.openinference import (
    LENGTH_HEADER,
    describe,
    read_inference,
    version_of,
    write_inference,
)
from foveate.serve.http.refusals import RequestRefused
from foveate.serve.models import ServedModel
from foveate.serve.schemas import (
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from foveate.serve.service import Service

_FIND = some_errors(401, 403, 404)


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

    @app.get("/v2/models/{name}", summary="A classifier", responses=_FIND)
    async def metadata(name: str) -> ModelMetadata:
        return describe(service.model(name))

    @app.get("/v2/models/{name}/versions/{version}", summary="One version of it", responses=_FIND)
    async def version_metadata(name: str, version: str) -> ModelMetadata:
        return describe(_check_version(service.model(name), version))

    @app.get(
        "/v2/models/{name}/ready",
        summary="Whether a classifier can be asked",
        responses=_FIND | some_errors(503),
    )
    async def model_ready(name: str) -> ModelReady:
        service.model(name)
        service.check_ready()
        return ModelReady(name=name, ready=True)

    @app.get(
        "/v2/models/{name}/versions/{version}/ready",
        summary="Whether this version can be asked",
        responses=_FIND | some_errors(503),
    )
    async def version_ready(name: str, version: str) -> ModelReady:
        _check_version(service.model(name), version)
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
        return await _infer(service, request, name, None)

    @app.post(
        "/v2/models/{name}/versions/{version}/infer",
        summary="The same, by this version or not at all",
        response_model=InferResponse,
        responses=ERRORS,
        openapi_extra=INFER_BODY,
    )
    async def version_infer(name: str, version: str, request: Request) -> Response:
        return await _infer(service, request, name, version)


async def _infer(service: Service, request: Request, name: str, version: str | None) -> Response:
    _check_version(service.model(name), version)
    inference = read_inference(
        await request.body(), request.headers.get(LENGTH_HEADER), service.settings
    )
    answers = await classify(service, request, name, inference.uploads)
    model = _check_version(answers[0].model, version)  # it may have been replaced meanwhile
    body, length = write_inference(inference, model, answers)
    if length is None:
        return Response(body, media_type="application/json")
    headers = {LENGTH_HEADER: str(length)}
    return Response(body, headers=headers, media_type="application/octet-stream")


def _check_version(model: ServedModel, version: str | None) -> ServedModel:
    """The classifier, if it is of this version: the id that its metadata name, or all of it.

    Raises:
        RequestRefused: 404, another version is served.
    """
    if version is not None and version not in (version_of(model), model.id):
        raise RequestRefused(
            HTTPStatus.NOT_FOUND,
            "unknown_version",
            f"‘{model.name}’ is not served in the version ‘{version[:100]}’ but in "
            f"{version_of(model)}; leave out /versions/… to be answered by whichever is.",
        )
    return model
