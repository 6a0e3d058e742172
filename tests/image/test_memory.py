from __future__ import annotations

import pytest

from foveate.errors import ImageRefused, Reason
from foveate.image import Limits
from foveate.image.memory import scaled_bytes, whole_bytes


def test_pixels_and_what_becomes_of_them() -> None:
    assert whole_bytes("PNG", "RGB", (100, 10), 0) == 4_000
    assert whole_bytes("PNG", "RGBA", (100, 10), 0) == 8_000
    assert whole_bytes("GIF", "P", (100, 10), 0) == 5_000
    assert whole_bytes("TIFF", "I;16", (100, 10), 0) == 6_000


def test_a_decoder_has_given_back_its_memory_when_pixels_are_converted() -> None:
    assert whole_bytes("JPEG", "CMYK", (100, 10), 1_000) == 8_000
    assert whole_bytes("JPEG", "CMYK", (100, 10), 9_000) == 13_000
    assert whole_bytes("AVIF", "RGBA", (100, 10), 0) == 30_000  # but for AVIF's


def test_a_scaled_jpeg_takes_its_share() -> None:
    assert scaled_bytes((800, 80), 8) == 256_000
    assert scaled_bytes((800, 80), 1) == 4_000


def test_memory_over_the_limit() -> None:
    limits = Limits(max_memory=400_000_000)
    limits.check_memory(400_000_000)
    with pytest.raises(
        ImageRefused, match=r"takes 401 MB of memory; the limit is 400\."
    ) as refused:
        limits.check_memory(401_000_000)
    assert refused.value.reason is Reason.TOO_LARGE
