"""Who asks, where a proxy stands between: what it says is believed if it is one of ours."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.types import Scope

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORWARDED_FOR, FORWARDED_PROTO = b"x-forwarded-for", b"x-forwarded-proto"


class Proxies:
    """The proxies of one server.

    Args:
        trusted: addresses or networks (`10.0.0.0/8`) of proxies that overwrite, or add to,
            `X-Forwarded-For`; anybody else could write there what they like.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in trusted)

    def trusts(self, address: str | None) -> bool:
        """Whether a proxy of ours is at this address: its connections bring many clients."""
        parsed = _parse(address or "")
        return parsed is not None and any(parsed in network for network in self._networks)

    def client(self, peer: str | None, forwarded_for: Iterable[str]) -> str | None:
        """The address of who asks.

        Args:
            peer: who is connected.
            forwarded_for: values of `X-Forwarded-For`, in the order of the headers.

        Returns:
            The last address that is none of our proxies. What stands before it was said by a
            stranger, and what is no address ends the search.
        """
        client = peer
        hops = [hop for value in forwarded_for for hop in value.split(",")]
        while hops and self.trusts(client):
            hop = _parse(hops.pop())
            if hop is None:
                break
            client = str(hop)
        return client

    def apply(self, scope: Scope) -> None:
        """Put into the scope of a request who asks, and by which scheme."""
        peer = (scope.get("client") or (None,))[0]
        if not self._networks or not self.trusts(peer):
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        forwarded = [value.decode("latin-1") for name, value in headers if name == FORWARDED_FOR]
        scope["client"] = (self.client(peer, forwarded), 0)
        schemes = [value for name, value in headers if name == FORWARDED_PROTO]
        last = schemes[-1].rpartition(b",")[2].strip().lower() if schemes else b""
        if last in (b"http", b"https"):
            scope["scheme"] = last.decode()


def _parse(text: str) -> Address | None:
    """An address, with a port or without; one of IPv4 within IPv6 as that of IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
