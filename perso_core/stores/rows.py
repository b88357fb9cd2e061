"""What a row of the SQLite file holds, held against what leads to it. Pure."""

from __future__ import annotations

from perso_core.decision.event import Event
from perso_core.decision.kept_events import Events, ReadEvent
from perso_core.decision.profile import Profile
from perso_core.decision.projection import Projection
from perso_core.errors import DamagedStore, MisplacedRecord, UnreadableRecord
from perso_core.stores.record import event_from_record, profile_and_visit_from, read_event
from perso_core.stores.sqlite_file import RESTORE


def profile_of_row(
    key: str, version: int, record: bytes, events: Events = ()
) -> tuple[Profile, int]:
    """The profile, and its first_visit_ms. Raises DamagedStore, UnreadableRecord."""
    if type(key) is not str:  # one bit makes bytes of text
        raise another_ones("a profile's key is none.")
    if type(version) is not int:
        raise DamagedStore("what has to be a profile's version is none.", fix=RESTORE)
    try:
        return profile_and_visit_from(key, version, record, events)
    except MisplacedRecord as error:
        raise another_ones(error.detail) from None


def event_of_row(event_id: str, timestamp_ms: int, record: bytes) -> Event:
    """event_id: by which the index leads there. Raises DamagedStore, UnreadableRecord."""
    event = event_from_record(record)
    _refuse_another(event, event_id, timestamp_ms)
    return event


def read_event_of_row(
    event_id: str, timestamp_ms: int, record: bytes, projection: Projection
) -> ReadEvent:
    """The same, with what the projection keeps of it."""
    event = read_event(record, projection)
    _refuse_another(event, event_id, timestamp_ms)
    return event


def _refuse_another(event: Event | ReadEvent, event_id: str, timestamp_ms: int) -> None:
    if event.id != event_id:
        raise another_ones("another event.")
    if event.timestamp_ms != timestamp_ms:
        raise UnreadableRecord("its instant differs.", fix=RESTORE)


def another_ones(which: str) -> DamagedStore:
    """A record to which the way is damaged is not set aside: it may be another profile's."""
    return DamagedStore(f"an index leads to a row that is not the one: {which}", fix=RESTORE)
