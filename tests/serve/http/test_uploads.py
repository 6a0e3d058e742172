"""Base64 in all its spellings."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.serve.http.refusals import RequestRefused
from foveate.serve.http.uploads import check_count, decode_base64
from foveate.serve.settings import ServerSettings


@given(st.binary(max_size=400))
def test_spellings(data: bytes) -> None:
    standard = base64.b64encode(data).decode()
    for text in (
        standard,
        base64.urlsafe_b64encode(data).decode(),
        standard.rstrip("="),
        base64.encodebytes(data).decode(),
        f"data:image/jpeg;base64,{standard}",
        f"  {standard}\r\n",
    ):
        assert decode_base64(text, 0) == data


@pytest.mark.parametrize("text", ["*", "a", "abc$", "é", "data:image/png,abcd", "ab=c"])
def test_what_is_not_base64(text: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        decode_base64(text, 3)
    assert refused.value.status == 422
    assert refused.value.images[0].index == 3


@given(st.text())
def test_any_text_is_decoded_or_refused(text: str) -> None:
    with suppress(RequestRefused):  # anything else is a defect
        decode_base64(text, 0)


def test_too_many() -> None:
    settings = ServerSettings(max_images=3)
    check_count(3, settings)
    with pytest.raises(RequestRefused) as refused:
        check_count(4, settings)
    assert refused.value.status == 413
