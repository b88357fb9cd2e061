"""Whom a call comes from, as far as its address tells: the network, never the very address. Pure.

A prefix of the length that one household or office has (/24, /48) is what limits count by, so no
visitor's address is written anywhere; the last ones are remembered, to be read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

PREFIX_V4, PREFIX_V6 = 24, 48
# More entries than that in X-Forwarded-For are no chain of proxies.
MAX_HOPS = 16


def client_prefix(
    peer: str | None, forwarded_for: Sequence[str], trusted: tuple[Network, ...]
) -> str | None:
    """The network of the client, `203.0.113.0/24`; None: a connection without addresses, or from
    this very machine, which is a proxy or its operator and says nothing of a client.

    peer: who connected. forwarded_for: the X-Forwarded-For headers in order; read from the end,
    as far as each hop is a proxy of ours (trusted): whatever stands before anybody else's address
    was written by anybody.
    """
    if peer is None:
        return None
    if not trusted or not forwarded_for:
        return _prefix(peer)
    hops = [hop.strip() for line in forwarded_for for hop in line.split(",")][-MAX_HOPS:]
    client = peer
    while hops and _is_within(client, trusted):
        client = hops.pop()
    return _prefix(client) or _prefix(peer)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Raises ValueError for what is no network."""
    return tuple(ip_network(text, strict=False) for text in texts)


@lru_cache(maxsize=16_384)
def _prefix(text: str) -> str | None:
    address = _address(text)
    if address is None or address.is_loopback:
        return None
    length = PREFIX_V4 if isinstance(address, IPv4Address) else PREFIX_V6
    return str(ip_network((address, length), strict=False))


def _is_within(text: str, trusted: tuple[Network, ...]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Also of `[2001:db8::1]:443` and `203.0.113.5:443`, as some proxies write them."""
    host = text.partition("%")[0]
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
