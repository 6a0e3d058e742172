"""The endpoints. What they take and give is in `schemas`, what may come at all in `middleware`."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated

from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from foveate import __version__
from foveate.serve.http.middleware import ID_KEY, REASON_KEY, RequestMiddleware, classify
from foveate.serve.http.openapi import ERRORS, PREDICT_BODY, Api, plain_text, some_errors
from foveate.serve.http.openinference_routes import add_openinference
from foveate.serve.http.refusals import RequestRefused, invalid
from foveate.serve.http.uploads import read_uploads
from foveate.serve.models import ServedModel
from foveate.serve.schemas import (
    Health,
    ModelInfo,
    ModelsResponse,
    PredictResponse,
    ReloadedModel,
    ReloadResponse,
)
from foveate.serve.service import Service, Upload
from foveate.serve.workers.queue import ImageAnswer

_CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'"
)


class _Silence(Response):
    """No response: the client has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass


def make_app(service: Service) -> RequestMiddleware:
    """The whole application, guarded."""
    app = Api(
        service,
        title="foveate",
        version=__version__,
        description="Image classifiers as a REST API. Where the server has tokens, show one: "
        "`Authorization: Bearer TOKEN`.",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would redirect to whatever host the request names
    )
    page = files("foveate.serve.http").joinpath("page.html").read_text(encoding="utf-8")

    @app.get("/", response_class=HTMLResponse, summary="A page to drop a picture on")
    async def drop_page() -> Response:
        return HTMLResponse(page, headers={"content-security-policy": _CONTENT_POLICY})

    @app.get("/health/live", summary="Whether the process answers")
    async def live() -> Health:
        return Health(status="live")

    @app.get("/health/ready", summary="Whether images can be sent", responses=some_errors(503))
    async def ready() -> Health:
        service.check_ready()
        return Health(status="ready")

    @app.get(
        "/metrics", summary="Metrics for Prometheus", responses=plain_text() | some_errors(401, 403)
    )
    async def metrics() -> Response:
        return Response(service.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/models", summary="The classifiers that are served", responses=some_errors(401, 403))
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
        "/admin/reload",
        summary="Read the files of the classifiers and tokens again",
        responses=some_errors(401, 403, 422),
    )
    async def reload() -> ReloadResponse:
        changed = {model.name for model in await service.reload_now()}
        return ReloadResponse(
            models=[
                ReloadedModel(name=model.name, id=model.id, changed=model.name in changed)
                for model in service.models
            ]
        )

    @app.post(
        "/predict",
        summary="Label and probabilities of images",
        response_model=PredictResponse,
        responses=ERRORS,
        openapi_extra=PREDICT_BODY,
    )
    async def predict(
        request: Request,
        model: Annotated[
            str | None, Query(description="name of the classifier; the first one by default")
        ] = None,
        top_k: Annotated[
            int | None,
            Query(
                ge=1,
                le=2**31 - 1,
                description="probabilities of so many labels only, the most probable first",
            ),
        ] = None,
    ) -> Response:
        service.model(model)  # an unknown name is told before the body is read
        uploads = await read_uploads(request, service.settings)
        answers = await classify(service, request, model, uploads)
        # Straight to JSON: checking our own numbers again would take as long as reading the body.
        return _json(_predictions(answers[0].model, uploads, answers, top_k))

    add_openinference(app, service)

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

    return RequestMiddleware(app, service)


def _predictions(
    model: ServedModel, uploads: Sequence[Upload], answers: Sequence[ImageAnswer], top_k: int | None
) -> dict[str, object]:
    """The content of a `PredictResponse`."""
    predictions = [
        {
            "name": upload.name,
            "label": answer.label,
            "probability": answer.probability,
            "probabilities": answer.most_probable(top_k) if top_k else answer.probabilities,
        }
        for upload, answer in zip(uploads, answers, strict=True)
    ]
    return {"model": model.name, "id": model.id, "predictions": predictions}


def _from_starlette(error: HTTPException) -> RequestRefused:
    sentences = {
        404: ("not_found", "There is nothing at this address; see /openapi.json."),
        405: ("method_not_allowed", "This address does not take this method; see /openapi.json."),
    }
    reason, sentence = sentences.get(error.status_code, ("invalid_request", str(error.detail)))
    headers = dict(error.headers or {})
    if "GET" in headers.get("Allow", ""):  # see `RequestMiddleware`
        headers["Allow"] = "GET, HEAD"
    return RequestRefused(HTTPStatus(error.status_code), reason, sentence, headers=headers)


def _refuse(request: Request, refusal: RequestRefused) -> Response:
    request.scope[REASON_KEY] = refusal.reason
    return refusal.response(request.scope[ID_KEY])


def _json(content: dict[str, object]) -> Response:
    return Response(to_json(content), media_type="application/json")
