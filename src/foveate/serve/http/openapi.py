"""What /openapi.json says beyond what FastAPI reads off the endpoints."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from foveate.serve.http.middleware import OPEN_PATHS
from foveate.serve.schemas import EXAMPLE_IMAGE, ErrorResponse, InferRequest, PredictRequest
from foveate.serve.service import Service

Responses = dict[int | str, dict[str, Any]]

ERRORS: Responses = {
    401: {"model": ErrorResponse, "description": "No token, or a wrong one"},
    403: {
        "model": ErrorResponse,
        "description": "A token for something else; or, without tokens, a foreign host",
    },
    404: {"model": ErrorResponse, "description": "No such classifier"},
    408: {"model": ErrorResponse, "description": "The request came too slowly"},
    413: {"model": ErrorResponse, "description": "Too many bytes, images or pixels"},
    415: {
        "model": ErrorResponse,
        "description": "Not a type or an encoding of body that is understood",
    },
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
PREDICT_BODY = {
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
INFER_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {name: part for name, part in _INFER_SCHEMA.items() if name != "$defs"}
            }
        },
    }
}


class Api(FastAPI):
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


def some_errors(*statuses: int) -> Responses:
    """Responses of an endpoint that refuses with these statuses only."""
    return {status: ERRORS[status] for status in statuses}


def plain_text() -> Responses:
    """The response of an endpoint that answers with text."""
    return {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
