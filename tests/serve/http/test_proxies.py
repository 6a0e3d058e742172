"""Proxies that say who asks, and strangers who pretend to be one."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.serve.http.proxies import Proxies
from support.servers import serving, wait_until

OURS = Proxies(["10.0.0.0/8", "::1", "192.0.2.7"])


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        ("10.1.2.3", ["198.51.100.9"], "198.51.100.9"),
        ("10.1.2.3", ["1.1.1.1, 198.51.100.9"], "198.51.100.9"),  # the first is a pretence
        ("10.1.2.3", ["1.1.1.1", "198.51.100.9, 192.0.2.7"], "198.51.100.9"),
        ("10.1.2.3", ["10.9.9.9, 10.8.8.8"], "10.9.9.9"),
        ("::1", ["2001:db8::9"], "2001:db8::9"),
        ("::1", ["[2001:db8::9]:443"], "2001:db8::9"),
        ("::1", ["198.51.100.9:443"], "198.51.100.9"),
        ("::ffff:10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.1.2.3", ["198.51.100.9, unknown"], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.9,"], "10.1.2.3"),
        ("10.1.2.3", ["<script>", ""], "10.1.2.3"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("198.51.100.1", ["1.1.1.1"], "198.51.100.1"),
        (None, ["1.1.1.1"], None),
    ],
)
def test_who_asks(peer: str | None, said: list[str], client: str | None) -> None:
    assert OURS.client(peer, said) == client


@given(st.lists(st.text()), st.sampled_from(["10.0.0.1", "192.0.2.8"]))
def test_whatever_is_said(said: list[str], peer: str) -> None:
    client = OURS.client(peer, said)
    assert client == peer or (peer == "10.0.0.1" and client and len(client) < 50)


def test_nobody_is_trusted_by_default() -> None:
    assert not Proxies(()).trusts("127.0.0.1")
    assert OURS.trusts("10.255.0.1")
    assert not OURS.trusts("11.0.0.1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "shown"),
    [(["--trusted-proxy", "127.0.0.0/8"], "198.51.100.9"), ([], "127.0.0.1")],
)
def test_the_log_names_the_client(
    tmp_path: Path, model_file: Path, flags: list[str], shown: str
) -> None:
    with serving(tmp_path / "log", model_file, "--workers", 1, *flags) as server:
        headers = {"x-forwarded-for": "1.1.1.1, 198.51.100.9", "x-forwarded-proto": "https"}
        httpx.post(f"{server.url}/nothing", headers=headers, timeout=30)
        wait_until(lambda: any(one["event"] == "request" for one in server.logged))
        (line,) = (one for one in server.logged if one["event"] == "request")
        assert line["client"] == shown
