"""Values that are not stored as they are shown become what Pillow makes of them, only sooner."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from foveate.errors import ImageRefused, Reason
from foveate.image import Resize, open_image
from foveate.image.pillow import decode_pixels


def netpbm(kind: str, brightest: int) -> bytes:
    bands = 3 if kind == "P6" else 1
    high = min(65535, 2 * brightest)  # above the brightest, too
    values = np.random.default_rng(brightest).integers(0, high + 1, 40 * 30 * bands)
    stored = values.astype(">u2") if brightest > 255 else np.minimum(values, 255).astype(np.uint8)
    return b"%b 40 30 %d\n" % (kind.encode(), brightest) + stored.tobytes()


@pytest.mark.parametrize("kind", ["P5", "P6"])
@pytest.mark.parametrize("brightest", [1, 3, 100, 254, 256, 1023, 4095, 65534, 65535])
def test_it_is_what_pillow_decodes(kind: str, brightest: int) -> None:
    data = netpbm(kind, brightest)
    with Image.open(BytesIO(data)) as expected:
        decoded = decode_pixels("PPM", data)
        assert decoded.mode == expected.mode
        assert np.array_equal(np.asarray(decoded), np.asarray(expected))


def test_a_cut_one_is_truncated() -> None:
    with pytest.raises(ImageRefused) as refused:
        open_image(netpbm("P6", 100)[:-1]).pixels(Resize(8))
    assert refused.value.reason is Reason.TRUNCATED
