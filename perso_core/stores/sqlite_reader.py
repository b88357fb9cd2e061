"""The connection that reads. Owned by one thread; it blocks, the event loop never calls it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import apsw
import msgspec
from msgspec import structs

from perso_core.decision.event import Event
from perso_core.decision.identity import Identity, identity_of
from perso_core.decision.projection import Projection
from perso_core.decision.retention import Retention
from perso_core.errors import DamagedStore, UnreadableRecord
from perso_core.stores.forking import never_closed
from perso_core.stores.imports import Progress
from perso_core.stores.incarnation import NO_EPOCH, epoch_of
from perso_core.stores.links import Link
from perso_core.stores.migrations import refuse_newer
from perso_core.stores.protocol import (
    ClockMark,
    Held,
    News,
    Quarantined,
    StoredDefinitions,
    Whole,
)
from perso_core.stores.record import definitions_from_record
from perso_core.stores.rows import event_of_row
from perso_core.stores.same_file import opened_on
from perso_core.stores.sqlite_appended import added_alone, appended, last_event
from perso_core.stores.sqlite_expiry import Aged, aged
from perso_core.stores.sqlite_file import (
    RESTORE,
    bring_up_to_date,
    reading_connection,
    unavailable,
)
from perso_core.stores.sqlite_imports import (
    announced,
    has_ended,
    last_announced,
    leading,
    progress_of,
    seen_on,
    withheld_of,
)
from perso_core.stores.sqlite_loading import Loaded, loaded_of

_log = logging.getLogger("perso.stores")

# Where the key of somebody of whom anything is kept stands.
_KEYS = (
    ("profile", "key"),
    ("consent", "key"),
    ("link", "key"),
    ("link", "canonical"),
    ("imported", "key"),
    ("quarantine", "key"),
)


class Reader:
    """Reads one file, which takes the steps that it lacks first. origin: the announcements to pass
    over, being our own. epoch: the incarnation that was read last. Raises StoreTooNew,
    StoreUnavailable, as all its methods do."""

    def __init__(self, path: Path, *, origin: int) -> None:
        self._path = path
        self._origin = origin
        self._connection: apsw.Connection | None = None
        self._data_version = -1
        self._missed = self._untold = False
        self.epoch = NO_EPOCH
        self._opened_before = False
        with self._opened() as connection:
            self._hear_from_now_on(connection)

    def load(self, key: str, projection: Projection | None = None) -> Loaded:
        """See Store. Of what is there now: of a file in the place of the one that was opened that
        one's."""
        connection = self._connection
        if connection is not None and self._same.replaced:
            self._untold = True  # by the next news
            with unavailable(self._path):
                self._leave(connection)
        with self._opened() as connection:
            return self._load(connection, key, projection)

    def events_of(self, key: str, ids: Sequence[str]) -> dict[str, Event]:
        """See Store."""
        with self._opened() as connection:
            rows = connection.execute(
                "SELECT id, timestamp_ms, record FROM event"
                " WHERE key = ? AND id IN (SELECT value FROM json_each(?))",
                (key, msgspec.json.encode(ids).decode()),
            ).fetchall()
        found: dict[str, Event] = {}
        for row in cast(list[tuple[str, int, bytes]], rows):
            # What is wrong with it is found by whoever loads the profile.
            with suppress(UnreadableRecord, DamagedStore):
                found[row[0]] = event_of_row(*row)
        return found

    def whole(self, key: str) -> Whole:
        with self._opened() as connection:
            stored = self._load(connection, key).stored
            rows = connection.execute(
                "SELECT kind, record, reason FROM quarantine WHERE key = ? ORDER BY sequence",
                (key,),
            ).fetchall()
        aside = (Quarantined(*row) for row in cast(list[tuple[str, bytes, str]], rows))
        return Whole(stored, tuple(aside), self.links(key))

    def has_devices(self) -> bool:
        """Whether a device was ever here: what is imported has no events."""
        with self._opened() as connection:
            found: int = connection.execute(
                "SELECT EXISTS (SELECT 1 FROM event WHERE key >= 'ECID:' AND key < 'ECID;')"
            ).get
        return bool(found)

    def devices_of(self, device_key: str) -> tuple[str, ...]:
        first = f"{device_key}~"
        with self._opened() as connection:
            rows = connection.execute(
                "SELECT key FROM profile WHERE key = ? OR (key >= ? AND key < ?) ORDER BY key",
                (device_key, first, f"{first}\U0010ffff"),
            ).fetchall()
        return tuple(row[0] for row in cast(list[tuple[str]], rows))

    def _load(
        self, connection: apsw.Connection, key: str, projection: Projection | None = None
    ) -> Loaded:
        # One transaction, so that the profile and its events are of one commit.
        connection.execute("BEGIN")
        refuse_newer(connection, self._path)
        loaded = loaded_of(connection, key, projection)
        connection.execute("COMMIT")
        stored = structs.replace(loaded.stored, epoch=self.epoch)
        return structs.replace(loaded, stored=stored)

    def clock_mark(self) -> ClockMark | None:
        with self._opened() as connection:
            row = connection.execute(
                "SELECT boot, running_ms, clock_ms, owed_ms FROM retention_clock"
            ).get
        if row is not None and [type(one) for one in row] != [str, int, int, int]:
            raise DamagedStore("what has to be the clock of retention is none.", fix=RESTORE)
        return ClockMark(*row) if row else None

    def aged(
        self, retention: Retention, *, now_ms: int, events_from_ms: int, after: int, at_most: int
    ) -> Aged:
        """Looks at the next profiles. Raises StoreUnavailable."""
        with self._opened() as connection:
            return aged(
                connection,
                retention,
                now_ms=now_ms,
                events_from_ms=events_from_ms,
                after=after,
                at_most=at_most,
            )

    def keys_of(self, identity: Identity) -> tuple[str, ...]:
        """See Store. Looks through the index of keys."""
        own = identity.profile_key
        # A server's key ends so; a device's may go on with a suffix.
        asked = {"own": own, "ending": f" {own}", "first": f"{own}~", "after": f"{own}~\U0010ffff"}
        found = " UNION ".join(
            f"SELECT {key} FROM {table} WHERE {key} = :own OR ({key} >= :first AND {key} < :after)"
            f" OR substr({key}, -length(:ending)) = :ending"
            for table, key in _KEYS
        )
        with self._opened() as connection:
            rows = connection.execute(f"{found} ORDER BY 1", asked).fetchall()
        keys = (row[0] for row in cast(list[tuple[str]], rows))
        return tuple(key for key in keys if identity_of(key) == identity)

    def links(self, key: str) -> tuple[Link, ...]:
        with self._opened() as connection:
            rows = connection.execute(
                "SELECT key, linked_ms FROM link WHERE canonical = ? ORDER BY linked_ms, key",
                (key,),
            ).fetchall()
        return tuple(Link(*row) for row in cast(list[tuple[str, int]], rows))

    def definitions(self) -> StoredDefinitions | None:
        """Raises UnreadableRecord, StoreUnavailable."""
        with self._opened() as connection:
            row = connection.execute(
                "SELECT version, record FROM definitions ORDER BY version DESC LIMIT 1"
            ).get
        return StoredDefinitions(row[0], *definitions_from_record(row[1])) if row else None

    def news(self, held: Held) -> News:
        with self._opened() as connection:
            if self._untold:
                self._untold = False
                raise self._same.refusal()
            self._same.check()
            if self._missed:  # it is another file than the one that was heard so far
                self._hear_from_now_on(connection)
                self._missed = False
                return News(definitions=True, missed=True)
            # Changes with every commit but this connection's, and costs no page read.
            data_version = connection.pragma("data_version")
            if data_version == self._data_version:
                return News()
            # One transaction, so that what was added is of the commits that are announced.
            connection.execute("BEGIN")
            refuse_newer(connection, self._path)
            found = self._news_or_missed(connection, held)
            connection.execute("COMMIT")
        self._data_version = data_version
        return found

    def _news_or_missed(self, connection: apsw.Connection, held: Held) -> News:
        """Of rows that nobody can read it is not known whom they are about: it may be anyone. Else
        nothing would be heard any more as long as they are there."""
        try:
            return self._news(connection, held)
        except (TypeError, UnicodeDecodeError) as error:
            _log.error("An announcement cannot be read: all is read anew. %s", error)
        self._hear_from_now_on(connection)
        return News(definitions=True, missed=True)

    def _hear_from_now_on(self, connection: apsw.Connection) -> None:
        self._heard = _newest_notice(connection)
        self._heard_imported = last_announced(connection)
        self._last_event = last_event(connection)

    def _news(self, connection: apsw.Connection, held: Held) -> News:
        rows = connection.execute(
            "SELECT sequence, origin, key FROM notice WHERE sequence > ? ORDER BY sequence",
            (self._heard,),
        ).fetchall()
        notices = cast(list[tuple[int, int, str | None]], rows)
        missed = bool(notices) and notices[0][0] > self._heard + 1
        told = [(origin, key) for _, origin, key in notices]
        keys = [] if missed else [key for key in added_alone(told, self._origin) if held(key)]
        through = last_event(connection)
        added = appended(connection, keys, after=self._last_event, through=through)
        heard_imported, imported, imported_any = announced(connection, self._heard_imported)
        # Nothing is heard until all of it is read.
        self._heard = notices[-1][0] if notices else self._heard
        self._heard_imported = heard_imported
        self._last_event = through
        others = [key for origin, key in told if abs(origin) != self._origin]
        return News(
            definitions=None in others,
            keys=frozenset(key for key in others if key is not None),
            appended=added,
            missed=missed,
            imported=imported,
            imported_any=imported_any,
        )

    def withheld(self, keys: Sequence[str], since_ms: int, now_ms: int) -> frozenset[str]:
        """See Store."""
        with self._opened() as connection:
            return withheld_of(connection, keys, since_ms=since_ms, now_ms=now_ms)

    def leading(self, keys: Sequence[str]) -> Mapping[str, str]:
        """See Store."""
        with self._opened() as connection:
            return leading(connection, keys)

    def seen_on(self, keys: Sequence[str], datastream_id: str) -> frozenset[str]:
        """See Store."""
        with self._opened() as connection:
            return seen_on(connection, keys, datastream_id)

    def progress(self, name: bytes) -> Progress | None:
        """See Store."""
        with self._opened() as connection:
            return progress_of(connection, name)

    def leave_to_parent(self) -> None:
        if self._connection is not None:
            never_closed(self._connection)
            self._connection = None

    def last_announced(self) -> int:
        """See SqliteStore."""
        with self._opened() as connection:
            return last_announced(connection)

    def has_ended(self, ended_ms: int) -> bool:
        """Whether an imported membership ended before."""
        with self._opened() as connection:
            return has_ended(connection, ended_ms)

    def close(self) -> None:
        with unavailable(self._path):
            if self._connection is not None:
                self._same.close(self._connection)

    @contextmanager
    def _opened(self) -> Iterator[apsw.Connection]:
        """The connection; one that failed is closed, and the next call opens it anew."""
        with unavailable(self._path):
            connection = self._connection
            if connection is None:
                connection, self._same = opened_on(self._path, self._up_to_date)
                self._opened_before = True
                self._connection = connection
                self.epoch = epoch_of(connection)
            try:
                yield connection
            except BaseException:  # it may be within a transaction
                self._leave(connection)
                raise

    def _up_to_date(self, path: Path) -> apsw.Connection:
        # What lies there now may be another file, which nobody has written to yet.
        bring_up_to_date(path, named=self._opened_before)
        return reading_connection(path)

    def _leave(self, connection: apsw.Connection) -> None:
        """Have the next call open it anew."""
        self._connection = None
        self._data_version = -1  # each connection counts for itself
        if self._same.replaced:
            self._missed = True
        self._same.close(connection)


def _newest_notice(connection: apsw.Connection) -> int:
    newest: int = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'notice'"
    ).get
    return newest
