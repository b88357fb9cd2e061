"""Before a call costs much: its visitor's calls are counted, and it gives way where it is one of
many that are nobody's, or a single one's (turns.py)."""

from __future__ import annotations

from msgspec import structs

from perso_core.edge.at_sight import events_in, of_nobody
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.problem import TooManyRequests
from perso_core.edge.services import EdgeServices
from perso_core.edge.unstored import another_calls, not_counted


async def admit_at_sight(call: Call, services: EdgeServices) -> Call:
    """As admit, and says so in the call, where it can be told whose it is before its body is
    decoded, and that it may have to wait. Else the call as it is. Raises TooManyRequests,
    with the visitor's key."""
    key = services.heavy_senders.key_of(call)
    if key is not None:
        try:
            await _counted(key, events_in(call.body), services)
        except TooManyRequests as refused:
            raise refused.of(key) from None
    elif of_nobody(call):
        await not_counted(services.first_visits.turn())
    else:
        return call
    return structs.replace(call, admitted=True)


async def admit(call: Call, caller: Caller, services: EdgeServices, *, events: int = 1) -> None:
    """Counts a call whose visitor is known, by a proof, as so many events, and has it wait for its
    turn where it is to give way. Raises TooManyRequests."""
    if not call.admitted:
        await _admit(call, caller, services, events)
    if not caller.of_nobody:
        services.limits.count_events(caller.profile_key, events, services.clock_ms())


async def _admit(call: Call, caller: Caller, services: EdgeServices, events: int) -> None:
    if caller.of_nobody:
        await not_counted(services.first_visits.turn())
        return
    try:
        many = await _counted(caller.profile_key, events, services)
    except TooManyRequests:
        services.heavy_senders.remember(call, caller)
        raise
    if many:
        services.heavy_senders.remember(call, caller)


async def before_answer(caller: Caller, services: EdgeServices) -> None:
    """First visits are stored many together: they are not answered together."""
    if caller.device.new:
        await not_counted(services.first_visits.turn())


async def _counted(profile_key: str, events: int, services: EdgeServices) -> bool:
    """Of a visitor who is known: whether they send more than a person does. events: for how many
    their call waits, where it does. Raises TooManyRequests, in its turn."""
    senders = services.heavy_senders
    try:
        if refused := senders.refused(profile_key, events):
            raise refused
        # Not as the call came: an instant before one that was counted sets the limit back.
        if not services.limits.count_visitor(profile_key, services.clock_ms()):
            another_calls(services)
            return False
        with senders.waiting(profile_key, events):
            await not_counted(services.excess.turn())
    except TooManyRequests:
        await not_counted(services.refusals.turn())
        raise
    return True
