from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [refine] extra")
pytestmark = pytest.mark.slow

from foveate.finetune.plan import Views
from foveate.finetune.views import GREY, mix, render, side_of_views


def views(n: int = 1, **changes: object) -> Views:
    one, zero, half = (np.full(n, value, np.float32) for value in (1, 0, 0.5))
    values = {
        "x": half, "y": half, "width": one, "height": one, "mirrored": one, "turned": zero,
        "brightness": one, "contrast": one, "saturation": one,
        "erased": np.zeros((n, 4), np.float32),
    }  # fmt: skip
    values |= {key: np.broadcast_to(np.float32(v), values[key].shape) for key, v in changes.items()}
    return Views(**values)


@pytest.fixture
def pixels() -> torch.Tensor:
    """A left half that is dark red, a right half with a gradient from top to bottom."""
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[:, :, :16] = (100, 20, 20)
    image[:, :, 16:] = np.linspace(0, 255, 32)[None, :, None, None].astype(np.uint8)
    return torch.from_numpy(image)


def as_images(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.permute(0, 3, 1, 2).float()


def test_views_are_an_eighth_smaller_in_whole_strides_of_networks() -> None:
    assert [side_of_views(r) for r in (256, 320, 448, 1024)] == [224, 288, 384, 896]
    # Small ones would lose detail.
    assert [side_of_views(r) for r in (64, 70, 224, 240)] == [64, 70, 224, 224]
    assert side_of_views(384, fixed=384) == 384


def test_no_views_is_the_centre_to_the_pixel(pixels: torch.Tensor) -> None:
    shown = render(pixels, None, 24)
    assert torch.equal(shown, as_images(pixels)[:, :, 4:28, 4:28])


def test_the_whole_image(pixels: torch.Tensor) -> None:
    assert torch.allclose(render(pixels, views(), 32), as_images(pixels), atol=1e-2)


def test_a_part_of_the_image(pixels: torch.Tensor) -> None:
    shown = render(pixels, views(x=0.25, width=0.5, y=0.25, height=0.5), 16)
    assert torch.allclose(shown, as_images(pixels)[:, :, :16, :16], atol=1e-2)


def test_mirrored(pixels: torch.Tensor) -> None:
    shown = render(pixels, views(mirrored=-1), 32)
    assert torch.allclose(shown, as_images(pixels).flip(3), atol=1e-2)


def test_turned_by_a_quarter(pixels: torch.Tensor) -> None:
    shown = render(pixels, views(turned=np.pi / 2), 32)
    turned = as_images(pixels).rot90(1, (2, 3)), as_images(pixels).rot90(-1, (2, 3))
    assert any(torch.allclose(shown, one, atol=0.1) for one in turned)


def test_colours(pixels: torch.Tensor) -> None:
    plain = render(pixels, views(), 32)
    assert torch.allclose(render(pixels, views(brightness=0.5), 32), plain / 2, atol=1e-2)
    grey = render(pixels, views(saturation=0), 32)
    assert torch.allclose(grey[:, 0], grey[:, 1], atol=1e-2)
    assert render(pixels, views(contrast=0.5), 32).std() < plain.std() * 0.6
    assert render(pixels, views(brightness=3), 32).max() <= 255


def test_erased(pixels: torch.Tensor) -> None:
    shown = render(pixels, views(erased=[0.25, 0.5, 0.75, 1.0]), 32)
    assert (shown[:, :, 16:, 8:24] == GREY).all()
    assert torch.allclose(shown[:, :, :16], render(pixels, views(), 32)[:, :, :16])


def test_mix() -> None:
    images = torch.stack([torch.zeros(3, 2, 2), torch.full((3, 2, 2), 100.0)])
    mixed = mix(images, images.flip(0), torch.tensor([0.75, 0.75]))
    assert mixed[0].unique().tolist() == [25.0]
    assert mixed[1].unique().tolist() == [75.0]
