"""Bearer tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.errors import SettingsError
from foveate.serve.tokens import Tokens


@pytest.fixture(autouse=True)
def no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOVEATE_TOKENS", raising=False)


def test_without_tokens_everybody_may() -> None:
    tokens = Tokens()
    assert not tokens.wanted
    assert tokens.allow(None)


def test_tokens_of_environment_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_TOKENS", "one, two")
    path = tmp_path / "tokens"
    path.write_text("# of the shop\nthree\n\n")
    tokens = Tokens(path)
    for token in ("one", "two", "three"):
        assert tokens.allow(f"Bearer {token}")
        assert tokens.allow(f"bearer  {token} ")
    for header in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer four",
        "one",
        "Basic one",
        "Bearer one two",
    ):
        assert not tokens.allow(header)


@given(st.text())
def test_no_other_text_is_a_token(header: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_TOKENS", "s3cret")
        tokens = Tokens()
    assert not tokens.allow(header) or header.split() == ["Bearer", "s3cret"]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("old")
    tokens = Tokens(path)
    assert not tokens.changed()
    path.write_text("newer")
    assert tokens.changed()
    tokens.read()
    assert not tokens.changed()
    assert tokens.allow("Bearer newer")
    assert not tokens.allow("Bearer old")


def test_a_file_without_tokens_is_not_an_open_door(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("first")
    tokens = Tokens(path)
    path.write_text("\n# nothing\n")
    with pytest.raises(SettingsError, match="holds no token"):
        tokens.read()
    assert tokens.allow("Bearer first")
    assert not tokens.allow(None)


@pytest.mark.parametrize("content", [b"two words", b"\xff\xfe", "ümlaut".encode()])
def test_tokens_that_no_header_carries(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(content)
    with pytest.raises(SettingsError):
        Tokens(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Tokens(tmp_path / "none")


def test_a_variable_without_tokens_is_not_an_open_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_TOKENS", " , ")
    with pytest.raises(SettingsError, match="FOVEATE_TOKENS is set but holds no token"):
        Tokens()
    monkeypatch.setenv("FOVEATE_TOKENS", "")
    assert not Tokens().wanted
