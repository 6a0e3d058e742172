"""Names, without PyTorch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.backbones.names import (
    LEAST_RESOLUTION,
    LIBRARIES,
    MOST_RESOLUTION,
    SHORT_NAMES,
    Library,
    ModelName,
    built_for,
    parse_name,
    unknown_model,
)
from foveate.errors import BackboneError


@pytest.mark.parametrize(
    ("typed", "library", "model", "name"),
    [
        ("resnet18", "torchvision", "resnet18", "resnet18"),
        ("torchvision:resnet18", "torchvision", "resnet18", "resnet18"),
        ("torchvision:alexnet", "torchvision", "alexnet", "torchvision-alexnet"),
        ("timm:convnext_tiny", "timm", "convnext_tiny", "timm-convnext_tiny"),
        ("timm-convnext_tiny", "timm", "convnext_tiny", "timm-convnext_tiny"),
        ("timm:resnet50.a1_in1k", "timm", "resnet50.a1_in1k", "timm-resnet50.a1_in1k"),
        ("timm:resnet50", "timm", "resnet50", "timm-resnet50"),
        ("timm:vit-384px", "timm", "vit", "timm-vit-384px"),
        ("torchvision-vit_b_16-64px", "torchvision", "vit_b_16", "torchvision-vit_b_16-64px"),
        ("efficientnet-lite1", "timm", "tf_efficientnet_lite1", "efficientnet-lite1"),
        ("timm:tf_efficientnet_lite1", "timm", "tf_efficientnet_lite1", "efficientnet-lite1"),
        (" mobilenet-v2 ", "torchvision", "mobilenet_v2", "mobilenet-v2"),
    ],
)
def test_one_network_has_one_name(typed: str, library: str, model: str, name: str) -> None:
    found = parse_name(typed)
    assert (found.library, found.model, found.name) == (library, model, name)
    assert parse_name(found.name) == parse_name(found.reference) == parse_name(found.typed) == found


@given(
    library=st.sampled_from(LIBRARIES),
    model=st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,20}", fullmatch=True),
    resolution=st.none() | st.integers(LEAST_RESOLUTION, MOST_RESOLUTION),
)
def test_any_model_is_found_by_its_name(
    library: Library, model: str, resolution: int | None
) -> None:
    plain = parse_name(f"{library}:{model}")
    if plain.resolution is not None:  # its name happens to end in one
        return
    name = plain if resolution is None else built_for(plain, resolution)
    assert parse_name(name.name) == parse_name(name.reference) == parse_name(name.typed) == name
    assert (name.resolution, name.model) == (resolution, model)


@pytest.mark.parametrize("resolution", [0, 63, 1025])
def test_a_resolution_that_no_classifier_has_is_a_sentence(resolution: int) -> None:
    with pytest.raises(BackboneError, match=f"is {resolution} px; it can be 64 to 1024"):
        built_for(parse_name("timm:vit"), resolution)


def test_every_short_name_is_known() -> None:
    assert {parse_name(short).name for short in SHORT_NAMES} == set(SHORT_NAMES)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("resnet19", "resnet18"),
        ("vgg16", "timm:vgg16"),
        ("tim:vgg16", "Did you mean ‘timm:vgg16’"),
        ("keras:vgg16", "timm and torchvision"),
        ("timm:../../etc/passwd", "cannot be a model"),
        ("timm:", "cannot be a model"),
        ("timm-", "library"),
        ("", "library"),
    ],
)
def test_what_is_no_name_is_a_sentence(typed: str, said: str) -> None:
    with pytest.raises(BackboneError, match=said):
        parse_name(typed)


def test_close_models_are_named() -> None:
    sentence = unknown_model(ModelName("timm", "convnxt_tiny"), ["convnext_tiny", "resnet18"])
    assert "timm:convnext_tiny" in sentence
    assert "resnet18" not in sentence
    assert "Close" not in unknown_model(ModelName("timm", "zzz"), ["resnet18"])
