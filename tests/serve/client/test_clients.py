"""Connections, counted in all and by client."""

from __future__ import annotations

import pytest

from foveate.serve.http.connection import Clients, client_of


def test_one_client_leaves_room_for_others() -> None:
    clients = Clients(most=5, most_each=3)
    found = [clients.enter("192.0.2.1") for _ in range(4)]
    assert found == [True, True, True, False]
    clients.leave("192.0.2.1")  # the one that was refused
    assert clients.enter("192.0.2.2")
    assert clients.enter("192.0.2.3")
    assert not clients.enter("192.0.2.4")  # five in all
    for _ in range(3):
        clients.leave("192.0.2.1")
    assert clients.enter("192.0.2.1")


def test_a_proxy_brings_many_clients() -> None:
    clients = Clients(most=5, most_each=1, brings_many=lambda address: address == "10.0.0.1")
    assert all(clients.enter("10.0.0.1") for _ in range(5))
    assert not clients.enter("10.0.0.1")


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("a socket's path", "a socket's path"),
        (None, ""),
    ],
)
def test_who_is_behind_an_address(address: str | None, client: str) -> None:
    assert client_of(address) == client
