"""The servers of the race and how each is set up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from benchmarks import load
from benchmarks.serve_servers import Setup, python, started

TRIAL_SECONDS, WARM_SECONDS = 8, 3


def foveate(model: Path) -> Setup:
    """As it comes."""
    command = python("-m", "foveate", "serve", str(model), "--port", "0")
    return Setup("foveate", "`foveate serve MODEL`", command, "/health/ready")


def fastapi(model: Path, *, workers: int, threads: int) -> Setup:
    """`benchmarks/serve_fastapi.py` under uvicorn."""
    command = python("-m", "uvicorn", "benchmarks.serve_fastapi:app", "--host", "127.0.0.1")
    command += ["--port", "{port}", "--workers", str(workers)]
    command += ["--log-level", "warning", "--no-access-log"]
    words = f"`uvicorn --workers {workers}`, {_threads(threads)}"
    return Setup("FastAPI", words, command, "/health", _environment(model, threads))


def litserve(model: Path, *, batch: int, wait: float, workers: int, threads: int) -> Setup:
    """`benchmarks/serve_litserve.py`, always with the fast queue that it has for such rates."""
    command = python("-m", "benchmarks.serve_litserve", "{port}")
    command += [str(batch), str(wait), str(workers), "1"]
    words = (
        f"`max_batch_size={batch}, batch_timeout={wait:g}, workers_per_device={workers}, "
        f"fast_queue=True`, {_threads(threads)}"
    )
    return Setup("LitServe", words, command, "/health", _environment(model, threads))


def candidates(model: Path) -> dict[str, list[Setup]]:
    """The sensible ways to set up each rival on two cores; the best for it races."""
    return {
        "LitServe": [
            litserve(model, batch=8, wait=0.01, workers=2, threads=1),
            litserve(model, batch=4, wait=0.005, workers=2, threads=1),
            litserve(model, batch=8, wait=0.01, workers=1, threads=0),
        ],
        "FastAPI": [
            fastapi(model, workers=2, threads=1),
            fastapi(model, workers=1, threads=1),
            fastapi(model, workers=1, threads=0),
        ],
    }


def drafted(setup: Setup) -> Setup:
    """A rival that decodes JPEGs at a fraction of their size, as foveate does."""
    words = f"{setup.words}, `draft` of Pillow"
    return replace(setup, words=words, environment={**setup.environment, "PLAIN_DRAFT": "1"})


def best(setups: Sequence[Setup], images: Path, folder: Path) -> tuple[Setup, list[str]]:
    """The one with the highest throughput in a short trial, and what all of them reached."""
    rates = []
    for setup in setups:
        with started(setup, folder) as server:
            url = f"{server.url}/predict"
            load.measure("closed", url, images, seconds=WARM_SECONDS)
            found = load.measure("closed", url, images, seconds=TRIAL_SECONDS)
            rates.append(float(found["rate"]))
            print(f"{setup.name}, {setup.words}: {rates[-1]:.1f} images/s", flush=True)
    winner = setups[rates.index(max(rates))]
    return winner, [
        f"{rate:.0f} with {setup.words}" for rate, setup in zip(rates, setups, strict=True)
    ]


def versions() -> str:
    """The rivals' versions."""
    names = ("litserve", "fastapi", "uvicorn", "onnxruntime", "pillow")
    return ", ".join(f"{name} {version(name)}" for name in names)


def _threads(threads: int) -> str:
    return "one thread an inference" if threads == 1 else "ONNX Runtime's own choice of threads"


def _environment(model: Path, threads: int) -> dict[str, str]:
    return {"PLAIN_MODEL": str(model), "PLAIN_THREADS": str(threads)}
