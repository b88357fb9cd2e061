"""Records: what is written is what is read, or nothing is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from perso_core.decision.consent import Consent
from perso_core.decision.event import Event
from perso_core.decision.identity import Identity
from perso_core.decision.membership import Membership
from perso_core.decision.profile import Profile
from perso_core.decision.projection import event_of, whole_event
from perso_core.errors import UnreadableRecord
from perso_core.stores.record import (
    FORMAT,
    consent_from_record,
    consent_record,
    definitions_from_record,
    definitions_record,
    event_from_record,
    event_record,
    profile_from,
    profile_record,
)
from tests.building import NOON_MS, definitions, event
from tests.edge.servers import with_attributes
from tests.stores.building import ANNA, profile

# Whatever JSON can say: integers of any size, no NaN.
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**200), max_value=2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_objects = st.dictionaries(st.text(), _json, max_size=5)
_instants = st.integers(min_value=0, max_value=2**53)
_events = st.builds(
    Event,
    id=st.text(),
    timestamp_ms=_instants,
    xdm=_objects,
    client_timestamp=st.none() | st.text(),
)
_memberships = st.builds(
    Membership,
    audience_id=st.text(),
    status=st.sampled_from(["realized", "exited"]),
    since_ms=_instants,
)
_profiles = st.builds(
    Profile,
    key=st.text(),
    version=_instants,
    attributes=_objects,
    claims=st.lists(st.builds(Identity, st.text(), st.text()), max_size=3).map(tuple),
    events=st.lists(_events, max_size=2).map(tuple),
    memberships=st.lists(_memberships, max_size=4).map(
        lambda members: {member.audience_id: member for member in members}
    ),
    evaluated_ms=_instants,
    snapshot_id=st.text(),
    datastreams=st.lists(st.text(), max_size=3).map(tuple),
)


def read_profile(record: bytes) -> Profile:
    return profile_from(ANNA, 1, record, ())


def read_consent(record: bytes) -> Consent:
    return consent_from_record(record)


RECORDS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "profile": (profile_record(profile()), read_profile),
    "event": (event_record(event()), event_from_record),
    "consent": (consent_record(Consent("out", 17)), read_consent),
    "definitions": (definitions_record(definitions()), definitions_from_record),
}
kinds = pytest.mark.parametrize("kind", RECORDS)


@given(_profiles)
def test_a_profile_is_read_as_it_was_written(written: Profile) -> None:
    record = profile_record(written)

    assert profile_from(written.key, written.version, record, written.events) == written


@given(_events)
def test_an_event_is_read_as_it_was_written(written: Event) -> None:
    assert event_from_record(event_record(written)) == written


def test_an_event_is_packed_once_for_the_disk_and_for_memory() -> None:
    one = event(web={"x": 1})
    later = structs.replace(one, timestamp_ms=one.timestamp_ms + 1)

    record = event_record(one)

    assert whole_event(one) is whole_event(one)
    assert record.endswith(whole_event(one))
    assert one == event(web={"x": 1}), "what it is as bytes is no part of what it is"
    assert event_of(whole_event(later)) == later, "another one has its own"


@given(
    st.builds(
        Consent,
        general=st.sampled_from(["in", "out", None]),
        since_ms=_instants,
        share=st.sampled_from(["y", "n", None]),
        share_since_ms=_instants,
        gpc_since_ms=st.none() | _instants,
        stated=st.text(max_size=20),
        share_of=st.sampled_from(["", "5f0c2a9be714"]),
    )
)
def test_consent_is_read_as_it_was_written(written: Consent) -> None:
    assert consent_from_record(consent_record(written)) == written


def test_a_consent_that_an_older_perso_wrote_is_read() -> None:
    """Before there were the other standards, a consent had its first two fields alone."""
    payload = msgspec.msgpack.encode(("out", 17))
    checksum = crc32(payload, crc32(bytes([1, 3])))

    old = b"\x01" + checksum.to_bytes(4, "big") + payload

    assert consent_from_record(old) == Consent("out", 17)


def test_definitions_are_read_as_they_were_written() -> None:
    for written in (definitions(), with_attributes()):
        assert definitions_from_record(definitions_record(written, 7)) == (written, 7)


def test_definitions_that_were_saved_before_they_had_a_date_are_still_read() -> None:
    older = msgspec.msgpack.encode(definitions())
    sealed = crc32(older, crc32(bytes([FORMAT, 4]))).to_bytes(4, "big")

    record = bytes([FORMAT]) + sealed + older

    assert definitions_from_record(record) == (definitions(), 0)


@kinds
def test_every_single_flipped_bit_makes_a_record_unreadable(kind: str) -> None:
    record, read = RECORDS[kind]
    for bit in range(len(record) * 8):
        flipped = bytearray(record)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UnreadableRecord):
            read(bytes(flipped))


@kinds
def test_a_record_cut_short_anywhere_is_unreadable(kind: str) -> None:
    record, read = RECORDS[kind]
    for length in range(len(record)):
        with pytest.raises(UnreadableRecord):
            read(record[:length])


@kinds
def test_a_record_with_something_after_it_is_unreadable(kind: str) -> None:
    record, read = RECORDS[kind]
    with pytest.raises(UnreadableRecord):
        read(record + b"\0")


@kinds
def test_a_record_is_never_read_as_one_of_another_kind(kind: str) -> None:
    for other, (record, _) in RECORDS.items():
        if other != kind:
            with pytest.raises(UnreadableRecord, match="checksum"):
                RECORDS[kind][1](record)


@settings(max_examples=200)
@given(st.binary(max_size=64))
def test_no_bytes_crash_the_reading_of_a_record(junk: bytes) -> None:
    for _, read in RECORDS.values():
        with pytest.raises(UnreadableRecord):
            read(junk)


def test_a_record_of_a_format_to_come_says_so() -> None:
    record, read = RECORDS["event"]
    with pytest.raises(UnreadableRecord, match="format 2 is not known"):
        read(b"\2" + record[1:])


def test_a_profile_from_before_datastreams_were_kept_is_open_to_none() -> None:
    older = msgspec.msgpack.encode(({}, [("CRMID", "c-17")], {}, {}, NOON_MS, "0123"))
    sealed = b"\1" + crc32(older, crc32(b"\1\1")).to_bytes(4, "big") + older

    read = read_profile(sealed)

    assert (read.claims, read.datastreams) == ((Identity("CRMID", "c-17"),), ())


def test_events_are_no_part_of_a_profiles_record() -> None:
    with_events = structs.replace(profile(), events=(event(),))

    assert profile_record(with_events) == profile_record(profile())
