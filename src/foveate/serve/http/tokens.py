"""Bearer tokens: who may ask, and what."""

from __future__ import annotations

import hmac
import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from foveate.errors import SettingsError
from foveate.files import read_whole
from foveate.serve.models import Fingerprint, fingerprint

VARIABLE = "FOVEATE_TOKENS"
SCOPES = ("predict", "metrics", "admin")
"""What a token may be for: classifiers and their answers; `/metrics`; `/admin/…`."""

_MAX_BYTES = 1 << 20
_OF_BARE = frozenset({"predict", "metrics"})
_TOKEN = re.compile(r"[\x21-\x7e]+")
_NAMED = re.compile(r"([A-Za-z0-9_.-]{1,64}):([a-z]+(?:\+[a-z]+)*):(.+)")


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may ask for.

    Attributes:
        name: of the token, for the log; None where no tokens are wanted.
        scopes: some of `SCOPES`.
    """

    name: str | None
    scopes: frozenset[str]


EVERYBODY = Grant(None, frozenset(SCOPES))
"""Where no tokens are wanted."""


class Tokens:
    """The tokens of a server, from the environment and a file.

    `NAME:SCOPES:TOKEN` is a token with a name and one or more scopes, joined by `+`. A bare token
    is for all but `admin`, and is called by where it stands.

    Args:
        file: one token a line; empty lines and lines that begin with # are skipped. It is read
            again when it changes.

    Raises:
        SettingsError: the file cannot be read or holds no token, a token has characters that
            no header can carry, or there is no such scope.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._fingerprint: Fingerprint | None = None
        self._grants: dict[bytes, Grant] = {}
        self.read()

    @property
    def wanted(self) -> bool:
        """Whether a token has to be shown at all."""
        return bool(self._grants)

    def grant(self, authorization: str | None) -> Grant | None:
        """What a request with this `Authorization` header may ask for; None for nothing.

        Every token is compared, in constant time, so the time tells nothing about any of them.
        """
        if not self._grants:
            return EVERYBODY
        scheme, _, token = (authorization or "").partition(" ")
        shown = _digest(token.strip())
        granted = [
            grant for digest, grant in self._grants.items() if hmac.compare_digest(shown, digest)
        ]
        return granted[0] if granted and scheme.lower() == "bearer" else None

    def changed(self) -> bool:
        """Whether the file is another one than the one that was read."""
        return self._file is not None and fingerprint(self._file) != self._fingerprint

    def read(self) -> None:
        """Read the environment and the file."""
        variable = os.environ.get(VARIABLE, "")
        entries = [entry for entry in re.split(r"[\s,]+", variable) if entry]
        if variable and not entries:
            raise SettingsError(f"{VARIABLE} is set but holds no token; unset it to serve all.")
        named = {f"environment-{number}": entry for number, entry in enumerate(entries, 1)}
        if self._file is not None:
            self._fingerprint = fingerprint(self._file)
            named |= _read_file(self._file)
        grants: dict[bytes, Grant] = {}
        for name, entry in named.items():
            digest, grant = _parse(name, entry)
            same = grants.get(digest, grant)  # twice the same token: it is for all of it
            grants[digest] = Grant(same.name, same.scopes | grant.scopes)
        self._grants = grants


def _read_file(path: Path) -> dict[str, str]:
    """The tokens of a file, by the lines where they stand."""
    try:
        lines = read_whole(str(path), _MAX_BYTES).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text"
        raise SettingsError(f"The tokens in ‘{path}’ cannot be read: {reason}.") from None
    tokens = {
        f"line-{number}": line.strip()
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    }
    if not tokens:
        # Rather than to serve everybody.
        raise SettingsError(f"‘{path}’ holds no token; write one a line.")
    return tokens


def _parse(name: str, entry: str) -> tuple[bytes, Grant]:
    """The digest of a token and what it is for; the error never shows the token."""
    if not _TOKEN.fullmatch(entry):
        raise SettingsError(
            f"A token ({name}) holds a space or a letter that no header can carry; with a name "
            "and scopes it is NAME:SCOPES:TOKEN."
        )
    named = _NAMED.fullmatch(entry)
    if named is None:
        return _digest(entry), Grant(name, _OF_BARE)
    scopes = frozenset(named[2].split("+"))
    unknown = scopes.difference(SCOPES)
    if unknown:
        raise SettingsError(
            f"The token ‘{named[1]}’ ({name}) is for ‘{min(unknown)[:20]}’, which there is not; "
            f"a token is for some of {', '.join(SCOPES)}, joined by +."
        )
    return _digest(named[3]), Grant(named[1], scopes)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()
