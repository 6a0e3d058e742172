"""The certificate of a server, read again when it is replaced (cert-manager does, every month)."""

from __future__ import annotations

import errno
import ssl
from pathlib import Path

from foveate.errors import SettingsError
from foveate.files import read_whole
from foveate.serve.models import Fingerprint, fingerprint

_MAX_BYTES = 1 << 20


class Certificate:
    """A certificate chain with its private key.

    Args:
        chain: PEM.
        key: PEM.

    Attributes:
        context: for new connections.

    Raises:
        SettingsError: they cannot be read, or do not belong together.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._files = (chain, key)
        self._fingerprints = self._look()
        self.context = self._load()

    def changed(self) -> bool:
        """Whether a file is another one than the one that was read."""
        return self._look() != self._fingerprints

    def read(self) -> None:
        """Read the files again; those who are connected keep what they have.

        Raises:
            SettingsError: as above; new connections get the one before.
        """
        # A new context, as one that fails half way would be left with a chain and no key.
        self._fingerprints = self._look()
        self.context = self._load()

    def _look(self) -> tuple[Fingerprint | None, ...]:
        return tuple(map(fingerprint, self._files))

    def _load(self) -> ssl.SSLContext:
        chain, key = self._files
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            texts = [read_whole(str(path), _MAX_BYTES) for path in self._files]  # never a pipe
            if b"ENCRYPTED" in texts[1]:
                raise OSError(errno.EINVAL, "the key is locked with a password; unlock it")
            context.load_cert_chain(chain, key, password="")  # which the terminal is not asked for
        except OSError as error:  # of which an SSLError is one
            raise SettingsError(
                f"The certificate ‘{chain}’ with the key ‘{key}’ cannot be used: "
                f"{error.strerror or error}."
            ) from None
        return context


def read_certificate(chain: Path | None, key: Path | None) -> Certificate | None:
    """The certificate that the settings name; None where they name none.

    Raises:
        SettingsError: only one of the two is named, or see `Certificate`.
    """
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise SettingsError("TLS needs both: `--tls-cert` and `--tls-key`.")
    return Certificate(chain, key)
