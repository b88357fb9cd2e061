"""The one connection that writes. Owned by one thread; it blocks, the event loop never calls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeVar, cast

import apsw
import msgspec
from msgspec import Struct

from perso_core.decision.consent import Consent, refused
from perso_core.decision.event import Event
from perso_core.decision.retention import Retention, erased_since
from perso_core.definitions.document import Definitions
from perso_core.engine.journal import Entry, Expired
from perso_core.errors import StoreUnavailable, UnreadableRecord
from perso_core.stores import sqlite_imports as imports
from perso_core.stores import sqlite_links
from perso_core.stores.batch import (
    KEPT_NOTICES,
    KeyChange,
    aging_mark,
    changes_by_key,
    consent_after,
    erasure_mark,
)
from perso_core.stores.clock import APART_MS, Clock, system_clock_ms
from perso_core.stores.consent_kept import NO_WORDS
from perso_core.stores.forking import never_closed
from perso_core.stores.incarnation import epoch_of, is_another
from perso_core.stores.links import BARRED, NOT_JOINED, Joined, Joining
from perso_core.stores.migrations import refuse_newer
from perso_core.stores.protocol import ClockMark
from perso_core.stores.record import (
    consent_and_visit_from,
    consent_record,
    definitions_record,
)
from perso_core.stores.same_file import opened_on, refuse_emptied
from perso_core.stores.sqlite_appending import UNTOLD, append, prepare
from perso_core.stores.sqlite_changes import EncodedChange, encoded, keep_events, swapped
from perso_core.stores.sqlite_erased import (
    any_erased,
    any_marks,
    forget_erased,
    forget_marks,
    mark_devices,
    mark_events,
    sent_again,
)
from perso_core.stores.sqlite_expiry import (
    Aged,
    expire,
    forget_first_visits,
    last_noted,
    note_first_visit,
    note_return,
    remove_first_visits,
    shrink,
)
from perso_core.stores.sqlite_file import (
    TABLES_BY_KEY,
    closed_by_failure,
    empty_log,
    transaction,
    unavailable,
    writing_connection,
)

Result = TypeVar("Result")
KEPT_DEFINITIONS = 100
KEPT_QUARANTINED = 10_000


class Unreadable(Struct, frozen=True, kw_only=True):
    """A row that cannot be read. record: of an imported membership, which has none, it is empty,
    and all of the key's that cannot be read are meant."""

    kind: Literal["profile", "event", "consent", "imported membership"]
    key: str
    record: bytes
    reason: str


