"""Before a call costs much: its visitor's calls are counted, and it gives way where it is one of
many that are nobody's, or a single one's (turns.py)."""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec import structs

from perso_core.edge.at_sight import events_in, of_nobody
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.problem import TooManyRequests
from perso_core.edge.services import EdgeServices
from perso_core.edge.unstored import another_calls, not_counted


def admit_at_sight(call: Call, services: EdgeServices) -> Awaitable[Call] | None:
    """As admit, with the call that says so, where it can be told whose it is before its body is
    decoded, and that it may have to wait. None: it is to be decoded. What is returned raises
    TooManyRequests, with the visitor's key."""
    key = services.heavy_senders.key_of(call)
    if key is not None:
        return _of_known(key, call, services)
    return _of_nobody(call, services) if of_nobody(call) else None


async def _of_known(key: str, call: Call, services: EdgeServices) -> Call:
    events = events_in(call.body)
    try:
        if gives_way := _counted(key, events, services):
            await _give_way(key, events, gives_way, services)
    except TooManyRequests as refused:
        raise refused.of(key) from None
    return structs.replace(call, admitted=True)


async def _of_nobody(call: Call, services: EdgeServices) -> Call:
    await not_counted(services.first_visits.turn())
    return structs.replace(call, admitted=True)


def admit(
    call: Call, caller: Caller, services: EdgeServices, *, events: int = 1
) -> Awaitable[None] | None:
    """Counts a call whose visitor is known, by a proof, as so many events. Returns what waits for
    its turn where it is to give way, and raises TooManyRequests; None: it goes on."""
    if caller.of_nobody:
        return None if call.admitted else not_counted(services.first_visits.turn())
    key = caller.profile_key
    if not call.admitted and (gives_way := _counted(key, events, services)):
        return _admit(call, caller, events, gives_way, services)
    services.limits.count_events(key, events, services.clock_ms())
    return None


async def _admit(
    call: Call,
    caller: Caller,
    events: int,
    gives_way: bool | TooManyRequests,
    services: EdgeServices,
) -> None:
    try:
        await _give_way(caller.profile_key, events, gives_way, services)
    except TooManyRequests:
        services.heavy_senders.remember(call, caller)
        raise
    services.heavy_senders.remember(call, caller)
    services.limits.count_events(caller.profile_key, events, services.clock_ms())


async def before_answer(services: EdgeServices) -> None:
    """Of a new device: first visits are stored many together, and not answered together."""
    await not_counted(services.first_visits.turn())


def _counted(profile_key: str, events: int, services: EdgeServices) -> bool | TooManyRequests:
    """Of a visitor who is known: whether they send more than a person does, or what is to be told
    to them where it is too much. events: for how many their call waits, where it does."""
    if refused := services.heavy_senders.refused(profile_key, events):
        return refused
    try:
        # Not as the call came: an instant before one that was counted sets the limit back.
        many = services.limits.count_visitor(profile_key, services.clock_ms())
    except TooManyRequests as too_many:
        return too_many
    if not many:
        another_calls(services)
    return many


async def _give_way(
    profile_key: str, events: int, gives_way: bool | TooManyRequests, services: EdgeServices
) -> None:
    """gives_way: as _counted returned it. Raises TooManyRequests, in its turn."""
    if isinstance(gives_way, TooManyRequests):
        await not_counted(services.refusals.turn())
        raise gives_way
    with services.heavy_senders.waiting(profile_key, events):
        await not_counted(services.excess.turn())
