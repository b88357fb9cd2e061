"""Bytes to Structs and back: the Edge Network's wire format (protocol.md, 2 and 3). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from perso_core.decision.lookup import DestinationLookup
from perso_core.edge.problem import (
    BodyEmpty,
    FieldBad,
    FieldMissing,
    Problem,
)
from perso_core.edge.strict_json import parsed
from perso_core.visitor import SetCookie

MAX_EVENTS = 100  # in one request
LOCATION_HINT_TTL_S = 1_800

# ---- requests ----------------------------------------------------------------
# Fields that are not named here are ignored: SDKs add some with each release.


class SentEvent(Struct, frozen=True):
    """One event as sent. data: free-form, for other products; it counts in the fingerprint."""

    xdm: dict[str, Any] = {}
    data: dict[str, Any] = {}


class StateEntry(Struct, frozen=True):
    """A cookie that the SDK carried into the body."""

    key: str
    value: str


class PageState(Struct, frozen=True):
    """domain: the page's highest domain that takes cookies, as the SDK found it."""

    domain: str = ""
    entries: tuple[StateEntry, ...] = ()


class RequestMeta(Struct, frozen=True, rename="camel"):
    """queue_time_millis: how long the SDK held the events back; not yet clamped."""

    state: PageState = PageState()
    config_overrides: dict[str, Any] = {}
    queue_time_millis: int | float = 0


class IdentityQuery(Struct, frozen=True):
    fetch: tuple[str, ...] = ()


class RequestQuery(Struct, frozen=True):
    identity: IdentityQuery = IdentityQuery()


class RequestXdm(Struct, frozen=True, rename="camel"):
    """What the SDK itself adds to a request. identity_map is checked in identity_map.py."""

    identity_map: Any = UNSET


class AcquireRequest(Struct, frozen=True):
    """identity/acquire."""

    xdm: RequestXdm = RequestXdm()
    query: RequestQuery = RequestQuery()
    meta: RequestMeta = RequestMeta()


class InteractRequest(Struct, frozen=True, kw_only=True):
    """interact and collect."""

    events: Annotated[tuple[SentEvent, ...], Meta(min_length=1, max_length=MAX_EVENTS)]
    xdm: RequestXdm = RequestXdm()
    query: RequestQuery = RequestQuery()
    meta: RequestMeta = RequestMeta()


class ServerRequest(Struct, frozen=True, kw_only=True):
    """v2 interact: one event. v2 collect sends an InteractRequest."""

    event: SentEvent
    xdm: RequestXdm = RequestXdm()
    query: RequestQuery = RequestQuery()
    meta: RequestMeta = RequestMeta()


