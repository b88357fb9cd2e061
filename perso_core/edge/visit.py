"""What a visitor's events come to, be they sent by a page's script or seen by its own server."""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec import structs

from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.consent_strings import HeardConsent, opted_in
from perso_core.edge.consult import Consulted, consult, refuse
from perso_core.edge.graph import MAX_LEADS, leads_to
from perso_core.edge.services import EdgeServices
from perso_core.edge.unstored import Unread
from perso_core.engine.journal import Change, ConsentChosen, EventArrived, PrivacySignalled
from perso_core.errors import Overloaded, StoreUnavailable


async def visited(
    call: Call,
    caller: Caller,
    heard: HeardConsent,
    arrived: tuple[EventArrived, ...],
    services: EdgeServices,
) -> tuple[Caller, Consulted]:
    """What the events come to by the consent strings on them, and the caller by the profile that
    the person's identity is part of by then. arrived: (): who is here asks, and tells nothing.
    Raises as consult does.
    """
    consulted = await consulted_of(call, caller, heard, arrived, services)
    if caller.person is None:
        return caller, consulted
    for _ in range(MAX_LEADS):
        # Where the disk does not keep up, nothing more is waited for.
        further = await _led_on(call, caller, services) if consulted.stored else caller
        if further is caller:
            break
        caller = further
        consulted = await consulted_of(call, caller, heard, arrived, services)
    return caller, consulted


async def held_by(key: str, call: Call, caller: Caller, services: EdgeServices) -> Caller:
    """The caller, whose device is held by somebody of whom this is known. key: of the profile that
    an identity has. Raises Unread."""
    try:
        person = await leads_to(
            key,
            caller.tokens,
            device=caller.device.profile_key,
            priority=call.datastream.identity_priority,
            org=call.org,
            keys=services.keys,
            graph=services.graph,
        )
    except (StoreUnavailable, Overloaded) as why:
        raise Unread(caller.device.ecid) from why
    return structs.replace(caller, person=person)


def consulted_of(
    call: Call,
    caller: Caller,
    heard: HeardConsent,
    arrived: tuple[EventArrived, ...],
    services: EdgeServices,
) -> Awaitable[Consulted]:
    """As visited, for the caller as it is."""
    if heard.general == "out":
        return refuse(call, caller, ConsentChosen("out", stated=heard.stated), services)
    if heard.unreadable:
        return _unreadable(heard)
    before: tuple[Change, ...] = ()
    if opted_in(heard, call.datastream):
        before = (ConsentChosen("in", stated=heard.stated, unless_chosen=True),)
    # Of a newcomer who tells nothing there is nothing to be kept with the signal.
    if call.gpc and (arrived or not caller.of_nobody):
        before += (PrivacySignalled(),)
    return consult(call, caller, before + arrived, services)


async def _unreadable(heard: HeardConsent) -> Consulted:
    return Consulted(permitted=False, unreadable=heard.unreadable)


async def _led_on(call: Call, caller: Caller, services: EdgeServices) -> Caller:
    """The caller, by the profile that the person's identity is part of once the call is decided:
    another process may have linked it before this one heard of it. Itself: nothing is to be
    decided again. Raises Unread."""
    assert caller.person is not None, "of a device alone nothing leads on"
    priority = call.datastream.identity_priority
    try:
        person = await services.graph.canonical(caller.person, priority=priority)
    except (StoreUnavailable, Overloaded) as why:
        raise Unread(caller.device.ecid) from why
    return caller if person == caller.person else structs.replace(caller, person=person)
