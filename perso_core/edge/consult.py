"""Ask the engine about a caller, and wait until what it decided is on disk."""

from __future__ import annotations

from msgspec import Struct

from perso_core.decision.consent import Choice, may_collect
from perso_core.decision.lookup import Lookup
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.services import EdgeServices
from perso_core.engine.engine import Answer, Interaction
from perso_core.engine.journal import Change, ConsentChosen


class Consulted(Struct, frozen=True, kw_only=True):
    """permitted: whether a profile may be kept and answered from. chosen: what the visitor chose,
    None: never chose. lookups: the last ones belong to the changes that were asked about, in
    their order; everything they tell is on disk.
    """

    permitted: bool
    chosen: Choice | None = None
    lookups: tuple[Lookup, ...] = ()


async def consult(
    call: Call, caller: Caller, changes: tuple[Change, ...], services: EdgeServices
) -> Consulted:
    """Raises StoreUnavailable, UnknownDatastream, Overloaded, TooManyRequests: then nothing may be
    told."""
    if caller.said_out:
        # The store's word counts, but of a new device it has none: the browser's own `out` does.
        return Consulted(permitted=False, chosen="out")
    if not caller.device.new:
        services.limits.count_visitor(caller.device.profile_key, call.now_ms)
    changes = (*await _carried_consent(call, caller, services), *changes)
    if caller.device.new and not changes:
        return Consulted(permitted=may_collect(None, call.datastream.default_consent))
    return await _kept(call, caller, changes, services)


async def choose(call: Call, caller: Caller, general: Choice, services: EdgeServices) -> Consulted:
    """Keep the visitor's choice, durably. Raises as consult does."""
    return await _kept(call, caller, (ConsentChosen(general),), services)


async def _kept(
    call: Call, caller: Caller, changes: tuple[Change, ...], services: EdgeServices
) -> Consulted:
    answer = await services.decide(
        Interaction(
            profile_key=caller.device.profile_key,
            datastream_id=call.datastream.id,
            changes=changes,
            new=caller.device.new,
        )
    )
    if answer.sequence:
        await services.durable(answer.sequence)
    return _consulted(answer)


def _consulted(answer: Answer) -> Consulted:
    return Consulted(
        permitted=answer.permitted,
        chosen=answer.consent.general if answer.consent else None,
        lookups=answer.lookups,
    )


async def _carried_consent(
    call: Call, caller: Caller, services: EdgeServices
) -> tuple[ConsentChosen, ...]:
    """What the visitor chose as the device that a named ECID now replaces. Without it, a link
    with an ECID in it would undo an `out`.
    """
    if caller.replaced is None:
        return ()
    before = await services.decide(
        Interaction(profile_key=caller.replaced.profile_key, datastream_id=call.datastream.id)
    )
    return (ConsentChosen(before.consent.general),) if before.consent else ()
