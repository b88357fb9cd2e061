"""A profile, with all that is kept beside it, as the rows of the SQLite file have it. Called by the
thread that owns the connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar, cast

import apsw
from msgspec import Struct

from perso_core.decision.consent import Consent
from perso_core.decision.kept_events import Events, KeptEvents
from perso_core.decision.membership import ImportedMembership
from perso_core.decision.profile import Profile
from perso_core.decision.projection import Projection
from perso_core.errors import UnreadableRecord
from perso_core.stores.batch import erasure_mark, with_imported
from perso_core.stores.protocol import Stored
from perso_core.stores.record import consent_and_visit_from
from perso_core.stores.rows import another_ones, event_of_row, profile_of_row, read_event_of_row
from perso_core.stores.sqlite_erased import erased_events_of
from perso_core.stores.sqlite_imports import NO_INSTANT, ImportedRow, earlier_of, imported_of
from perso_core.stores.sqlite_writer import REFUSED, Unreadable

_EventRow = tuple[str, str, int, bytes]  # key, id, timestamp_ms, record
Read = TypeVar("Read")


class Loaded(Struct, frozen=True):
    """unreadable: rows that were left out and are to be quarantined."""

    stored: Stored
    unreadable: tuple[Unreadable, ...] = ()


def loaded_of(
    connection: apsw.Connection, key: str, projection: Projection | None = None
) -> Loaded:
    """What stands under a key, in the transaction that is open; its epoch is not told. projection:
    see Store. Raises DamagedStore, apsw.Error."""
    unreadable: list[Unreadable] = []
    row = connection.execute("SELECT version, record FROM profile WHERE key = ?", (key,)).get
    profile, begun_ms = None, 0
    if row is not None:
        events = _events(key, _events_of(connection, key), projection, unreadable)
        version, record = cast(tuple[int, bytes], row)
        profile, begun_ms = _profile(key, version, record, events, unreadable)
    said, said_ms = _consent(connection, key, unreadable)
    linked_to = connection.execute("SELECT canonical FROM link WHERE key = ?", (key,)).get
    stored = Stored(
        with_imported(key, profile, _imported(connection, key, unreadable)),
        said,
        _erased_ms(connection, key),
        linked_to=linked_to or "",
        first_visit_ms=begun_ms if profile is not None else said_ms,
        erased_events=erased_events_of(connection, key),
        set_aside=bool(unreadable),
    )
    return Loaded(stored, tuple(unreadable))


def _erased_ms(connection: apsw.Connection, key: str) -> int:
    mark = (erasure_mark(key),)
    return connection.execute("SELECT erased_ms FROM erased WHERE mark = ?", mark).get or 0


def _events_of(connection: apsw.Connection, key: str) -> Iterable[_EventRow]:
    """The events, oldest first; all of them, also where the cap was lowered: what gives way for the
    next one is counted. Each has the key and the instant of its own row, and the id by which the
    index leads there; where there is no row, nothing else. They are read as they are asked for."""
    # What is put in order is without the records: else SQLite would hold all of them. The limit
    # keeps it from putting the two together.
    rows = connection.execute(
        "SELECT event.key, ordered.id, event.timestamp_ms, event.record FROM"
        " (SELECT place.id, place.sequence FROM event AS place"
        " LEFT JOIN event ON event.sequence = place.sequence WHERE place.key = ?"
        " ORDER BY event.timestamp_ms, event.sequence LIMIT -1) AS ordered"
        " LEFT JOIN event ON event.sequence = ordered.sequence",
        (key,),
    )
    return cast(Iterable[_EventRow], rows)


def _profile(
    key: str, version: int, record: bytes, events: Events, unreadable: list[Unreadable]
) -> tuple[Profile | None, int]:
    """The profile, and its first_visit_ms."""
    try:
        return profile_of_row(key, version, record, events)
    except UnreadableRecord as error:
        unreadable.append(Unreadable(kind="profile", key=key, record=record, reason=error.detail))
        return None, 0


def _events(
    key: str,
    rows: Iterable[_EventRow],
    projection: Projection | None,
    unreadable: list[Unreadable],
) -> Events:
    if projection is None:
        return tuple(_readable(key, rows, event_of_row, unreadable))
    read = partial(read_event_of_row, projection=projection)
    return KeptEvents.read(_readable(key, rows, read, unreadable), projection)


def _readable(
    key: str,
    rows: Iterable[_EventRow],
    read: Callable[[str, int, bytes], Read],
    unreadable: list[Unreadable],
) -> Iterator[Read]:
    for owner, event_id, timestamp_ms, record in rows:
        if owner != key:
            raise another_ones("an event.")
        try:
            yield read(event_id, timestamp_ms, record)
        except UnreadableRecord as error:
            unreadable.append(Unreadable(kind="event", key=key, record=record, reason=error.detail))


def _imported(
    connection: apsw.Connection, key: str, unreadable: list[Unreadable]
) -> dict[str, ImportedMembership]:
    rows = imported_of(connection, key)
    earlier = earlier_of(connection, key) if rows else []
    # A damaged one of those is none: it would only date what is over.
    before = {one[0]: ImportedMembership(*one[1:]) for one in earlier if _is_whole(one)}
    found = {
        audience_id: ImportedMembership(since_ms, until_ms, before.get(audience_id))
        for audience_id, since_ms, until_ms in filter(_is_whole, rows)
    }
    if len(found) < len(rows):
        unreadable.append(
            Unreadable(kind="imported membership", key=key, record=b"", reason=NO_INSTANT)
        )
    return found


def _is_whole(row: ImportedRow) -> bool:
    return type(row[1]) is int and type(row[2]) is int


def _consent(
    connection: apsw.Connection, key: str, unreadable: list[Unreadable]
) -> tuple[Consent | None, int]:
    """The consent, and its first_visit_ms."""
    record = connection.execute("SELECT record FROM consent WHERE key = ?", (key,)).get
    if record is None:
        return None, 0
    try:
        return consent_and_visit_from(record)
    except UnreadableRecord as error:
        unreadable.append(Unreadable(kind="consent", key=key, record=record, reason=error.detail))
        return REFUSED, 0
