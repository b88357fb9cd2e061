"""Refusals that are newer than a backup: they stand where it is put back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import apsw

from perso_core.decision.consent import Consent, last_said_ms, refused, sharing_refused
from perso_core.errors import StoreUnavailable, UnreadableRecord
from perso_core.stores.record import consent_from_record
from perso_core.stores.sqlite_file import (
    TABLES_BY_KEY,
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
            refusals = _refusals(reading)
            try:
                while (found := _next(refusals, database)) is not None:
                    _keep(writing, *found)
                whole = True
            except _CannotBeRead:
                whole = False
        writing.execute("PRAGMA journal_mode = DELETE")
    return whole


class _CannotBeRead(Exception):
    """The database. Of what is written it says nothing."""


_Link = tuple[str, int]  # key, linked_ms
# key, consent, its record, and the identities that are part of the profile
_Refusal = tuple[str, Consent, bytes, list[_Link]]


def _next(refusals: Iterator[_Refusal], database: Path) -> _Refusal | None:
    try:
        with unavailable(database):
            return next(refusals, None)
    except StoreUnavailable as error:
        raise _CannotBeRead from error


def _keep(
    writing: apsw.Connection, key: str, consent: Consent, record: bytes, links: Sequence[_Link]
) -> None:
    """Of the person: what is in the copy may be of before its identities were linked."""
    if last_said_ms(consent) <= last_said_ms(_consent_of(writing, key)):
        return
    for table in TABLES_BY_KEY if refused(consent) else ("consent",):
        writing.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
    writing.execute("INSERT INTO consent VALUES (?, ?)", (key, record))
    for one, linked_ms in links:
        if refused(consent):
            _link(writing, one, key, linked_ms)
        elif not led_to(writing, one):
            _keep(writing, one, consent, record, ())


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
