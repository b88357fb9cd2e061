"""The server API, v2: interact with one event, collect with events of several people."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import UNSET, Struct, structs

from perso_core.decision.consent import sharing_refused
from perso_core.decision.dropped import NOTHING_DROPPED
from perso_core.decision.identity import Identity
from perso_core.definitions.destination import Destination
from perso_core.edge.as_stored import as_stored
from perso_core.edge.attributes import authenticated_pull, unshared, withheld
from perso_core.edge.call import NOTHING_TO_TELL, Call, Reply, fetch_warnings
from perso_core.edge.consent_objects import unreadable_string
from perso_core.edge.consent_strings import NOTHING_HEARD, HeardConsent, heard_in, opted_in
from perso_core.edge.consult import Consulted, carried
from perso_core.edge.context import AuthContext
from perso_core.edge.cookies import cluster_cookie
from perso_core.edge.dating import instant_from
from perso_core.edge.graph import MAX_LEADS
from perso_core.edge.identity_map import authenticated_in, claimed, claims_of, primary_of
from perso_core.edge.interact import (
    arrived_event,
    asks_alone,
    record,
    told,
    without_consent,
)
from perso_core.edge.made_room import made_room
from perso_core.edge.named_person import Person, no_primary, person_of
from perso_core.edge.one_person import as_one
from perso_core.edge.overrides import Overrides, overrides_from
from perso_core.edge.problem import EdgeError, NoConsent, WriteRefused
from perso_core.edge.services import EdgeServices, InParts, never
from perso_core.edge.unstored import (
    another_calls,
    failures,
    not_stored,
    on_disk,
    on_disk_first,
)
from perso_core.edge.version_token import seen_in
from perso_core.edge.wire import (
    InteractRequest,
    ServerRequest,
    decode_request,
    encode_accepted,
    fingerprint,
    identity_result,
    location_hint,
    state_store,
)
from perso_core.engine.engine import Answer, Interaction, Seen
from perso_core.engine.journal import Change, ConsentChosen, EventArrived
from perso_core.errors import Overloaded, StoreUnavailable


async def server_interact(call: Call, services: EdgeServices) -> Reply:
    """Record the event, or look up where it has identities alone, and answer with destinations.

    Without a context it is answered as a browser's; with one, identities select profiles and
    attributes are told. Raises EdgeError for a fault in the request, and what deciding raises.
    """
    sent = decode_request(call.body, ServerRequest)
    request = InteractRequest(events=(sent.event,), xdm=sent.xdm, query=sent.query, meta=sent.meta)
    if call.context is None:
        return await _as_browser(call, request, services)
    another_calls(services)
    overrides = overrides_from(request.meta.config_overrides)
    named = _said(call, request, 0, "event", services)
    _refuse_writing(call.context, request)
    person = await person_of(call, named.primary, named.ecid, request.meta, services)
    decided = await _decided(call, request, 0, person, named, overrides, services)
    decided, stored = await _kept(call, decided, on_disk_first, services)
    answer = await _as_stored(decided, services) if stored else decided.answer
    errors = failures(stored=stored)
    return _told(call, call.context, request, decided, answer, overrides, services, errors)


async def server_collect(call: Call, services: EdgeServices) -> Reply:
    """Record events, each with a primary identity of its own; 202. All are checked before any is
    kept. Raises as server_interact does.
    """
    request = decode_request(call.body, InteractRequest)
    if call.context is None:
        return await _collected_as_browsers(call, request, services)
    overrides = overrides_from(request.meta.config_overrides)
    all_named = [
        _said(call, request, at, f"events[{at}]", services) for at in range(len(request.events))
    ]
    _refuse_writing(call.context, request)
    people = [
        await person_of(call, named.primary, named.ecid, request.meta, services)
        for named in all_named
    ]
    unpermitted, unreadable = 0, ""
    dropped = NOTHING_DROPPED
    try:
        decided = await _all_decided(call, request, people, all_named, overrides, services)
        # Of several people: what was decided later may be on disk earlier.
        kept = [await _kept(call, one, on_disk, services) for one in decided]
        stored = all(is_stored for _, is_stored in kept)
        for one, _ in kept if stored else ():
            answer = await _as_stored(one, services)
            unpermitted += not answer.permitted
            unreadable = unreadable or one.unreadable
            dropped += answer.dropped
    except (StoreUnavailable, Overloaded):
        stored = False
    warnings = (*made_room(dropped), *_unpermitted(unpermitted, unreadable)) if stored else ()
    errors = failures(stored=True)
    if not stored:
        errors = (not_stored("Not all events are known to be stored."), *errors)
    if errors:
        return call.reply([], errors=errors, warnings=warnings)
    return _accepted(call, warnings)


async def _collected_as_browsers(
    call: Call, request: InteractRequest, services: EdgeServices
) -> Reply:
    _check_primaries(call, request, "events[{}]", services)
    recorded = await record(call, request, services)
    if recorded.consulted.errors:
        return call.reply([], errors=recorded.consulted.errors, warnings=recorded.warnings)
    unpermitted = 0 if recorded.consulted.permitted else len(request.events)
    ignored = _unpermitted(unpermitted, recorded.consulted.unreadable)
    return _accepted(call, (*recorded.warnings, *ignored))


# ---- who is meant ------------------------------------------------------------


class _Named(Struct, frozen=True):
    """What the identity maps say of one event. primary: None where they flag none and have no
    ECID. claims: of all namespaces but ECID, the primary one too. authenticated: those that a
    server says it has authenticated. dated_ms: when a proven server says that it
    happened; None: it does not say. heard: the consent strings on it."""

    primary: Identity | None
    ecid: str | None
    claims: tuple[Identity, ...]
    authenticated: tuple[Identity, ...] = ()
    dated_ms: int | None = None
    heard: HeardConsent = NOTHING_HEARD


def _said(
    call: Call, request: InteractRequest, index: int, path: str, services: EdgeServices
) -> _Named:
    """What a proven server says of one event, who and when, checked."""
    snapshot = services.in_force
    sent = request.events[index]
    fingerprint(sent, path)  # a number that cannot be kept is refused before anything is
    stated = sent.xdm.get("timestamp")
    dated_ms = instant_from(
        stated, f"{path}.xdm.timestamp", now_ms=call.now_ms, kept_ms=snapshot.event_window_ms
    )
    heard = heard_in((sent,), call.datastream)
    return structs.replace(_named(request, index, path), dated_ms=dated_ms, heard=heard)


def _named(request: InteractRequest, index: int, path: str) -> _Named:
    of_event = request.events[index].xdm.get("identityMap", UNSET)
    event_path, request_path = f"{path}.xdm.identityMap", "xdm.identityMap"
    of_request = request.xdm.identity_map
    claimed_by_event, claimed_by_request = (
        claimed(of_event, event_path),
        claimed(of_request, request_path),
    )
    primary = primary_of(of_event, event_path) or primary_of(of_request, request_path)
    ecid = claimed_by_event.ecid or claimed_by_request.ecid
    return _Named(
        primary,
        ecid,
        claims_of((claimed_by_event, claimed_by_request)),
        (*authenticated_in(of_event), *authenticated_in(of_request)),
    )


def _check_primaries(
    call: Call, request: InteractRequest, events: str, services: EdgeServices
) -> None:
    """Raises PrimaryMissing where nobody says whom an event is of."""
    proven = call.proven(request.meta, services.keys)
    for index in range(len(request.events)):
        path = events.format(index)
        if _named(request, index, path).primary is None and proven is None:
            raise no_primary(path)


def _refuse_writing(context: AuthContext, request: InteractRequest) -> None:
    if "events" in context.may or all(asks_alone(event) for event in request.events):
        return
    raise WriteRefused(
        "The credential may look up, and send no events.",
        fix='Send the identity map alone, or give the credential "events" in `may`.',
    )


# ---- deciding ----------------------------------------------------------------


class _Decided(Struct, frozen=True):
    """person: by the profile that she has by then. said: what is kept of the call, the event last;
    (): nothing. interaction: None: nothing was asked of it. unreadable: why a consent string of the
    event cannot be read, and so permits nothing; "": there was none such."""

    person: Person
    answer: Answer
    said: tuple[Change, ...] = ()
    interaction: Interaction | None = None
    unreadable: str = ""


async def _all_decided(
    call: Call,
    request: InteractRequest,
    people: Sequence[Person],
    all_named: Sequence[_Named],
    overrides: Overrides,
    services: EdgeServices,
) -> list[_Decided]:
    """As _decided, of each event in turn. What takes long goes on where the call is over: whoever
    is told that not all is known to be stored sends it again, and finds it."""
    left = deque(enumerate(zip(all_named, people, strict=True)))
    decided: list[_Decided] = []

    async def part(enough: Callable[[], bool]) -> None:
        while left:
            at, (named, person) = left.popleft()
            decided.append(await _decided(call, request, at, person, named, overrides, services))
            if enough():
                break

    async def rest(parts: InParts) -> None:
        while left:
            await parts.others_first()
            await part(parts.enough())

    parts = services.parts
    if parts is None:
        await part(never)
    else:
        await part(parts.enough())
        if left:
            await parts.goes_on(rest(parts))
    return decided


async def _decided(
    call: Call,
    request: InteractRequest,
    index: int,
    person: Person,
    named: _Named,
    overrides: Overrides,
    services: EdgeServices,
) -> _Decided:
    """The answer for one event; nothing of it is on disk yet. Its consent strings are about it
    alone: what they do not permit is as of a person whose device said no."""
    heard = named.heard
    if heard.general == "out" or heard.unreadable:
        person = structs.replace(person, device_out=True)
    arrived = None
    if not person.device_out:
        arrived = _arrived(call, request, index, person, named, overrides)
        by = arrived.event if arrived is not None else None
        person = await as_one(
            call, person, named.primary, named.authenticated, by=by, services=services
        )
    if person.device_out:
        nothing = Answer(lookups=(), sequence=0, consent=None, permitted=False, known=False)
        return _Decided(person, nothing, unreadable=heard.unreadable)
    said = _says(call, person, heard, arrived) if arrived is not None else ()
    return await _decided_of(call, person, said, services)


def _arrived(
    call: Call,
    request: InteractRequest,
    index: int,
    person: Person,
    named: _Named,
    overrides: Overrides,
) -> EventArrived | None:
    """None: nothing is to be kept of it."""
    if not overrides.platform or asks_alone(request.events[index]):
        return None
    key, dated_ms = person.named_key, named.dated_ms
    return arrived_event(call, request, index, key, named.claims, overrides, dated_ms=dated_ms)


def _says(
    call: Call, person: Person, heard: HeardConsent, arrived: EventArrived
) -> tuple[Change, ...]:
    """What an event says of the person, itself the last of it."""
    by = arrived.event
    says = (*carried(person.of_device, keeps=True, by=by), arrived)
    if opted_in(heard, call.datastream):
        return (ConsentChosen("in", stated=heard.stated, unless_chosen=True, by=by), *says)
    return says


async def _decided_of(
    call: Call, person: Person, said: tuple[Change, ...], services: EdgeServices
) -> _Decided:
    """The same of the very profile that is said to be the person's."""
    interaction = Interaction(
        profile_key=person.profile_key,
        datastream_id=call.datastream.id,
        changes=said,
        visits=True,
        seen=_seen_of(call, person, services),
        counts_dropped=True,
    )
    answer = await services.decided(interaction)
    answer = structs.replace(answer, dropped=answer.dropped + person.dropped)
    return _Decided(person, answer, said, interaction)


