"""The endpoints. What they take and give is in `schemas`, what may come at all in `guard`."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from foveate import __version__
from foveate.serve.guard import (
    ID_KEY,
    IMAGES_KEY,
    OPEN_PATHS,
    REASON_KEY,
    UNTIL_KEY,
    Guard,
)
from foveate.serve.line import Answer
from foveate.serve.models import ServedModel
from foveate.serve.openinference import LENGTH_HEADER, describe, read_inference, write_inference
from foveate.serve.refusal import RequestRefused, busy
from foveate.serve.schemas import (
    EXAMPLE_IMAGE,
    ErrorResponse,
    Health,
    InferRequest,
    InferResponse,
    ModelInfo,
    ModelMetadata,
    ModelReady,
    ModelsResponse,
    PredictRequest,
    PredictResponse,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
from foveate.serve.service import Service, Upload
from foveate.serve.uploads import invalid, read_uploads

_CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)

_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "No token, or a wrong one"},
    404: {"model": ErrorResponse, "description": "No such classifier"},
    408: {"model": ErrorResponse, "description": "The request came too slowly"},
    413: {"model": ErrorResponse, "description": "Too many bytes, images or pixels"},
    415: {"model": ErrorResponse, "description": "Not a type of body that is understood"},
    422: {
        "model": ErrorResponse,
        "description": "Not an image (the body names which), or no request",
    },
    503: {
        "model": ErrorResponse,
        "description": "Too busy, or not ready",
        "headers": {
            "Retry-After": {
                "description": "seconds after which to try again",
                "schema": {"type": "integer", "minimum": 1},
            }
        },
    },
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PREDICT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": PredictRequest.model_json_schema(),
                "example": {"images": [EXAMPLE_IMAGE]},
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "array", "minItems": 1, "items": _BINARY["schema"]}
                    },
                }
            },
            "application/octet-stream": _BINARY,
            "image/*": _BINARY,
        },
    }
}
_INFER_SCHEMA = InferRequest.model_json_schema(ref_template="#/components/schemas/{model}")
_INFER_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {name: part for name, part in _INFER_SCHEMA.items() if name != "$defs"}
            }
        },
    }
}


class _Api(FastAPI):
    """FastAPI, told what it cannot know: what the guard asks for, and what we parse ourselves.

    Args:
        service: whose tokens are wanted.
        options: of FastAPI.
    """

    def __init__(self, service: Service, **options: Any) -> None:
        super().__init__(**options)
        self._service = service

    def openapi(self) -> dict[str, Any]:
        """The description."""
        if self.openapi_schema is not None:
            return self.openapi_schema
        description = super().openapi()
        components = description["components"]
        components["schemas"] |= _INFER_SCHEMA["$defs"]
        if self._service.tokens.wanted:
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path in description["paths"].keys() - OPEN_PATHS:
                for operation in description["paths"][path].values():
                    operation["security"] = [{"token": []}]
        return description


class _Silence(Response):
    """No response: the client has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass


