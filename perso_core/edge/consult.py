"""Ask the engine about a caller, and wait until what it decided is on disk."""

from __future__ import annotations

from msgspec import Struct

from perso_core.decision.consent import Choice, Consent, may_collect, sharing_refused
from perso_core.decision.lookup import Lookup
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.services import EdgeServices
from perso_core.engine.engine import NOTHING_SEEN, Answer, Interaction, Seen
from perso_core.engine.journal import Change, ConsentChosen, PrivacySignalled


class Consulted(Struct, frozen=True, kw_only=True):
    """permitted: whether a profile may be kept and answered from. chosen: what the visitor chose,
    None: never chose. lookups: the last ones belong to the changes that were asked about, in
    their order; everything they tell is on disk. unreadable: why a consent string of this very
    request cannot be read, and so permits nothing; "": there was none such.
    """

    permitted: bool
    chosen: Choice | None = None
    lookups: tuple[Lookup, ...] = ()
    unreadable: str = ""


async def consult(
    call: Call, caller: Caller, changes: tuple[Change, ...], services: EdgeServices
) -> Consulted:
    """Raises StoreUnavailable, UnknownDatastream, Overloaded, TooManyRequests: then nothing may be
    told."""
    if caller.said_out and caller.device.new:
        # The store's word counts, but of a new device it has none: the browser's own `out` does.
        return Consulted(permitted=False, chosen="out")
    if caller.person is not None:
        services.limits.count_visitor(caller.person, call.now_ms)
        return await _consult_of_person(call, caller, caller.person, changes, services)
    if not caller.device.new:
        services.limits.count_visitor(caller.device.profile_key, call.now_ms)
    if caller.said_out:
        changes = (ConsentChosen("out", unless_chosen=True), *changes)
    changes = (*await _carried_consent(call, caller, services), *changes)
    if caller.device.new and not changes:
        return Consulted(permitted=may_collect(None, call.datastream.default_consent))
    device = caller.device
    return await _kept(
        call, device.profile_key, changes, services, new=device.new, seen=caller.seen
    )


async def _consult_of_person(
    call: Call, caller: Caller, person: str, changes: tuple[Change, ...], services: EdgeServices
) -> Consulted:
    """Of whoever holds the device. Its `out` holds for the call, and its `in` for a person who has
    not chosen: as on the server API."""
    asked = Interaction(profile_key=caller.device.profile_key, datastream_id=call.datastream.id)
    of_device = (await services.decide(asked)).consent
    chose = of_device.general if of_device else None
    if of_device is None and caller.said_out:
        chose = "out"
    if chose == "out":
        return Consulted(permitted=False, chosen="out")
    if chose is not None and changes:
        changes = (ConsentChosen(chose, unless_chosen=True), *changes)
    return await _kept(call, person, changes, services, seen=caller.seen)


async def choose(
    call: Call, caller: Caller, said: ConsentChosen, services: EdgeServices
) -> Consulted:
    """Keep what the visitor said, durably. Raises as consult does."""
    changes = (*await _carried_consent(call, caller, services), said)
    device = caller.device
    return await _kept(
        call, device.profile_key, changes, services, new=device.new, seen=caller.seen
    )


async def refuse(
    call: Call, caller: Caller, said: ConsentChosen, services: EdgeServices
) -> Consulted:
    """Keep a refusal of the device that the browser is known as. A browser that is not known gets
    no identity for it: its consent cookie is all there is. Raises as consult does."""
    device = caller.replaced or caller.device
    if not device.new:
        await _kept(call, device.profile_key, (said,), services)
    return Consulted(permitted=False, chosen="out")


async def _kept(
    call: Call,
    profile_key: str,
    changes: tuple[Change, ...],
    services: EdgeServices,
    *,
    new: bool = False,
    seen: Seen = NOTHING_SEEN,
) -> Consulted:
    answer = await services.decide(
        Interaction(
            profile_key=profile_key,
            datastream_id=call.datastream.id,
            changes=changes,
            new=new,
            seen=seen,
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
) -> tuple[Change, ...]:
    """What the visitor chose as the device that a named ECID now replaces. Without it, a link
    with an ECID in it would undo an `out`.
    """
    if caller.replaced is None:
        return ()
    before = await services.decide(
        Interaction(profile_key=caller.replaced.profile_key, datastream_id=call.datastream.id)
    )
    return _said_before(before.consent) if before.consent else ()


def _said_before(consent: Consent) -> tuple[Change, ...]:
    """A consent as what another device says at once."""
    against = sharing_refused(consent)
    if against and against.reason == "gpc":
        return ConsentChosen(consent.general, stated=consent.stated), PrivacySignalled()
    signalled = consent.gpc_since_ms is not None
    said = ConsentChosen(consent.general, consent.share, gpc=signalled, stated=consent.stated)
    return (said,)
