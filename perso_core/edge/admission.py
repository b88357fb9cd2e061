"""Before a call costs much: its visitor's calls are counted, and it gives way where it is one of
many that are nobody's, or a single one's (turns.py)."""

from __future__ import annotations

from msgspec import structs

from perso_core.edge.at_sight import of_nobody
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.problem import TooManyRequests
from perso_core.edge.services import EdgeServices
from perso_core.edge.unstored import another_calls, not_counted


async def give_way(call: Call, services: EdgeServices) -> Call:
    """Waits for the call's turn where it can be told before its body is decoded that it has to,
    and says so in it. Raises TooManyRequests."""
    key = services.heavy_senders.key_of(call)
    if key is not None:
        waited = await _after_others(call, key, services)
    elif waited := of_nobody(call):
        await not_counted(services.first_visits.turn())
    return structs.replace(call, gave_way=True) if waited else call


async def admit(call: Call, caller: Caller, services: EdgeServices) -> None:
    """Counts the call where its visitor is known, by a proof, and waits for its turn where it has
    not. Raises TooManyRequests."""
    if caller.of_nobody:
        if not call.gave_way:
            await not_counted(services.first_visits.turn())
        return
    key = caller.profile_key
    try:
        many = services.limits.count_visitor(key, call.now_ms)
    except TooManyRequests:
        if not call.gave_way:
            services.heavy_senders.remember(call, key)
            await not_counted(services.refusals.turn())
        raise
    if not many:
        another_calls(services)
    elif not call.gave_way:
        services.heavy_senders.remember(call, key)
        await _after_others(call, key, services)


async def before_answer(caller: Caller, services: EdgeServices) -> None:
    """First visits are stored many together: they are not answered together."""
    if caller.device.new:
        await not_counted(services.first_visits.turn())


async def _after_others(call: Call, profile_key: str, services: EdgeServices) -> bool:
    """Whether the visitor sends more than a person does, once it is the call's turn. Raises
    TooManyRequests, in its turn."""
    try:
        services.limits.refuse_visitor(profile_key, call.now_ms)
        if not services.limits.are_many(profile_key, call.now_ms):
            return False
        with services.heavy_senders.waiting(profile_key):
            await not_counted(services.excess.turn())
    except TooManyRequests:
        await not_counted(services.refusals.turn())
        raise
    return True
