"""Where `perso serve` listens: by itself, or with workers that share an address."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

import pytest

from perso_core.cli.address import bound, claimed, close, left_behind, refuse_taken, url

Resolve = Callable[..., None]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Every name has these addresses."""

    def to(*addresses: str) -> None:
        stream = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        found = [(*stream, (address, 0)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    return to


def test_sockets_of_one_address_can_be_many_and_a_strangers_cannot_be_shared() -> None:
    first = bound("127.0.0.1", 0, shared=True)
    port = first[0].getsockname()[1]
    second = bound("127.0.0.1", port, shared=True)
    assert second[0].getsockname()[1] == port
    close((*first, *second))

    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        with pytest.raises(OSError, match="in use"):
            bound("127.0.0.1", stranger.getsockname()[1], shared=True)


def test_an_address_where_a_server_of_ours_listens_is_taken_also_where_it_could_be_shared() -> None:
    first = bound("127.0.0.1", 0, shared=True)
    first[0].listen()
    try:
        with pytest.raises(OSError, match="in use"):
            refuse_taken("127.0.0.1", first[0].getsockname()[1])
    finally:
        close(first)


@pytest.mark.skipif(sys.platform != "linux", reason="the claim is Linux's")
def test_those_who_share_an_address_that_nobody_claims_are_left_behind_and_nobody_else() -> None:
    shared, alone = bound("127.0.0.1", 0, shared=True), bound("127.0.0.1", 0, shared=False)
    shared[0].listen()
    alone[0].listen()
    port, other = shared[0].getsockname()[1], alone[0].getsockname()[1]

    claims = claimed(shared)
    supervised = left_behind("127.0.0.1", port)
    close(claims)

    assert not supervised
    assert left_behind("127.0.0.1", port)
    assert not left_behind("127.0.0.1", other)
    close((*shared, *alone))


def test_a_name_with_two_addresses_is_listened_to_at_both_under_one_port(resolve: Resolve) -> None:
    both = ("127.0.0.1", "127.0.0.2")
    resolve(*both)

    sockets = bound("shop.test", 0, shared=False)
    addresses = [one.getsockname() for one in sockets]
    close(sockets)

    port = addresses[0][1]
    assert addresses == [(address, port) for address in both]
    assert port > 0


def test_an_address_of_a_name_that_this_machine_has_not_is_left_out(resolve: Resolve) -> None:
    resolve("192.0.2.1", "127.0.0.1")

    sockets = bound("shop.test", 0, shared=False)
    addresses = [one.getsockname()[0] for one in sockets]
    close(sockets)

    assert addresses == ["127.0.0.1"]


def test_a_name_of_which_this_machine_has_no_address_cannot_be_listened_to(
    resolve: Resolve,
) -> None:
    resolve("192.0.2.1")

    with pytest.raises(OSError, match="assign"):
        bound("shop.test", 0, shared=False)


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/ee"),
        ("shop.test", "http://shop.test:80/ee"),
        ("::1", "http://[::1]:80/ee"),
        ("fe80::1%eth0", "http://[fe80::1%25eth0]:80/ee"),
    ],
)
def test_an_address_is_told_as_a_url(host: str, written: str) -> None:
    assert url(host, 80) == written
