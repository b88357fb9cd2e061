"""Refusals that are newer than a backup: they stand where it is put back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar, cast

import apsw

from perso_core.decision.consent import Consent, last_said_ms, refused, sharing_refused
from perso_core.decision.profile import mark_of
from perso_core.errors import StoreUnavailable, UnreadableRecord
from perso_core.stores.record import consent_from_record, profile_from
from perso_core.stores.sqlite_erased import has_what_moved
from perso_core.stores.sqlite_file import (
    TABLES_BY_KEY,
    TABLES_OF_WHAT_HAPPENED,
    reading_connection,
    transaction,
    unavailable,
    writing_connection,
)
from perso_core.stores.sqlite_links import led_to


def keep_refusals(database: Path, fresh: Path) -> bool:
    """What visitors refused in `database` since `fresh` was copied stays refused, and nothing is
    kept of who refused to be. False: not all of the database can be read; what could be is kept.
    Raises StoreUnavailable, StoreTooNew."""
    with (
        closing(reading_connection(database)) as reading,
        closing(writing_connection(fresh)) as writing,
    ):
        with unavailable(fresh), transaction(writing):
            refusals, refusing = _refusals(reading), set[bytes]()
            try:
                while (found := _next(refusals, database)) is not None:
                    if _keep(writing, *found) and refused(found[1]):
                        refusing.add(mark_of(found[0]))
                devices = _brought(reading, refusing)
                while (device := _next(devices, database)) is not None:
                    _empty(writing, *device)
                whole = True
            except _CannotBeRead:
                whole = False
        writing.execute("PRAGMA journal_mode = DELETE")
    return whole


class _CannotBeRead(Exception):
    """The database. Of what is written it says nothing."""


_Found = TypeVar("_Found")
_Link = tuple[str, int]  # key, linked_ms
# key, consent, its record, and the identities that are part of the profile
_Refusal = tuple[str, Consent, bytes, list[_Link]]


def _next(found: Iterator[_Found], database: Path) -> _Found | None:
    try:
        with unavailable(database):
            return next(found, None)
    except StoreUnavailable as error:
        raise _CannotBeRead from error


def _keep(
    writing: apsw.Connection, key: str, consent: Consent, record: bytes, links: Sequence[_Link]
) -> bool:
    """Of the person: what is in the copy may be of before its identities were linked. False: the
    copy has a later word."""
    if last_said_ms(consent) <= last_said_ms(_consent_of(writing, key)):
        return False
    for table in TABLES_BY_KEY if refused(consent) else ("consent",):
        writing.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
    writing.execute("INSERT INTO consent VALUES (?, ?)", (key, record))
    for one, linked_ms in links:
        if refused(consent):
            _link(writing, one, key, linked_ms)
        elif not led_to(writing, one):
            _keep(writing, one, consent, record, ())
    return True


def _link(writing: apsw.Connection, key: str, refusing: str, linked_ms: int) -> None:
    """Nothing is kept of who is part of somebody that refuses."""
    for table in TABLES_BY_KEY:
        writing.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
    writing.execute("DELETE FROM link WHERE canonical = ?", (key,))
    writing.execute("INSERT INTO link VALUES (?, ?, ?)", (key, refusing, linked_ms))


def _refusals(connection: apsw.Connection) -> Iterator[_Refusal]:
    """By key: what visitors refused, or their browsers for them, and its record. O(consents): 1.3 s
    of a million."""
    linked = connection.table_exists(None, "link")  # files of an earlier Perso lack it
    rows = connection.execute("SELECT key, record FROM consent")
    for key, record in cast(Iterator[tuple[str, bytes]], rows):
        consent = _consent(record)
        if consent is not None and (refused(consent) or sharing_refused(consent)):
            yield key, consent, record, _links(connection, key) if linked else []


def _links(connection: apsw.Connection, key: str) -> list[_Link]:
    rows = connection.execute("SELECT key, linked_ms FROM link WHERE canonical = ?", (key,))
    return cast(list[_Link], rows.fetchall())


def _brought(connection: apsw.Connection, refusing: Set[bytes]) -> Iterator[tuple[str, int]]:
    """The keys of devices whose events became those of who refuses, and when the last did.
    refusing: marks of their keys. O(devices) where there are any: 6 s of a million."""
    if not refusing:
        return
    rows = connection.execute(
        "SELECT key, version, record FROM profile WHERE key >= 'ECID:' AND key < 'ECID;'"
    )
    for key, version, record in cast(Iterator[tuple[str, int, bytes]], rows):
        with suppress(UnreadableRecord):
            moved = profile_from(key, version, record, ()).moved
            if instants := [one.at_ms for one in moved if one.to in refusing]:
                yield key, max(instants)


def _empty(writing: apsw.Connection, device_key: str, moved_ms: int) -> None:
    """What is chosen on the device stays."""
    if has_what_moved(writing, device_key, moved_ms):
        for table in TABLES_OF_WHAT_HAPPENED:
            writing.execute(f"DELETE FROM {table} WHERE key = ?", (device_key,))


def _consent_of(connection: apsw.Connection, key: str) -> Consent | None:
    record: bytes | None = connection.execute(
        "SELECT record FROM consent WHERE key = ?", (key,)
    ).get
    return _consent(record) if record is not None else None


def _consent(record: bytes) -> Consent | None:
    try:
        return consent_from_record(record)
    except UnreadableRecord:
        return None
