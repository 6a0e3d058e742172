"""Take passwords and tokens out of texts that go on record."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^/\s'\"]*@")  # user and password in front of a host
_QUERY = re.compile(r"(\w+://[^\s?'\"]*)\?[^\s'\"]+")  # signatures of blob stores are there


def without_secrets(text: str) -> str:
    """A text whose URLs have lost what stands before the host and after the question mark."""
    if "://" not in text:
        return text
    return _QUERY.sub(r"\1?…", _USER.sub("", text))
