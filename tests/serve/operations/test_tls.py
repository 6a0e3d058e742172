"""Certificates that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from foveate.errors import SettingsError
from foveate.serve.operations.tls import Certificate


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    issued = trustme.CA().issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(key)
    return chain, key


def test_a_locked_key_does_not_ask_at_the_terminal(files: tuple[Path, Path]) -> None:
    chain, key = files
    unlocked = serialization.load_pem_private_key(key.read_bytes(), password=None)
    key.write_bytes(
        unlocked.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(SettingsError, match="locked with a password"):
        Certificate(chain, key)


@pytest.mark.parametrize("which", [0, 1])
def test_a_pipe_is_not_waited_for(files: tuple[Path, Path], which: int) -> None:
    certificate = Certificate(*files)
    files[which].unlink()
    os.mkfifo(files[which])
    with pytest.raises(SettingsError, match="a pipe, not a file"):
        certificate.read()
