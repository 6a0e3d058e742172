"""From a request to its answers: what the endpoints have in common."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from foveate.serve.guard import ID_KEY, IMAGES_KEY, TRACE_KEY, UNTIL_KEY
from foveate.serve.line import Answer
from foveate.serve.service import Service, Upload


async def classify(
    service: Service, request: Request, model: str | None, uploads: Sequence[Upload]
) -> list[Answer]:
    """Answers for the images of a request, in time, or a refusal.

    Raises:
        RequestRefused: see `Service.classify`.
    """
    request.scope[IMAGES_KEY] = len(uploads)
    return await service.classify(
        model,
        uploads,
        until=request.scope[UNTIL_KEY],
        request_id=request.scope[ID_KEY],
        trace=request.scope.get(TRACE_KEY),
    )
