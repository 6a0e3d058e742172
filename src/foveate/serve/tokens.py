"""Bearer tokens: who may ask."""

from __future__ import annotations

import hmac
import os
import re
from hashlib import sha256
from pathlib import Path

from foveate.errors import SettingsError
from foveate.serve.models import Fingerprint, fingerprint

VARIABLE = "FOVEATE_TOKENS"
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Tokens:
    """The tokens of a server, from the environment and a file.

    Args:
        file: one token a line; empty lines and lines that begin with # are skipped. It is read
            again when it changes.

    Raises:
        SettingsError: the file cannot be read or holds no token, or a token has characters that
            no header can carry.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._fingerprint: Fingerprint | None = None
        self._digests: tuple[bytes, ...] = ()
        self.read()

    @property
    def wanted(self) -> bool:
        """Whether a token has to be shown at all."""
        return bool(self._digests)

    def allow(self, authorization: str | None) -> bool:
        """Whether a request with this `Authorization` header may go on.

        Every token is compared, in constant time, so the time tells nothing about any of them.
        """
        if not self._digests:
            return True
        scheme, _, token = (authorization or "").partition(" ")
        shown = _digest(token.strip())
        matches = [hmac.compare_digest(shown, digest) for digest in self._digests]
        return scheme.lower() == "bearer" and any(matches)

    def changed(self) -> bool:
        """Whether the file is another one than the one that was read."""
        return self._file is not None and fingerprint(self._file) != self._fingerprint

    def read(self) -> None:
        """Read the environment and the file."""
        variable = os.environ.get(VARIABLE, "")
        tokens = re.split(r"[\s,]+", variable)
        if variable and not any(tokens):
            raise SettingsError(f"{VARIABLE} is set but holds no token; unset it to serve all.")
        if self._file is not None:
            self._fingerprint = fingerprint(self._file)
            try:
                lines = self._file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not a text"
                raise SettingsError(
                    f"The tokens in ‘{self._file}’ cannot be read: {reason}."
                ) from None
            found = [line.strip() for line in lines if not line.lstrip().startswith("#")]
            if not any(found):
                # Rather than to serve everybody.
                raise SettingsError(f"‘{self._file}’ holds no token; write one a line.")
            tokens += found
        tokens = [token for token in tokens if token]
        if not all(map(_TOKEN.fullmatch, tokens)):
            raise SettingsError("A token holds a space or a letter that no header can carry.")
        self._digests = tuple(_digest(token) for token in tokens)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()
