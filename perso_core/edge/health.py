"""Whether this process can store what comes, for whoever watches it on this machine, or shows a
credential. No page is answered by it."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import msgspec

from perso_core.edge.arrival import Arrival, datastream_of
from perso_core.edge.authentication import authenticated
from perso_core.edge.call import Reply
from perso_core.edge.problem import (
    IssuerUnreachable,
    NoSuchPath,
    NotStored,
    SignatureBad,
    TokenBad,
)
from perso_core.edge.services import EdgeServices
from perso_core.edge.unstored import Deadline

# What a proxy adds, or a page: then it is not this machine that asks.
_OF_OTHERS = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "Origin")


async def health(arrival: Arrival, services: EdgeServices) -> Reply:
    """200: what comes now can be stored; 503: it cannot. Raises EdgeError where the caller may not
    ask."""
    if services.health is None:
        raise NoSuchPath("This edge keeps nothing.", fix="Ask the one that does.")
    if not _asked_here(arrival):
        await _refuse_unproven(arrival, services)
    elif arrival.config_id is not None:  # nobody need name one, and who does expects it
        datastream_of(arrival)
    try:
        with Deadline(services.answer_within_ms):
            why = await services.health.why_not()
    except TimeoutError:
        why = NotStored.code
    told = {
        "status": "not-ready" if why else "ready",
        **({"why": why} if why else {}),
        **services.health.counts(),
        "failedAnswers": services.failed.total,
    }
    return Reply(503 if why else 200, msgspec.json.encode(told))


def _asked_here(arrival: Arrival) -> bool:
    """Whether a program on this machine asks, with no proxy between."""
    headers, remote = arrival.request.headers, arrival.request.remote
    if remote is None or any(name in headers for name in _OF_OTHERS):
        return False
    try:
        address = ip_address(remote)
    except ValueError:  # such as a socket in the file system, of which a proxy may hold the end
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


async def _refuse_unproven(arrival: Arrival, services: EdgeServices) -> None:
    """Raises EdgeError where the call shows no credential of its datastream."""
    headers = arrival.request.headers
    shows_none = TokenBad(
        "The call comes from another machine, or by a proxy, and shows no credential.",
        fix="Ask from this machine, or send a bearer token or an API key, and its datastream.",
    )
    if "Authorization" not in headers and "x-api-key" not in headers:
        raise shows_none
    datastream, now_ms = datastream_of(arrival), services.clock_ms()
    forwarded_for = arrival.facts.forwarded_for
    services.limits.count_call(arrival.request.remote, forwarded_for, datastream.id, now_ms)
    assert arrival.snapshot, "a datastream was found in it"
    try:
        context = await authenticated(
            headers, datastream, arrival.snapshot, key_of=services.issuer_key, now_ms=now_ms
        )
    except IssuerUnreachable as unreachable:
        raise SignatureBad(unreachable.detail, fix=unreachable.fix) from None
    if context is None:
        raise shows_none