def make_app(service: Service) -> Guard:
    """The whole application, guarded."""
    app = _Api(
        service,
        title="foveate",
        version=__version__,
        description="Image classifiers as a REST API. Where the server has tokens, show one: "
        "`Authorization: Bearer TOKEN`.",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would redirect to whatever host the request names
    )
    page = files("foveate.serve").joinpath("page.html").read_text(encoding="utf-8")

    @app.get("/", response_class=HTMLResponse, summary="A page to drop a picture on")
    async def drop_page() -> Response:
        return HTMLResponse(page, headers={"content-security-policy": _CONTENT_POLICY})

    @app.get("/health/live", summary="Whether the process answers")
    async def live() -> Health:
        return Health(status="live")

    @app.get("/health/ready", summary="Whether images can be sent", responses=_some(503))
    async def ready() -> Health:
        _check_ready(service)
        return Health(status="ready")

    @app.get("/metrics", summary="Metrics for Prometheus", responses=_text() | _some(401))
    async def metrics() -> Response:
        return Response(service.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/models", summary="The classifiers that are served", responses=_some(401))
    async def models() -> ModelsResponse:
        return ModelsResponse(
            models=[
                ModelInfo(
                    name=model.name,
                    id=model.id,
                    labels=list(model.labels),
                    resolution=model.metadata.resolution,
                    backbone=model.metadata.backbone.name,
                    default=number == 0,
                )
                for number, model in enumerate(service.models)
            ]
        )

    @app.post(
        "/predict",
        summary="Label and probabilities of images",
        response_model=PredictResponse,
        responses=_ERRORS,
        openapi_extra=_PREDICT_BODY,
    )
    async def predict(
        request: Request,
        model: Annotated[
            str | None, Query(description="name of the classifier; the first one by default")
        ] = None,
    ) -> Response:
        service.model(model)  # an unknown name is told before the body is read
        uploads = await read_uploads(request, service.settings)
        answers = await _classify(service, request, model, uploads)
        # Straight to JSON: checking our own numbers again would take as long as reading the body.
        return _json(_predictions(answers[0].model, uploads, answers))

    _add_open_inference(app, service)

    @app.exception_handler(RequestRefused)
    async def refused(request: Request, refusal: RequestRefused) -> Response:
        return _refuse(request, refusal)

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        return _refuse(request, _from_starlette(error))

    @app.exception_handler(RequestValidationError)
    async def misfit(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return _refuse(request, invalid(f"{where}: {first['msg']}."))

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return _Silence()

    @app.exception_handler(Exception)
    async def defect(request: Request, _error: Exception) -> Response:
        sentence = "This is a defect of foveate, not of your request; please report it."
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return _refuse(request, RequestRefused(status, "internal", sentence))

    return Guard(app, service)


def _add_open_inference(app: FastAPI, service: Service) -> None:
    @app.get("/v2", summary="The server")
    async def server() -> ServerMetadata:
        return ServerMetadata(
            name="foveate", version=__version__, extensions=["binary_tensor_data"]
        )

    @app.get("/v2/health/live", summary="Whether the process answers")
    async def live() -> ServerLive:
        return ServerLive(live=True)

    @app.get("/v2/health/ready", summary="Whether images can be sent", responses=_some(503))
    async def ready() -> ServerReady:
        _check_ready(service)
        return ServerReady(ready=True)

    @app.get("/v2/models/{name}", summary="A classifier", responses=_some(401, 404))
    async def metadata(name: str) -> ModelMetadata:
        return describe(service.model(name))

    @app.get(
        "/v2/models/{name}/ready",
        summary="Whether a classifier can be asked",
        responses=_some(401, 404, 503),
    )
    async def model_ready(name: str) -> ModelReady:
        service.model(name)
        _check_ready(service)
        return ModelReady(name=name, ready=True)

    @app.post(
        "/v2/models/{name}/infer",
        summary="Label and probabilities of images, as tensors",
        response_model=InferResponse,
        responses={status: _ERRORS[status] for status in _ERRORS if status != 415},
        openapi_extra=_INFER_BODY,
    )
    async def infer(name: str, request: Request) -> Response:
        service.model(name)
        inference = read_inference(
            await request.body(), request.headers.get(LENGTH_HEADER), service.settings
        )
        answers = await _classify(service, request, name, inference.uploads)
        body, length = write_inference(inference, answers[0].model, answers)
        if length is None:
            return Response(body, media_type="application/json")
        headers = {LENGTH_HEADER: str(length)}
        return Response(body, headers=headers, media_type="application/octet-stream")


async def _classify(
    service: Service, request: Request, model: str | None, uploads: Sequence[Upload]
) -> list[Answer]:
    request.scope[IMAGES_KEY] = len(uploads)
    return await service.classify(
        model,
        uploads,
        until=request.scope[UNTIL_KEY],
        request_id=request.scope[ID_KEY],
    )


def _predictions(
    model: ServedModel, uploads: Sequence[Upload], answers: Sequence[Answer]
) -> dict[str, object]:
    """The content of a `PredictResponse`."""
    predictions = [
        {
            "name": upload.name,
            "label": answer.label,
            "probability": answer.probability,
            "probabilities": answer.probabilities,
        }
        for upload, answer in zip(uploads, answers, strict=True)
    ]
    return {"model": model.name, "id": model.id, "predictions": predictions}


def _check_ready(service: Service) -> None:
    if not service.ready:
        raise busy("not_ready", "No worker is ready; try again in a moment.", 2)


def _from_starlette(error: HTTPException) -> RequestRefused:
    sentences = {
        404: ("not_found", "There is nothing at this address; see /openapi.json."),
        405: ("method_not_allowed", "This address does not take this method; see /openapi.json."),
    }
    reason, sentence = sentences.get(error.status_code, ("invalid_request", str(error.detail)))
    return RequestRefused(HTTPStatus(error.status_code), reason, sentence, headers=error.headers)


def _refuse(request: Request, refusal: RequestRefused) -> Response:
    request.scope[REASON_KEY] = refusal.reason
    return refusal.response(request.scope[ID_KEY])


def _json(content: dict[str, object]) -> Response:
    return Response(to_json(content), media_type="application/json")


def _some(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _ERRORS[status] for status in statuses}


def _text() -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