async def _kept(
    call: Call,
    decided: _Decided,
    waiting: Callable[[int, EdgeServices], Awaitable[bool]],
    services: EdgeServices,
) -> tuple[_Decided, bool]:
    """What was decided once it is on disk, of the profile that the person's is part of by then; and
    whether it is."""
    stored = await waiting(decided.answer.sequence, services)
    for _ in range(MAX_LEADS):
        # Where the disk does not keep up, nothing more is waited for.
        further = await _led_on(call, decided.person, services) if stored else decided.person
        if further is decided.person:
            break
        decided = await _decided_of(call, further, decided.said, services)
        stored = await waiting(decided.answer.sequence, services)
    return decided, stored and decided.person.moved


async def _as_stored(decided: _Decided, services: EdgeServices) -> Answer:
    """The answer, once it is on disk. Raises what deciding raises."""
    if decided.interaction is None:
        return decided.answer
    return await as_stored(decided.answer, decided.interaction, services)


async def _led_on(call: Call, person: Person, services: EdgeServices) -> Person:
    """The person, by the profile that hers is part of since: another process may have linked it
    before this one heard of it. What the call told is part of that one now, and of no other,
    whatever the identity that was named leads to. Itself: there is no such. Raises what deciding
    raises."""
    if person.device_out:
        return person
    priority = call.datastream.identity_priority
    key = await services.graph.canonical(person.profile_key, priority=priority)
    return person if key == person.profile_key else structs.replace(person, profile_key=key)


