"""What is kept, as bytes: typed, versioned, checksummed. Pure.

A record is one byte (the format), four bytes (CRC-32 of what follows, big-endian) and MessagePack.
The checksum starts from format and kind, so that a record is never read as one of another kind.
A record that fails in any way raises UnreadableRecord; it never yields a wrong value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar
from zlib import crc32

import msgspec
from msgspec import Struct, structs

from perso_core.decision.consent import Consent
from perso_core.decision.event import Event
from perso_core.decision.identity import Identity
from perso_core.decision.kept_events import Events, ReadEvent
from perso_core.decision.large_integers import large_integer, with_large_integers
from perso_core.decision.membership import Membership, Memberships
from perso_core.decision.profile import MARK_BYTES, Moved, Profile
from perso_core.decision.projection import Projection, whole_event
from perso_core.definitions.document import Definitions
from perso_core.errors import MisplacedRecord, UnreadableRecord

FORMAT: Final = 1
_HEAD_BYTES: Final = 5
_FORMAT_BYTE: Final = bytes([FORMAT])

# Records of an earlier Perso do not tell whose they are.
ANYBODY: Final = 0
ANY_KEY: Final = ""

Kept = TypeVar("Kept")
Kind = Literal["profile", "event", "consent", "definitions"]
# The kind's number is part of what is on disk: never reuse one.
_SEEDS: Final[Mapping[Kind, int]] = {
    "profile": crc32(bytes([FORMAT, 1])),
    "event": crc32(bytes([FORMAT, 2])),
    "consent": crc32(bytes([FORMAT, 3])),
    "definitions": crc32(bytes([FORMAT, 4])),
}


class _ProfileRecord(Struct, frozen=True, array_like=True):
    """A profile but for its key, version (columns of their own) and events (rows of their own).

    realized, exited: audience id -> since_ms. moved: at_ms, to, version, the marks one after the
    other. owner: see owner_of. Fields are only ever added at the end.
    """

    attributes: dict[str, Any]
    claims: tuple[tuple[str, str], ...]  # namespace, id
    realized: dict[str, int]
    exited: dict[str, int]
    evaluated_ms: int
    snapshot_id: str
    datastreams: tuple[str, ...] = ()
    touched_ms: int = 0
    first_visit_ms: int = 0
    dropped_events: int = 0
    dropped_claims: int = 0
    brought: dict[str, dict[str, Any]] = {}
    moved: tuple[tuple[int, bytes, int, bytes], ...] = ()
    dropped_attributes: int = 0
    owner: int = ANYBODY


class _EventRecord(Struct, frozen=True, array_like=True):
    id: str
    timestamp_ms: int
    xdm: dict[str, Any]
    client_timestamp: str | None


class _UnreadEventRecord(Struct, frozen=True, array_like=True):
    """As _EventRecord. The fields of the event are as they are stored."""

    id: str
    timestamp_ms: int
    xdm: dict[str, msgspec.Raw]
    client_timestamp: str | None


class _ConsentRecord(Struct, frozen=True, array_like=True):
    """Fields are only ever added at the end."""

    general: Literal["in", "out"] | None
    since_ms: int
    share: Literal["y", "n"] | None = None
    share_since_ms: int = 0
    gpc_since_ms: int | None = None
    stated: str = ""
    first_visit_ms: int = 0
    share_of: str = ""


class _DefinitionsRecord(Definitions, frozen=True, kw_only=True):
    """A map, not an array: what is missing in an older record has its default."""

    saved_ms: int = 0


def profile_record(profile: Profile, first_visit_ms: int = 0) -> bytes:
    """Everything of a profile but its key, version and events. first_visit_ms: see Stored."""
    realized, exited = Memberships.of(profile.memberships).since()
    return _sealed(
        "profile",
        (
            profile.attributes,
            tuple([(claim.namespace, claim.id) for claim in profile.claims]),
            realized,
            exited,
            profile.evaluated_ms,
            profile.snapshot_id,
            profile.datastreams,
            profile.touched_ms,
            first_visit_ms,
            profile.dropped_events,
            profile.dropped_claims,
            profile.brought,
            _fields_of_moves(profile),
            profile.dropped_attributes,
            owner_of(profile.key),
        ),
    )


def owner_of(key: str) -> int:
    """What a record knows its profile by: in a file that is damaged the way to a profile may end
    at another one's. ANYBODY for ANY_KEY: it may be written under several."""
    if key == ANY_KEY:
        return ANYBODY
    return crc32(key.encode("utf-8", "surrogatepass")) or 1


def _fields_of_moves(profile: Profile) -> tuple[Any, ...]:
    return tuple(
        [(one.at_ms, one.to, one.version, b"".join(sorted(one.marks))) for one in profile.moved]
    )


def profile_from(key: str, version: int, record: bytes, events: Events) -> Profile:
    """The profile of a record, with the parts that are kept beside it. key: ANY_KEY: whose it is
    does not matter. Raises UnreadableRecord, and MisplacedRecord for another profile's."""
    return profile_and_visit_from(key, version, record, events)[0]


def profile_and_visit_from(
    key: str,
    version: int,
    record: bytes,
    events: Events,
    held: Memberships | None = None,
) -> tuple[Profile, int]:
    """The same, and its first_visit_ms. held: are the profile's, where the record has no others.
    Raises UnreadableRecord, MisplacedRecord."""
    kept = _opened("profile", record, _profile_decoder)
    if key != ANY_KEY and kept.owner not in (ANYBODY, owner_of(key)):
        raise MisplacedRecord(
            f"a profile record of {len(record)} bytes.", fix="Stop, and `perso restore` a backup."
        )
    profile = Profile(
        key=key,
        version=version,
        attributes=kept.attributes,
        claims=tuple(Identity(namespace, id) for namespace, id in kept.claims),
        events=events,
        memberships=_memberships(kept, held),
        evaluated_ms=kept.evaluated_ms,
        snapshot_id=kept.snapshot_id,
        datastreams=kept.datastreams,
        brought=kept.brought,
        moved=tuple(_moved(*fields) for fields in kept.moved),
        touched_ms=kept.touched_ms,
        dropped_events=kept.dropped_events,
        dropped_claims=kept.dropped_claims,
        dropped_attributes=kept.dropped_attributes,
    )
    return profile, kept.first_visit_ms


