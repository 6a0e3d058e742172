"""Bearer tokens."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.errors import SettingsError
from foveate.serve.http.tokens import Grant, Tokens
from support.servers import serving, wait_until


@pytest.fixture(autouse=True)
def no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOVEATE_TOKENS", raising=False)


def test_without_tokens_everybody_may() -> None:
    tokens = Tokens()
    assert not tokens.wanted
    assert tokens.grant(None)


def test_tokens_of_environment_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_TOKENS", "one, two")
    path = tmp_path / "tokens"
    path.write_text("# of the shop\nthree\n\n")
    tokens = Tokens(path)
    for token in ("one", "two", "three"):
        assert tokens.grant(f"Bearer {token}")
        assert tokens.grant(f"bearer  {token} ")
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
        assert not tokens.grant(header)


@given(st.text())
def test_no_other_text_is_a_token(header: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_TOKENS", "s3cret")
        tokens = Tokens()
    assert not tokens.grant(header) or header.split() == ["Bearer", "s3cret"]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("old")
    tokens = Tokens(path)
    assert not tokens.changed()
    path.write_text("newer")
    assert tokens.changed()
    tokens.read()
    assert not tokens.changed()
    assert tokens.grant("Bearer newer")
    assert not tokens.grant("Bearer old")


def test_a_file_without_tokens_is_not_an_open_door(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("first")
    tokens = Tokens(path)
    path.write_text("\n# nothing\n")
    with pytest.raises(SettingsError, match="holds no token"):
        tokens.read()
    assert tokens.grant("Bearer first")
    assert not tokens.grant(None)


@pytest.mark.parametrize("content", [b"two words", b"\xff\xfe", "ümlaut".encode()])
def test_tokens_that_no_header_carries(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(content)
    with pytest.raises(SettingsError):
        Tokens(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    # Read again while the server runs, it would wait until somebody writes.
    path = tmp_path / "tokens"
    os.mkfifo(path)
    with pytest.raises(SettingsError, match="a pipe, not a file"):
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


def test_names_and_scopes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_TOKENS", "ops:admin+metrics:a:b:c=,bare")
    path = tmp_path / "tokens"
    path.write_text("# names\n\nshop:predict:one\nshop:predict:two\nplain\nplain:x\n")
    tokens = Tokens(path)

    def of(token: str) -> tuple[str | None, set[str]]:
        grant = tokens.grant(f"Bearer {token}")
        assert grant is not None, token
        return grant.name, set(grant.scopes)

    assert of("a:b:c=") == ("ops", {"admin", "metrics"})
    assert of("bare") == ("environment-2", {"predict", "metrics"})
    assert of("one") == of("two") == ("shop", {"predict"})
    assert of("plain") == ("line-5", {"predict", "metrics"})
    assert of("plain:x") == ("line-6", {"predict", "metrics"})
    for entry in ("shop:predict:one", "ops:admin+metrics:a:b:c=", "shop", "predict"):
        assert tokens.grant(f"Bearer {entry}") is None


def test_the_same_token_twice_is_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_TOKENS", "a:predict:s3cret b:admin:s3cret")
    assert Tokens().grant("Bearer s3cret") == Grant("a", frozenset({"predict", "admin"}))


@pytest.mark.parametrize("scopes", ["predct", "predict+", "all", "predict+root"])
def test_scopes_that_there_are_not(scopes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_TOKENS", f"shop:{scopes}:s3cret")
    if scopes.endswith("+"):  # then it is a bare token, and the whole of it has to be shown
        assert Tokens().grant("Bearer s3cret") is None
        return
    with pytest.raises(SettingsError, match="is for ‘") as told:
        Tokens()
    assert "s3cret" not in str(told.value)


@pytest.mark.slow
def test_a_token_is_for_what_it_is_for(
    tmp_path: Path, model_file: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {
        ("GET", "/models"): "predict",
        ("POST", "/predict"): "predict",
        ("GET", "/v2/models/patterns"): "predict",
        ("GET", "/metrics"): "metrics",
        ("HEAD", "/metrics"): "metrics",
    }
    environment = {"FOVEATE_TOKENS": "shop:predict:sesame1,watch:metrics:sesame2,ops:admin:sesame3"}
    with (
        serving(tmp_path / "log", model_file, "--workers", 1, environment=environment) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        tokens = {"predict": "sesame1", "metrics": "sesame2", "admin": "sesame3"}
        for (method, path), wanted in asked.items():
            for scope, token in tokens.items():
                headers = {"authorization": f"Bearer {token}"}
                content = image if method == "POST" else None
                answer = client.request(method, path, headers=headers, content=content)
                assert answer.status_code == (200 if scope == wanted else 403), (path, scope)
                if scope != wanted and method != "HEAD":
                    assert answer.json()["reason"] == "forbidden"
                    assert f"‘{wanted}’" in answer.json()["error"]
        wait_until(lambda: len([one for one in server.logged if one.get("status") == 403]) == 10)
        names = {one["token"] for one in server.logged if one["event"] == "request"}
        assert names == {"shop", "watch", "ops"}
    assert "sesame" not in (tmp_path / "log").read_text()
