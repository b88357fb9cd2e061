"""interact and collect: a visitor's events come in, and what they decided goes out."""

from __future__ import annotations

from msgspec import Struct

from perso_core.decision.event import event_from
from perso_core.decision.identity import Identity
from perso_core.edge.admission import admit, admit_at_sight, before_answer
from perso_core.edge.assertion import PLACE, with_person
from perso_core.edge.call import Call, Reply, fetch_warnings
from perso_core.edge.caller import Caller
from perso_core.edge.consent_objects import unreadable_string
from perso_core.edge.consent_strings import heard_in
from perso_core.edge.consult import Consulted
from perso_core.edge.cookies import cluster_cookie, consent_cookie
from perso_core.edge.event_id import event_id, refuse_unkept
from perso_core.edge.identity_map import Claimed, claimed, claims_of
from perso_core.edge.overrides import Overrides, overrides_from
from perso_core.edge.page_facts import with_page_facts
from perso_core.edge.problem import EdgeError, NoConsent
from perso_core.edge.services import EdgeServices
from perso_core.edge.visit import consulted_of, visited
from perso_core.edge.wire import (
    Handle,
    InteractRequest,
    SentEvent,
    activation_pull,
    decode_request,
    identity_result,
    location_hint,
    state_store,
)
from perso_core.engine.journal import EventArrived


def asks_alone(sent: SentEvent) -> bool:
    """Whether a server's event says who somebody is and nothing else: it asks, and tells nothing
    that could be kept (edge profile lookup)."""
    return set(sent.data) <= {PLACE} and set(sent.xdm) <= {"identityMap"}


async def interact(call: Call, services: EdgeServices) -> Reply:
    """Record the events and answer each with its destinations.

    Raises EdgeError for a fault in the request, and what consult raises.
    """
    if (at_sight := admit_at_sight(call, services)) is not None:
        call = await at_sight
    recorded = await record(call, decode_request(call.body, InteractRequest), services)
    return told(call, recorded, services)


def told(call: Call, recorded: Recorded, services: EdgeServices) -> Reply:
    """The answer to interact, with the destinations of each event."""
    request, caller, consulted = recorded.request, recorded.caller, recorded.consulted
    warnings = recorded.warnings
    if not consulted.permitted:
        return without_consent(call, consulted, warnings)
    handles = [identity_result(caller.device.ecid)]
    if recorded.overrides.destinations and call.datastream.personalization_destinations:
        if call.server and not consulted.lookups:
            handles.append(activation_pull((), 0))
        # One for each event. A visitor of whom nothing is known has no entries in it.
        for index, found in enumerate(consulted.lookups[-len(request.events) :]):
            handles.append(activation_pull(found.destinations, index))
    handles.append(location_hint(services.location_hint))
    cookies = caller.cookies(org=call.org, keys=services.keys, now_ms=call.now_ms)
    cookies += services.tokens_of(caller, call.org)
    cluster = cluster_cookie(call.org, services.location_hint)
    stored, set_cookies = call.kept(request.meta, cookies, cluster)
    handles += stored
    errors = consulted.errors
    return call.reply(handles, errors=errors, warnings=warnings, set_cookies=set_cookies)


async def collect(call: Call, services: EdgeServices) -> Reply:
    """Record the events; nobody may be there to read an answer (a beacon). 204 where there is
    nothing to tell. Raises as interact does.
    """
    if (at_sight := admit_at_sight(call, services)) is not None:
        call = await at_sight
    recorded = await record(call, decode_request(call.body, InteractRequest), services)
    warnings = recorded.warnings
    if not recorded.consulted.permitted:
        return without_consent(call, recorded.consulted, warnings)
    if recorded.consulted.errors:
        return call.reply([], errors=recorded.consulted.errors, warnings=warnings)
    caller = recorded.caller
    cookies = caller.cookies(org=call.org, keys=services.keys, now_ms=call.now_ms)
    tokens = services.tokens_of(caller, call.org)
    stored, set_cookies = call.kept(recorded.request.meta, cookies)
    # No script reads the answer to a beacon: only a header has the browser keep the token.
    set_cookies += call.headers(recorded.request.meta, tokens)
    if not stored and not warnings:
        return Reply(204, set_cookies=set_cookies)
    return call.reply(stored, warnings=warnings, set_cookies=set_cookies)


