"""Reading what is stored beside the servers that write it: nobody is waited for, and nothing
written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perso_core.decision.identity import Identity, server_key
from perso_core.decision.profile import Profile
from perso_core.decision.qualification import resumed
from perso_core.decision.retention import Retention, expires_ms, what_stays
from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.keeping import retention_of
from perso_core.settings import Settings
from perso_core.stores.compiled_file import CompiledFile
from perso_core.stores.protocol import Stored, StoredDefinitions
from perso_core.stores.sqlite_reader import Reader

# In the data directory.
DATABASE = "perso.sqlite"
KEYS = "cookie-keys.json"


def kept_definitions(settings: Settings) -> StoredDefinitions | None:
    """What was applied last; None: nothing. Reads beside whoever writes, as kept_profile does.
    Raises StoreUnavailable, StoreTooNew, UnreadableRecord."""
    with _reading(settings) as reader:
        return reader.definitions()


def kept_profile(
    identity: Identity,
    stored: StoredDefinitions,
    settings: Settings,
    *,
    now_ms: int,
    datastream_id: str | None = None,
) -> Profile | None:
    """What is kept of an identity, or of the person that it is part of, as of now under these
    definitions; None: nothing. datastream_id: as that one's servers know it; None: what the
    operator wrote, and of an ECID the device.

    Reads the file without a writer's lock and writes nothing: a server on it is not disturbed,
    nor waited for. Raises StoreUnavailable, StoreTooNew.
    """
    with _reading(settings) as reader:
        kept = _stored(reader, _key(identity, stored.definitions, datastream_id))
    profile = kept.profile
    if profile is None:
        return None
    snapshot = _snapshot(stored, settings)
    if now_ms >= expires_ms(profile, kept.first_visit_ms, _retention(snapshot, settings)):
        profile = what_stays(profile)  # as a server answers
    return resumed(profile, snapshot, now_ms=now_ms).profile if profile else None


def datastreams_of(
    identity: Identity, stored: StoredDefinitions, settings: Settings, *, now_ms: int
) -> list[str]:
    """Those on which kept_profile finds something of it; of an ECID none. Raises as that does."""
    if identity.namespace == "ECID":
        return []
    with _reading(settings) as reader:
        found = [
            (one.id, _stored(reader, _key(identity, stored.definitions, one.id)))
            for one in stored.definitions.datastreams
        ]
    if all(kept.profile is None for _, kept in found):
        return []
    retention = _retention(_snapshot(stored, settings), settings)
    return [
        datastream_id
        for datastream_id, kept in found
        if what_stays(kept.profile)
        or (
            kept.profile is not None
            and now_ms < expires_ms(kept.profile, kept.first_visit_ms, retention)
        )
    ]


def _snapshot(stored: StoredDefinitions, settings: Settings) -> Snapshot:
    return compiled_file(settings).snapshot(
        stored.definitions,
        event_window_ms=event_window_ms(settings),
        in_force_ms=stored.saved_ms,
        tolerant=True,
    )


def _retention(snapshot: Snapshot, settings: Settings) -> Retention:
    return retention_of(snapshot, settings.first_visit_retention_s * 1_000)


def _key(identity: Identity, definitions: Definitions, datastream_id: str | None) -> str:
    if datastream_id is None or identity.namespace == "ECID":
        return identity.profile_key
    return server_key(identity, org=definitions.org, datastream_id=datastream_id)


def _stored(reader: Reader, key: str) -> Stored:
    """Of the key that this one leads to."""
    return reader.load(reader.leading([key]).get(key, key)).stored


@contextmanager
def _reading(settings: Settings) -> Iterator[Reader]:
    path = Path(settings.data_dir) / DATABASE
    reader = Reader(path, origin=0)
    try:
        yield reader
    finally:
        reader.close()


def event_window_ms(settings: Settings) -> int:
    """How long an event counts for an audience that does not say."""
    return settings.event_window_days * 24 * 60 * 60 * 1000


def compiled_file(settings: Settings) -> CompiledFile:
    return CompiledFile(Path(settings.data_dir), enabled=settings.keep_compiled == 1)
