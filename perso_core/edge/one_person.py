"""A server says which identities, and whose device, are one person's: they become one profile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec import structs

from perso_core.decision.consent import Consent, refused
from perso_core.decision.dropped import Dropped, Linked
from perso_core.decision.event import Event
from perso_core.decision.graph import OF_DEVICES, canonical_first
from perso_core.decision.identity import Identity
from perso_core.edge.call import Call
from perso_core.edge.consult import carried, carried_of, word_of
from perso_core.edge.graph import leads_to, moved_in, told_late
from perso_core.edge.named_person import Person, asked, is_namespace, person_key
from perso_core.edge.services import EdgeServices
from perso_core.edge.unstored import finished
from perso_core.engine.engine import Interaction


async def as_one(
    call: Call,
    person: Person,
    primary: Identity | None,
    authenticated: Sequence[Identity],
    *,
    by: Event | None,
    services: EdgeServices,
) -> Person:
    """The person, by the profile that all of the identities lead to. authenticated: those that the
    server's own word says are the person's. by: what the call tells with that; None: who only asks
    changes nothing. Raises what deciding raises.
    """
    if primary is None or primary.namespace == "ECID":
        return person
    keys = _keys(call, primary, authenticated)
    some = keys if len(keys) > 1 else ()
    consents = [
        word_of((await asked(key, call, person.tokens, services)).consent, key) for key in some
    ]
    if any(refused(one) for one in consents):
        return structs.replace(person, device_out=True)
    leads = await leads_to(
        person.profile_key,
        person.tokens,
        device=person.device_key,
        priority=call.datastream.identity_priority,
        org=call.org,
        keys=services.keys,
        graph=services.graph,
    )
    linked, moved = Linked(leads), True
    if by is not None and keys:
        linked, moved = await _joined(call, person, keys, consents, by, services)
    return structs.replace(person, profile_key=linked.key, dropped=linked.dropped, moved=moved)


def _keys(call: Call, primary: Identity, authenticated: Sequence[Identity]) -> list[str]:
    """Of the person's identities, the canonical one first; none where the primary one itself is not
    said to be authenticated."""
    people = [
        one
        for one in authenticated
        if one.namespace.upper() not in OF_DEVICES and is_namespace(one.namespace)
    ]
    if primary not in people:
        return []
    first = canonical_first(people, primary, call.datastream.identity_priority)
    return [person_key(one, call) for one in first]


async def _joined(
    call: Call,
    person: Person,
    keys: Sequence[str],
    consents: Sequence[Consent | None],
    by: Event,
    services: EdgeServices,
) -> tuple[Linked, bool]:
    """The profile that everything of the person is in by now; where consent does not permit that,
    what there is stays where it is. And whether what the device did is stored as part of it."""
    graph, priority = services.graph, call.datastream.identity_priority
    linked = Linked(await graph.canonical(keys[0], priority=priority))
    # What an identity that leads there brought is told of the profile: it may be taken back since.
    new = {
        key: one
        for key, one in zip(keys, consents, strict=False)
        if await graph.canonical(key) != linked.key
    }
    says = tuple(
        change
        for one in (person.of_device, *new.values())
        for change in carried(one, keeps=True, by=by)
    )
    if not await _linked_already(keys, linked.key, services):
        answer = await services.decided(
            Interaction(profile_key=linked.key, datastream_id=call.datastream.id, changes=says)
        )
        await services.durable(answer.sequence)
        if not answer.permitted:
            return Linked(await graph.canonical(person.profile_key)), True
        linked = await graph.link(keys, priority, by=by)
        for key, one in new.items():
            word = partial(carried_of, key, by=by)
            await told_late(call.datastream, key, linked.key, one, services, word=word)
    if person.device_key is None:
        return linked, True
    dropped: list[Dropped] = []

    async def move(device: str) -> None:
        stream, of_device = call.datastream, person.of_device
        word = partial(carried_of, device, by=by)
        moving = moved_in(stream, device, linked.key, says, of_device, services, word=word, by=by)
        dropped.append(await moving)

    moved = await finished(move(person.device_key))
    return Linked(linked.key, sum(dropped, linked.dropped)), moved


async def _linked_already(keys: Sequence[str], target: str, services: EdgeServices) -> bool:
    graph = services.graph
    for key in keys:
        if await graph.canonical(key) != target:
            return False
        if key != target and graph.holds_something(key):
            return False
    return True