def _seen_of(call: Call, person: Person, services: EdgeServices) -> Seen:
    """What the forwarded cookies say was told of the profile; and whatever has left the device is
    seen in the person's."""
    seen = seen_in(person.tokens, person.profile_key, org=call.org, keys=services.keys)
    if person.device_key is None:
        return seen
    return seen.joined(services.graph.to_see(person.profile_key, left=person.device_key))


# ---- answering ---------------------------------------------------------------


async def _as_browser(call: Call, request: InteractRequest, services: EdgeServices) -> Reply:
    _check_primaries(call, request, "event", services)
    recorded = await record(call, request, services, events="event")
    return told(call, recorded, services)


def _told(
    call: Call,
    context: AuthContext,
    request: InteractRequest,
    decided: _Decided,
    answer: Answer,
    overrides: Overrides,
    services: EdgeServices,
    errors: tuple[EdgeError, ...],
) -> Reply:
    warnings = (*fetch_warnings(request.query), *made_room(answer.dropped))
    if not answer.permitted:
        if errors:
            return call.reply([], errors=errors, warnings=warnings)
        nothing = Consulted(permitted=False, unreadable=decided.unreadable)
        return without_consent(call, nothing, warnings)
    ecid = decided.person.ecid
    handles = [identity_result(ecid)] if ecid else []
    if overrides.destinations and call.datastream.personalization_destinations:
        destinations = _destinations(call, services)
        against = sharing_refused(decided.person.of_device)
        found = unshared(answer.lookups[-1].destinations, destinations, against)
        handles.append(authenticated_pull(context, found, destinations, 0))
        warnings += withheld(context, found, destinations)
    handles.append(location_hint(services.location_hint))
    # No identity cookies: they would prove, to whoever holds them, a device that was only named.
    cluster = cluster_cookie(call.org, services.location_hint)
    handles.append(state_store((cluster,), same_site_none=call.same_site_none))
    return call.reply(handles, errors=errors, warnings=warnings)


def _destinations(call: Call, services: EdgeServices) -> Mapping[str, Destination]:
    """By id, as they are in force now."""
    snapshot = services.snapshot()
    connected = snapshot.destinations.get(call.datastream.id, ()) if snapshot else ()
    return {one.definition.id: one.definition for one in connected}


def _accepted(call: Call, warnings: Sequence[EdgeError]) -> Reply:
    if call.silent:
        return NOTHING_TO_TELL
    problems = [warning.problem(call.report) for warning in warnings]
    return Reply(202, encode_accepted(call.request_id, warnings=problems))


def _unpermitted(count: int, unreadable: str = "") -> tuple[EdgeError, ...]:
    """unreadable: why a consent string of one of the events cannot be read; "": all can."""
    if not count:
        return ()
    ignored = NoConsent(
        f"{count} of the events were not kept: consent does not permit it.",
        fix="Send them once the visitors have agreed.",
    )
    return (ignored, unreadable_string(unreadable)) if unreadable else (ignored,)
