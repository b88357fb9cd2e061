"""Before a call costs much: its visitor's calls are counted, and it gives way where it is one of
many that are nobody's, or a single one's (turns.py)."""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec import structs

from perso_core.edge.abuse import SECOND_MS, VISITOR, too_often
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
        stays_away_s = _counted(key, events, services)
        if stays_away_s is not None:
            await _give_way(key, events, stays_away_s, services)
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
    if not call.admitted:
        stays_away_s = _counted(key, events, services)
        if stays_away_s is not None:
            return _admit(call, caller, events, stays_away_s, services)
    if events > 1:  # one is counted with its call
        services.limits.count_events(key, events, services.clock_ms())
    return None


async def _admit(
    call: Call, caller: Caller, events: int, stays_away_s: int, services: EdgeServices
) -> None:
    try:
        await _give_way(caller.profile_key, events, stays_away_s, services)
    except TooManyRequests:
        services.heavy_senders.remember(call, caller)
        raise
    services.heavy_senders.remember(call, caller)
    services.limits.count_events(caller.profile_key, events, services.clock_ms())


async def before_answer(services: EdgeServices) -> None:
    """Of a new device: first visits are stored many together, and not answered together."""
    await not_counted(services.first_visits.turn())


def _counted(profile_key: str, events: int, services: EdgeServices) -> int | None:
    """Of a visitor who is known: None: they send no more than a person does. 0: they give way.
    Else it is too much, and they are to stay away for so many seconds. events: for how many their
    call waits, where it does."""
    refused = services.heavy_senders.refused(profile_key, events)
    if refused is not None:
        return refused.retry_after_s
    try:
        # Not as the call came: an instant before one that was counted sets the limit back.
        many = services.limits.count_visitor(profile_key, services.clock_ms())
    except TooManyRequests as too_many:
        return too_many.retry_after_s
    if many:
        return 0
    another_calls(services)
    return None


async def _give_way(
    profile_key: str, events: int, stays_away_s: int, services: EdgeServices
) -> None:
    """stays_away_s: as _counted returned it. Raises TooManyRequests, in its turn: made here, for
    one that waits in a frame which raises it is a circle with the whole call in it."""
    if stays_away_s:
        await not_counted(services.refusals.turn())
        raise too_often(VISITOR, stays_away_s * SECOND_MS)
    with services.heavy_senders.waiting(profile_key, events):
        await not_counted(services.excess.turn())