def _moved(at_ms: int, to: bytes, version: int, marks: bytes) -> Moved:
    size = MARK_BYTES
    each = frozenset(marks[at : at + size] for at in range(0, len(marks), size))
    return Moved(at_ms=at_ms, to=to, version=version, marks=each)


def _memberships(kept: _ProfileRecord, held: Memberships | None) -> Mapping[str, Membership]:
    if held is not None and held.since() == (kept.realized, kept.exited):
        return held
    return {**_of_status("realized", kept.realized), **_of_status("exited", kept.exited)}


def _of_status(
    status: Literal["realized", "exited"], since: Mapping[str, int]
) -> dict[str, Membership]:
    return {
        audience_id: Membership(audience_id=audience_id, status=status, since_ms=since_ms)
        for audience_id, since_ms in since.items()
    }


def event_record(event: Event) -> bytes:
    return _with_head("event", whole_event(event))


def event_from_record(record: bytes) -> Event:
    """Raises UnreadableRecord."""
    kept = _opened("event", record, _event_decoder)
    return Event(
        id=kept.id,
        timestamp_ms=kept.timestamp_ms,
        xdm=kept.xdm,
        client_timestamp=kept.client_timestamp,
    )


def read_event(record: bytes, projection: Projection) -> ReadEvent:
    """With what the projection keeps of it. Raises UnreadableRecord."""
    kept = _opened("event", record, _unread_event_decoder)
    try:
        row: bytes | Event | None = projection.packed_unread(kept.id, kept.timestamp_ms, kept.xdm)
    except msgspec.DecodeError:
        row = None
    if row is None:
        row = projection.packed(event_from_record(record))
    return ReadEvent(kept.id, kept.timestamp_ms, row, memoryview(record)[_HEAD_BYTES:])


def consent_record(consent: Consent, first_visit_ms: int = 0) -> bytes:
    *fields, share_of = structs.astuple(consent)
    return _sealed("consent", (*fields, first_visit_ms, share_of))


def consent_from_record(record: bytes) -> Consent:
    """Raises UnreadableRecord."""
    return consent_and_visit_from(record)[0]


def consent_and_visit_from(record: bytes) -> tuple[Consent, int]:
    """The same, and its first_visit_ms. Raises UnreadableRecord."""
    kept = _opened("consent", record, _consent_decoder)
    *fields, first_visit_ms, share_of = structs.astuple(kept)
    return Consent(*(*fields, share_of)), first_visit_ms


def definitions_record(definitions: Definitions, saved_ms: int = 0) -> bytes:
    fields = {name: getattr(definitions, name) for name in Definitions.__struct_fields__}
    return _sealed("definitions", _DefinitionsRecord(**fields, saved_ms=saved_ms))


def definitions_from_record(record: bytes) -> tuple[Definitions, int]:
    """The definitions, and when they were saved (0: not known). Raises UnreadableRecord."""
    kept = _opened("definitions", record, _definitions_decoder)
    fields = {name: getattr(kept, name) for name in Definitions.__struct_fields__}
    return Definitions(**fields), kept.saved_ms


def _sealed(kind: Kind, fields: object) -> bytes:
    try:
        payload = _encoder.encode(fields)
    except OverflowError:
        payload = _encoder.encode(with_large_integers(fields))
    return _with_head(kind, payload)


def _with_head(kind: Kind, payload: bytes) -> bytes:
    return _FORMAT_BYTE + crc32(payload, _SEEDS[kind]).to_bytes(4, "big") + payload


def _opened(kind: Kind, record: bytes, decoder: msgspec.msgpack.Decoder[Kept]) -> Kept:
    if not isinstance(record, bytes):  # a page of another table lies where its own was
        raise _unreadable(kind, b"", f"it is a value of another kind ({type(record).__name__})")
    if len(record) <= _HEAD_BYTES:
        raise _unreadable(kind, record, "it is cut short")
    if record[0] != FORMAT:
        raise _unreadable(kind, record, f"its format {record[0]} is not known")
    payload = memoryview(record)[_HEAD_BYTES:]
    if crc32(payload, _SEEDS[kind]).to_bytes(4, "big") != record[1:_HEAD_BYTES]:
        raise _unreadable(kind, record, "its checksum differs")
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, ValueError) as error:
        raise _unreadable(kind, record, f"its fields differ ({type(error).__name__})") from error


def _unreadable(kind: Kind, record: bytes, why: str) -> UnreadableRecord:
    return UnreadableRecord(
        f"a {kind} record of {len(record)} bytes: {why}.",
        fix="Check the disk; it stays in the store's quarantine table, or restore a backup.",
    )


_encoder = msgspec.msgpack.Encoder()
_profile_decoder = msgspec.msgpack.Decoder(_ProfileRecord, ext_hook=large_integer)
_event_decoder = msgspec.msgpack.Decoder(_EventRecord, ext_hook=large_integer)
_unread_event_decoder = msgspec.msgpack.Decoder(_UnreadEventRecord)
_consent_decoder = msgspec.msgpack.Decoder(_ConsentRecord, ext_hook=large_integer)
_definitions_decoder = msgspec.msgpack.Decoder(_DefinitionsRecord)
