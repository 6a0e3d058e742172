from __future__ import annotations

import pytest

from foveate.errors import ImageRefused, Reason
from foveate.image.limits import Limits

LIMITS = Limits(max_bytes=10, max_pixels=100, max_side=50)


@pytest.mark.parametrize("count", [1, 10])
def test_bytes_within_limit(count: int) -> None:
    LIMITS.check_bytes(count)


@pytest.mark.parametrize(("count", "reason"), [(0, Reason.EMPTY), (11, Reason.TOO_LARGE)])
def test_bytes_refused(count: int, reason: Reason) -> None:
    with pytest.raises(ImageRefused) as refused:
        LIMITS.check_bytes(count)
    assert refused.value.reason is reason


@pytest.mark.parametrize("size", [(1, 1), (10, 10), (50, 2), (2, 50)])
def test_size_within_limit(size: tuple[int, int]) -> None:
    LIMITS.check_size(*size)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((51, 1), Reason.TOO_LARGE),
        ((1, 51), Reason.TOO_LARGE),
        ((11, 10), Reason.TOO_LARGE),
        ((0, 10), Reason.UNREADABLE),
    ],
)
def test_size_refused(size: tuple[int, int], reason: Reason) -> None:
    with pytest.raises(ImageRefused, match=str(size[0])) as refused:
        LIMITS.check_size(*size)
    assert refused.value.reason is reason
