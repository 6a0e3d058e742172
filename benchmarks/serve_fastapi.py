"""A plain FastAPI handler, as its documentation shows one: `uvicorn benchmarks.serve_fastapi:app`.

A `def` handler runs in FastAPI's thread pool; uvicorn's `--workers` makes processes.
"""

from __future__ import annotations

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.serve_plain import PlainModel

app = FastAPI()
model = PlainModel()


class Images(BaseModel):
    """The request.

    Attributes:
        images: files in base64.
    """

    images: list[str]


@app.post("/predict")
def predict(body: Images) -> dict[str, object]:
    """Label and probabilities of every image."""
    pixels = np.stack([model.pixels(text) for text in body.images])
    return model.answer(list(model.probabilities(pixels)))


@app.get("/health")
def health() -> dict[str, str]:
    """Answers once the model is loaded."""
    return {"status": "ok"}