class Writer:
    """Commits to one file.

    origin: what its announcements carry: positive, and below 0 where events were all that came to a
    profile. clock_ms: epoch milliseconds. aging_ms: now, by a clock that nobody can set; what is
    known of the erased gets old by it. After a failed transaction the next one opens the connection
    anew.
    """

    def __init__(
        self, path: Path, *, origin: int, max_events: int, clock_ms: Clock = system_clock_ms
    ) -> None:
        self._path = path
        self._origin = origin
        self._max_events = max_events
        self._clock_ms = self.aging_ms = clock_ms
        self._imports_announced = 0  # as sweep_notices was called last
        self._any_marks = False  # as far as is known, there are marks of erased events
        self._connection: apsw.Connection | None = self._opened()

    def commit(self, entries: Sequence[Entry], announce: bool) -> frozenset[str]:
        """Keep the entries; the keys in conflict. Raises StoreUnavailable: nothing was kept."""
        rows = [encoded(change) for change in changes_by_key(entries)]
        if self._appended(rows, announce):
            return frozenset()
        return self.in_transaction(lambda connection: self._keep_all(connection, rows, announce))

    def _appended(self, rows: list[EncodedChange], announce: bool) -> bool:
        """Whether all of it is kept, as one statement. Raises StoreUnavailable: nothing was."""
        connection = self._connection
        if connection is None or not rows:
            return False
        if not all(row.change.appends and not self._is_another(row.change.epoch) for row in rows):
            return False
        origin = -self._origin if announce else UNTOLD
        with unavailable(self._path):
            self._connection = None  # until it has proved itself again
            self._checked(connection)
            with closed_by_failure(connection):
                done = append(connection, rows, origin=origin, any_marks=self._any_marks)
            self._connection = self._checked(connection)
        return done

    def join(self, joining: Joining) -> Joined:
        """See Store. Raises StoreUnavailable: nothing was kept."""
        records = sqlite_links.encoded(joining)

        def join(connection: apsw.Connection) -> Joined:
            if self._is_another(joining.epoch):
                return NOT_JOINED
            if any(
                refused(_consent_of(connection, one)[0]) for one in (joining.source, joining.target)
            ):
                return NOT_JOINED
            if joining.by is not None and self._said_before(connection, joining, joining.by):
                return BARRED
            begins = not joining.target_version
            if begins and self._erased_since(connection, joining.target, joining.decided_ms):
                return NOT_JOINED
            joined = sqlite_links.join(connection, joining, records, max_events=self._max_events)
            if joined.kept:
                self._announce(connection, [joining.source, joining.target, *joined.links])
            return joined

        return self.in_transaction(join)

    def save_definitions(self, definitions: Definitions, saved_ms: int) -> int:
        record = definitions_record(definitions, saved_ms)

        def save(connection: apsw.Connection) -> int:
            version: int = connection.execute(
                "INSERT INTO definitions SELECT coalesce(max(version), 0) + 1, ? FROM definitions"
                " RETURNING version",
                (record,),
            ).get
            # The same once more: every erasure and every import announces itself so.
            connection.execute(
                "DELETE FROM definitions WHERE version <= ? OR version = ? AND record = ?",
                (version - KEPT_DEFINITIONS, version - 1, record),
            )
            self._announce(connection, [None])
            return version

        return self.in_transaction(save)

    def quarantine(self, rows: Sequence[Unreadable]) -> None:
        """Move rows that cannot be read out of the way, unless they were rewritten meanwhile."""

        def move(connection: apsw.Connection) -> None:
            for row in rows:
                _quarantine(connection, row)
            connection.execute(
                "DELETE FROM quarantine WHERE sequence <="
                " (SELECT max(sequence) FROM quarantine) - ?",
                (KEPT_QUARANTINED,),
            )

        self.in_transaction(move)

    def leave_to_parent(self) -> None:
        if self._connection is not None:
            never_closed(self._connection)
            self._connection = None

    def sweep_first_visits(self, retention: Retention, now_ms: int, at_most: int) -> int:
        """See Retaining."""

        def sweep(connection: apsw.Connection) -> int:
            before_ms = now_ms - retention.first_visit_ms
            return remove_first_visits(
                connection, before_ms=before_ms, now_ms=now_ms, at_most=at_most
            )

        return self.in_transaction(sweep)

    def sweep_notices(self, through: int) -> int:
        """See Retaining."""

        def sweep(connection: apsw.Connection) -> int:
            newest: int = connection.execute("SELECT coalesce(max(sequence), 0) FROM notice").get
            if 0 < newest <= through:
                # One has to follow, or nobody would see that those before it are missing.
                self._announce(connection, [None])
            connection.execute("DELETE FROM notice WHERE sequence <= ?", (through,))
            forget_marks(connection, self.aging_ms())
            self._any_marks = any_marks(connection)
            imports.forget_announcements(connection, self._imports_announced)
            self._imports_announced = imports.last_announced(connection)
            return newest

        newest = self.in_transaction(sweep)
        if self._connection is not None:
            with unavailable(self._path):
                empty_log(self._connection, self._path)
        return newest

    def remove_aged(self, aged: Aged, events_from_ms: int) -> int:
        """Remove what a look found, unless it was written meanwhile. Returns how many profiles."""

        def remove(connection: apsw.Connection) -> int:
            for key in aged.old_events:
                connection.execute(
                    "DELETE FROM event WHERE key = ? AND timestamp_ms < ?", (key, events_from_ms)
                )
            return sum(
                expire(connection, key, Expired(version, 0)) for key, version in aged.profiles
            )

        return self.in_transaction(remove)

    def keep_clock_mark(self, mark: ClockMark) -> None:
        row = (mark.boot, mark.running_ms, mark.clock_ms, mark.owed_ms)
        self.in_transaction(
            lambda connection: connection.execute(
                "REPLACE INTO retention_clock VALUES (1, ?, ?, ?, ?)", row
            )
        )

    def try_commit(self) -> None:
        """See SqliteStore."""

        def write(connection: apsw.Connection) -> None:
            # Its page is written also where it says the same.
            connection.pragma("user_version", connection.pragma("user_version"))

        self.in_transaction(write)

    def shrink(self) -> bool:
        """See Retaining."""
        return self.in_transaction(shrink)

    def close(self) -> None:
        """Checkpoint as far as other processes' readers and the disk let us, and close: what stays
        in the log is on disk there."""
        if self._connection is not None:
            with unavailable(self._path):
                if not self._same.replaced:
                    with suppress(apsw.FullError, apsw.IOError, apsw.ReadOnlyError):
                        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                self._same.close(self._connection)
            self._connection = None

    def in_transaction(self, work: Callable[[apsw.Connection], Result]) -> Result:
        """What the work gives, once all of it is on disk. Raises StoreUnavailable: nothing is."""
        with unavailable(self._path):
            connection = self._connection
            if connection is None:
                refuse_emptied(self._path)
                connection = self._opened()
            self._connection = None  # until it has proved itself again
            self._checked(connection)  # or what others wrote meanwhile may be overwritten
            with transaction(connection):
                refuse_newer(connection, self._path)
                outcome = work(connection)
            self._connection = self._checked(connection)
            return outcome

    def _opened(self) -> apsw.Connection:
        connection, self._same = opened_on(self._path, writing_connection)
        with unavailable(self._path):
            prepare(connection)
        self._epoch = epoch_of(connection)
        return connection

    def _checked(self, connection: apsw.Connection) -> apsw.Connection:
        """It, where somebody will read what was committed. Raises StoreUnavailable."""
        try:
            self._same.check()
        except StoreUnavailable:
            self._same.close(connection)
            raise
        return connection

    def _keep_all(
        self, connection: apsw.Connection, rows: list[EncodedChange], announce: bool
    ) -> frozenset[str]:
        newest = last_noted(connection)
        self._any_marks = any_marks(connection)
        appended: list[KeyChange] = []
        others: list[KeyChange] = []
        for appends, run in groupby(rows, key=lambda row: row.change.appends):
            if appends:
                appended += self._append(connection, list(run))
            else:
                others += [row.change for row in run if self._keep(connection, row)]
        # Together: others wait for this transaction.
        erased = [change.key for change in others if change.erased_ms is not None]
        forget_first_visits(connection, erased, through=newest)
        told = [change.key for change in others if announce or change.told_at_once]
        added = [change.key for change in appended] if announce else []
        if told or added:
            self._announce(connection, told, added)
        kept = {change.key for change in (*appended, *others)}
        return frozenset(row.change.key for row in rows if row.change.key not in kept)

    def _is_another(self, epoch: int) -> bool:
        return is_another(epoch, self._epoch)

    def _append(self, connection: apsw.Connection, rows: list[EncodedChange]) -> list[KeyChange]:
        """Keep what does no more than add events to profiles that are there; what was kept of it.
        Together: each call of SQLite by itself costs about as much as what it does."""
        assert all(row.change.appends for row in rows), "of anything else more is to be asked"
        rows = [row for row in rows if not self._is_another(row.change.epoch)]
        if any_erased(connection, min((row.change.dated_ms for row in rows), default=0)):
            rows = [row for row in rows if not self._erased_after(connection, row.change)]
        if again := sent_again(connection, (row.change.told for row in rows)):
            rows = [row for row in rows if row.change.key not in again]
        rows = swapped(connection, rows)
        keep_events(connection, rows)
        return [row.change for row in rows]

    def _keep(self, connection: apsw.Connection, row: EncodedChange) -> bool:
        """False: the stored version is another one, and nothing was kept."""
        change = row.change
        if self._is_another(change.epoch):
            return False
        if change.expired is not None and not expire(connection, change.key, change.expired):
            return False
        before, visit_ms = _stored_consent(connection, change)
        if change.yields_to(before):
            return False
        consent = consent_after(change, before)
        if change.begins and (refused(consent) or change.meets_return(before, visit_ms)):
            return False
        if self._erased_after(connection, change):
            return False
        if change.may_be_led and sqlite_links.led_to(connection, change.key):
            return False
        if change.erased_from is not None:
            led_to = sqlite_links.led_to(connection, change.key) or ""
            if led_to != change.erased_from:  # it is another one's by now
                return False
        if change.erased_ms is not None:
            mark_events(connection, change.key, self.aging_ms())
            mark_devices(connection, change.key)
        if change.told_by and sent_again(connection, [change.told]):
            return False
        if change.erased_ms is not None:
            self._mark_erased(connection, change.key, change.erased_ms)
            forget_erased(connection, min(change.erased_ms, self.aging_ms()))
            self._unlink(connection, change.key, change.erased_ms)
        if change.forgotten:
            for table in TABLES_BY_KEY:
                connection.execute(f"DELETE FROM {table} WHERE key = ?", (change.key,))
        if row.profile is not None and not swapped(connection, [row]):
            return False
        keep_events(connection, [row])
        if consent is not None and (consent is not before or change.forgotten or change.returned):
            record = consent_record(consent, change.first_visit_ms)
            connection.execute("REPLACE INTO consent VALUES (?, ?)", (change.key, record))
            if change.profile is None:
                note_return(connection, change.key, change.first_visit_ms)
        if change.first_visit_ms and (change.begins or change.profile is None):
            note_first_visit(connection, change.key, change.first_visit_ms)
        return True

    def _erased_after(self, connection: apsw.Connection, change: KeyChange) -> bool:
        return change.may_be_erased and self._erased_since(connection, change.key, change.dated_ms)

    def _erased_since(self, connection: apsw.Connection, key: str, dated_ms: int) -> bool:
        """Whether the profile was erased after this was: it must not come back by it."""
        erased_ms: int | None = connection.execute(
            "SELECT erased_ms FROM erased WHERE mark = ?", (erasure_mark(key),)
        ).get
        return erased_ms is not None and erased_since(
            erased_ms, dated_ms=dated_ms, now_ms=self._clock_ms()
        )

    def _said_before(self, connection: apsw.Connection, joining: Joining, by: Event) -> bool:
        """Whether an event that says whose two are was erased with one of them, or is of before."""
        both = (joining.source, joining.target)
        return bool(sent_again(connection, ((key, (key,), (by,)) for key in both))) or any(
            self._erased_since(connection, key, joining.dated_ms) for key in both
        )

    def _mark_erased(self, connection: apsw.Connection, key: str, erased_ms: int) -> None:
        rows = [(erasure_mark(key), erased_ms)]
        aging_ms = self.aging_ms()
        if abs(self._clock_ms() - aging_ms) > APART_MS:
            rows.append((aging_mark(key), aging_ms))
        connection.executemany("REPLACE INTO erased VALUES (?, ?)", rows)

    def _unlink(self, connection: apsw.Connection, key: str, erased_ms: int) -> None:
        """Whose profile this was begins anew under its own key; what is under way of it does not
        come back under that, either."""
        rows = connection.execute("DELETE FROM link WHERE canonical = ? RETURNING key", (key,))
        if unlinked := [row[0] for row in cast(list[tuple[str]], rows.fetchall())]:
            for one in unlinked:
                self._mark_erased(connection, one, erased_ms)
            self._announce(connection, unlinked)

    def _announce(
        self,
        connection: apsw.Connection,
        keys: Sequence[str | None],
        appended: Sequence[str] = (),
    ) -> None:
        """appended: keys of profiles that got events, and nothing else changed."""
        # An older Perso takes the second for somebody else's, and reads the profile anew.
        for origin, named in ((self._origin, keys), (-self._origin, appended)):
            connection.execute(
                "INSERT INTO notice (origin, key) SELECT ?, value FROM json_each(?)",
                (origin, msgspec.json.encode(named).decode()),
            )
        connection.execute(
            "DELETE FROM notice WHERE sequence <= (SELECT max(sequence) FROM notice) - ?",
            (KEPT_NOTICES,),
        )


