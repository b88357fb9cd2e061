"""The address that `perso serve` listens on: its sockets, and how it is written."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence

Sockets = tuple[socket.socket, ...]

# A name may have addresses that this machine has not, such as ::1 where IPv6 is off.
NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bound(host: str, port: int, *, shared: bool) -> Sockets:
    """A socket for each address of the host, not yet listening. port: 0 is any free one, the same
    for all. shared: others of ours may bind the same. Raises OSError, also where others listen."""
    found: list[socket.socket] = []
    absent = None
    try:
        for family, address in _addresses(host, port):
            try:
                one = _bound(family, (*address[:1], port, *address[2:]), shared=shared)
            except OSError as error:
                if error.errno not in NOT_HERE:
                    raise
                absent = error
            else:
                found.append(one)
                port = one.getsockname()[1]
    except OSError:
        close(found)
        raise
    if absent and not found:
        raise absent
    return tuple(found)


def _addresses(host: str, port: int) -> list[tuple[int, tuple[object, ...]]]:
    """Of each its family. Raises OSError for a name that has none, also one that no name can be."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:  # a part of it is empty, or longer than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, "It is no name of a host") from None
    return [(family, address) for family, _, _, _, address in found]


def _bound(family: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError:
        one.close()
        raise
    return one


def refuse_taken(host: str, port: int) -> None:
    """Raises OSError where anybody listens, also another server of ours: sharing would let it,
    and visitors would be split between two stores."""
    if port:
        close(bound(host, port, shared=False))


def claimed(sockets: Sockets) -> Sockets:
    """The addresses of these sockets for this process alone, among those that share them, for as
    long as what is returned is open. Two that begin in the same moment both find nobody listening.
    Raises OSError where another one has the claim."""
    if not sys.platform.startswith("linux"):  # no other system has names that end with a process
        return ()
    claims: list[socket.socket] = []
    try:
        for one in sockets:
            address, port = one.getsockname()[:2]
            claim = socket.socket(socket.AF_UNIX)
            claims.append(claim)
            claim.bind(f"\0perso serve {address} {port}")
    except OSError:
        close(claims)
        raise
    return tuple(claims)


def left_behind(host: str, port: int) -> bool:
    """Of a taken address: whether those who listen there share it and nobody has the claim to it,
    as workers whose supervisor was killed; they notice, and stop."""
    try:
        shared = bound(host, port, shared=True)
    except OSError:
        return False
    try:
        claims = claimed(shared)
    except OSError:
        return False
    finally:
        close(shared)
    close(claims)
    return bool(claims)


def close(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()


def url(host: str, port: int) -> str:
    """Of the edge there."""
    # RFC 3986, section 3.2.2; RFC 6874 for the zone after a percent sign.
    written = f"[{host.replace('%', '%25')}]" if ":" in host else host
    return f"http://{written}:{port}/ee"