# A server that names its customer has no setConsent to call.
_AGREED_ELSEWHERE = (
    "Nothing, where the visitor said no. Else name the device on which they agreed beside, or "
    'write default_consent = "in" for the datastream, where you ask them elsewhere.'
)


def without_consent(call: Call, consulted: Consulted, warnings: tuple[EdgeError, ...]) -> Reply:
    """No error: nothing was kept, no identity was made, and the answer says so."""
    ignored = NoConsent(
        "The visitor's consent does not permit it: nothing was kept.",
        fix=_AGREED_ELSEWHERE if call.context else "Call setConsent once the visitor has agreed.",
    )
    handles: list[Handle] = []
    if consulted.chosen == "out":
        told = consent_cookie(call.org, "out")
        handles.append(state_store((told,), same_site_none=call.same_site_none))
    if consulted.unreadable:
        warnings = (unreadable_string(consulted.unreadable), *warnings)
    return call.reply(handles, errors=consulted.errors, warnings=(ignored, *warnings))


class Recorded(Struct, frozen=True, kw_only=True):
    """What came of a browser's events. warnings: of what the request asked for in vain."""

    request: InteractRequest
    overrides: Overrides
    caller: Caller
    consulted: Consulted
    warnings: tuple[EdgeError, ...]


async def record(
    call: Call, request: InteractRequest, services: EdgeServices, *, events: str = "events[{}]"
) -> Recorded:
    """Keep a browser's events, and decide. events: where the event of an index stood."""
    overrides = overrides_from(request.meta.config_overrides)
    named = claimed(request.xdm.identity_map, "xdm.identityMap")
    on_events = _event_claims(request, events)
    claims = claims_of([named, *on_events]) if on_events or named.claims else ()
    caller = call.caller(
        request.meta, named.ecid, claims, keys=services.keys, entropy=services.entropy
    )
    ignored: tuple[EdgeError, ...] = ()
    for sent in request.events:
        if PLACE in sent.data:
            caller, ignored = await with_person(call, caller, request, services)
            break
    heard = heard_in(request.events, call.datastream)
    # A refusal is heard from anybody; a stranger's waits for its turn, as nobody's is refused.
    if heard.general != "out" or caller.of_nobody:
        waiting = admit(call, caller, services, events=len(request.events))
        if waiting is not None:
            await waiting
    arrived, sender_key = list[EventArrived](), caller.device_key
    for index, sent in enumerate(request.events):
        if not (call.server and asks_alone(sent)):
            arrived.append(arrived_event(call, request, index, sender_key, claims, overrides))
    kept = tuple(arrived) if overrides.platform else ()
    if caller.person is None:  # as visited does, for a coroutine less
        consulted = await consulted_of(call, caller, heard, kept, services)
    else:
        caller, consulted = await visited(call, caller, heard, kept, services)
    if caller.device.new:
        await before_answer(services)
    return Recorded(
        request=request,
        overrides=overrides,
        caller=caller,
        consulted=consulted,
        warnings=ignored + fetch_warnings(request.query),
    )


def _event_claims(request: InteractRequest, events: str) -> list[Claimed]:
    found = []
    for index, event in enumerate(request.events):
        if "identityMap" in event.xdm:
            path = f"{events.format(index)}.xdm.identityMap"
            found.append(claimed(event.xdm["identityMap"], path))
    return found


def arrived_event(
    call: Call,
    request: InteractRequest,
    index: int,
    sender_key: str,
    claims: tuple[Identity, ...],
    overrides: Overrides,
    dated_ms: int | None = None,
) -> EventArrived:
    """One event of a request. sender_key: of the device, or of whom a server named: by whatever key
    the profile is kept, a retry has it again. dated_ms: as a server dates it."""
    sent = request.events[index]
    event = event_from(
        # What a proven server sends in its headers is not its visitor's.
        with_page_facts(sent.xdm, accept_language="" if call.context else call.accept_language),
        event_id=event_id(sent, index, sender_key, call.request_id),
        received_ms=call.now_ms,
        queue_ms=int(request.meta.queue_time_millis),
        followers=len(request.events) - 1 - index,
        dated_ms=dated_ms,
    )
    refuse_unkept(sent, event, index)
    segmentation = overrides.segmentation and call.datastream.edge_segmentation
    return EventArrived(
        event=event,
        claims=claims,
        segmentation=segmentation,
        datastream_id=call.datastream.id,
        sender=sender_key,
    )