class SentConsent(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One consent object. value None: it was not sent. The gdpr fields are IAB TCF's."""

    standard: str
    version: str
    value: Any = None
    gdpr_applies: bool = True
    gdpr_contains_personal_data: bool = False


class ConsentRequest(Struct, frozen=True, kw_only=True, rename="camel"):
    """privacy/set-consent. Here the identity map stands at the top."""

    consent: Annotated[tuple[SentConsent, ...], Meta(min_length=1, max_length=10)]
    identity_map: Any = UNSET
    query: RequestQuery = RequestQuery()
    meta: RequestMeta = RequestMeta()


class NamedIdentity(Struct, frozen=True):
    """Whose data is meant."""

    namespace: str
    id: str


class PrivacyRequest(Struct, frozen=True):
    """What is to be done is in the path."""

    identity: NamedIdentity


Request = TypeVar(
    "Request", AcquireRequest, InteractRequest, ServerRequest, ConsentRequest, PrivacyRequest
)


def decode_request(body: bytes, kind: type[Request]) -> Request:
    """The request in a body, whose size its reader has limited.

    Raises BodyEmpty, JsonBad (with the byte), FieldMissing and FieldBad (with the
    field's path).
    """
    if not body.strip():
        raise BodyEmpty("There is no body.", fix="Send a JSON object.")
    try:
        return msgspec.convert(parsed(body), kind)
    except msgspec.ValidationError as fault:
        raise _field_fault(str(fault)) from None


def fingerprint(event: SentEvent, path: str) -> bytes:
    """Bytes that are equal for equal events. Raises FieldBad for a number that cannot be kept."""
    try:
        return msgspec.msgpack.encode(event)
    except OverflowError:
        raise unkept(path) from None


def unkept(path: str) -> FieldBad:
    return FieldBad(f"'{path}' holds an integer of more than 64 bits.", fix="Send it as a string.")


# ---- faults in fields ---------------------------------------------------------

_AT = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.+)`")


def _field_fault(message: str) -> FieldMissing | FieldBad:
    """msgspec's words with the field's path as callers write it: `events[0].xdm`."""
    found = _AT.fullmatch(message)
    assert found, "the pattern takes any text"
    what, path = found["what"], found["path"] or ""
    missing = _MISSING.fullmatch(what)
    if missing:
        field = f"{path}.{missing[1]}" if path else missing[1]
        return FieldMissing(f"'{field}' is required.", fix="Send it.")
    return FieldBad(
        f"'{path}': {what.replace('`', '')}." if path else f"The body: {what.replace('`', '')}.",
        fix="Correct the field and send it again.",
    )


# ---- answers -----------------------------------------------------------------


# One part of an answer, encoded.
Handle = bytes
_encode = msgspec.json.Encoder().encode


class _StateItem(Struct, frozen=True, rename="camel"):
    key: str
    value: str
    max_age: int | UnsetType = UNSET
    attrs: dict[str, str] | UnsetType = UNSET


def identity_result(ecid: str) -> Handle:
    """ecid: digits alone."""
    return (
        b'{"type":"identity:result","payload":[{"id":"%b","namespace":{"code":"ECID"}}]}'
        % ecid.encode()
    )


def activation_pull(destinations: Iterable[DestinationLookup], event_index: int) -> Handle:
    """The destinations of one event's answer; `payload: []` for none. Never attributes: whoever
    asks over this wire has proved a device, not a right to read them.
    """
    items = [
        _profile_lookup(entry.destination_id, entry.alias, entry.audiences)
        for entry in destinations
    ]
    return activation_pull_of(items, event_index)


def activation_pull_of(items: Iterable[bytes], event_index: int) -> Handle:
    """items: encoded profileLookups."""
    parts = b",".join(items), event_index
    return b'{"type":"activation:pull","payload":[%b],"eventIndex":%d}' % parts


def profile_lookup_with(found: DestinationLookup, attributes: Mapping[str, Any] | None) -> bytes:
    """One destination's entry. attributes: as they go on the wire, never kept anywhere; None: the
    entry is as if there were none."""
    plain = _profile_lookup(found.destination_id, found.alias, found.audiences)
    if attributes is None:
        return plain
    return plain[:-1] + b',"attributes":' + msgspec.json.encode(attributes) + b"}"


# Many visitors are in the same audiences: 0.3 µs instead of 2 for 60 of them.
@lru_cache(maxsize=1_024)
def _profile_lookup(destination_id: str, alias: str, audiences: tuple[str, ...]) -> bytes:
    entry = {"type": "profileLookup", "destinationId": destination_id, "alias": alias}
    return b'%s,"segments":[%s]}' % (msgspec.json.encode(entry)[:-1], _segments(audiences))


_BETWEEN = '","namespace":"ups"},{"id":"'


def _segments(audiences: tuple[str, ...]) -> bytes:
    if not audiences:
        return b""
    if b"\\" in msgspec.json.encode(audiences):  # something in an id is escaped
        segments = [{"id": audience, "namespace": "ups"} for audience in audiences]
        return msgspec.json.encode(segments)[1:-1]
    return b'{"id":"%s","namespace":"ups"}' % _BETWEEN.join(audiences).encode()


@lru_cache(maxsize=64)
def location_hint(hint: str) -> Handle:
    item = {"scope": "EdgeNetwork", "hint": hint, "ttlSeconds": LOCATION_HINT_TTL_S}
    return b'{"type":"locationHint:result","payload":[%b]}' % msgspec.json.encode(item)


def state_store(cookies: Iterable[SetCookie], *, same_site_none: bool) -> Handle:
    """Cookies for the SDK to write. same_site_none: say SameSite=None, on which alloy adds
    Secure; on an http page the browser would then drop the cookie (protocol.md, 0.8).
    """
    attrs = {"SameSite": "None"} if same_site_none else UNSET
    items = [
        _StateItem(
            cookie.name,
            cookie.value,
            UNSET if cookie.max_age_s is None else cookie.max_age_s,
            attrs,
        )
        for cookie in cookies
    ]
    return b'{"type":"state:store","payload":%b}' % msgspec.json.encode(items)


@lru_cache(maxsize=64)
def state_store_of(cookie: SetCookie, same_site_none: bool) -> Handle:
    """As state_store, of one cookie that is the same for many visitors."""
    return state_store((cookie,), same_site_none=same_site_none)


def encode_answer(
    request_id: str,
    handles: Sequence[Handle],
    *,
    errors: Sequence[Problem] = (),
    warnings: Sequence[Problem] = (),
) -> bytes:
    """The answer's bytes. alloy rejects a 2xx whose `handle` is not an array."""
    faults = b""
    if errors:
        faults += b',"errors":%b' % _encode(errors)
    if warnings:
        faults += b',"warnings":%b' % _encode(warnings)
    parts = _encode(request_id), b",".join(handles), faults
    return b'{"requestId":%b,"handle":[%b]%b}' % parts


class _Accepted(Struct, frozen=True, kw_only=True, rename="camel"):
    request_id: str
    warnings: Sequence[Problem] | UnsetType = UNSET


def encode_accepted(request_id: str, *, warnings: Sequence[Problem] = ()) -> bytes:
    """v2 collect: the events were taken."""
    return msgspec.json.encode(_Accepted(request_id=request_id, warnings=warnings or UNSET))


def encode_problem(problem: Problem) -> bytes:
    return msgspec.json.encode(problem)
