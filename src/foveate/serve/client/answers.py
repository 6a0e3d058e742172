"""What a server sends, as far as the client reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, ValidationError

if TYPE_CHECKING:
    import httpx

MOST_SHOWN = 300
"""Characters of a server's words that are handed on."""

_Share = Annotated[float, Field(allow_inf_nan=False)]


class Predicted(BaseModel):
    """One image's label and probabilities."""

    label: str
    probability: _Share
    probabilities: dict[str, _Share]


class Answer(BaseModel):
    """The answer to a request with one image."""

    model: str
    predictions: list[Predicted] = Field(min_length=1, max_length=1)


class RefusedImage(BaseModel):
    """Why an image cannot be used."""

    reason: str
    error: str


class Failure(BaseModel):
    """The answer to a request that failed; all of it empty where a stranger answers."""

    error: str = ""
    reason: str = ""
    images: list[RefusedImage] = []


class Model(BaseModel):
    """One of the server's models."""

    name: str
    default: bool = False


class Models(BaseModel):
    """All of the server's models."""

    models: list[Model]

    @property
    def names(self) -> list[str]:
        """Their names, the default first."""
        return [model.name for model in sorted(self.models, key=lambda model: not model.default)]


def failure(response: httpx.Response) -> Failure:
    """What a response says about a failure."""
    try:
        return Failure.model_validate_json(response.content)
    except ValidationError:
        return Failure()


def said(response: httpx.Response) -> str:
    """A failure in the server's own words."""
    words = failure(response).error or f"{response.reason_phrase or response.status_code}."
    return printable(words)


def printable(text: str) -> str:
    """What a server said, without what could confuse a terminal."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + "…"