def _stored_consent(connection: apsw.Connection, change: KeyChange) -> tuple[Consent | None, int]:
    """With its first_visit_ms. Where the change asks for it; it costs a search of the table."""
    says = change.words is not NO_WORDS
    if not change.begins and not says and not change.returned:
        return None, 0
    return _consent_of(connection, change.key)


def _consent_of(connection: apsw.Connection, key: str) -> tuple[Consent | None, int]:
    record: bytes | None = connection.execute(
        "SELECT record FROM consent WHERE key = ?", (key,)
    ).get
    try:
        return consent_and_visit_from(record) if record is not None else (None, 0)
    except UnreadableRecord:
        return REFUSED, 0


# Consent that cannot be read might be a refusal: it stays one until the visitor chooses again.
REFUSED = Consent("out", 0)


def _quarantine(connection: apsw.Connection, row: Unreadable) -> None:
    if row.kind == "imported membership":
        imports.set_aside(connection, row.key)
        return
    if row.kind == "consent":
        connection.execute(
            "UPDATE consent SET record = ? WHERE key = ? AND record IS ?",
            (consent_record(REFUSED), row.key, row.record),
        )
    else:
        connection.execute(
            f"DELETE FROM {row.kind} WHERE key = ? AND record IS ?", (row.key, row.record)
        )
    if connection.changes() == 0:  # rewritten meanwhile
        return
    connection.execute(
        # A value of another kind as what it is written by: an export tells bytes.
        "INSERT INTO quarantine (kind, key, record, reason)"
        " VALUES (?, ?, coalesce(CAST(? AS BLOB), x''), ?)",
        (row.kind, row.key, row.record, row.reason),
    )
    if row.kind == "profile":
        # Its events would come back into the profile that now begins anew.
        connection.execute(
            "INSERT INTO quarantine (kind, key, record, reason)"
            " SELECT 'event', key, record, 'its profile cannot be read' FROM event WHERE key = ?",
            (row.key,),
        )
        connection.execute("DELETE FROM event WHERE key = ?", (row.key,))
