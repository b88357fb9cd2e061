"""SQLite beside a model of three dicts: whatever is done, both hold the same."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import structs

from perso_core.decision.consent import Choice, Consent
from perso_core.decision.event import Event
from perso_core.decision.profile import Profile
from perso_core.engine.journal import ConsentChosen, Entry, Forgotten
from perso_core.stores.sqlite import SqliteStore, open_sqlite
from tests.building import NOON_MS, event
from tests.stores.building import arrived, chose, forgot

KEYS = ["ECID:1", "ECID:2", "ECID:3"]
keys = st.sampled_from(KEYS)
# Few ids and instants: the same come again and again.
events = st.builds(
    lambda id, later_ms, text: event(event_id=id, at_ms=NOON_MS + later_ms, text=text),
    st.sampled_from("abcd"),
    st.integers(0, 2),
    st.text(max_size=3),
)
# What may be done to one key in a batch; None: attributes are patched.
acts = st.lists(
    st.tuples(keys, st.none() | events | st.sampled_from(["in", "out", "forget"])), max_size=6
)


class StoreBesideModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.profiles: dict[str, Profile] = {}
        self.events: dict[str, dict[str, Event]] = {}
        self.erased: dict[str, set[str]] = {}
        self.consents: dict[str, Consent] = {}

    def run(self, awaited: Any) -> Any:
        return self.loop.run_until_complete(awaited)

    @initialize()
    def opened(self) -> None:
        self.store: SqliteStore = self.run(open_sqlite(Path(self.directory.name) / "perso.sqlite"))

    @rule(acts=acts, stale=st.sets(keys, max_size=1), announce=st.booleans())
    def committed(self, acts: list[tuple[str, Any]], stale: set[str], announce: bool) -> None:
        versions = {key: self.version(key) + (5 if key in stale else 0) for key in KEYS}
        entries = []
        for key, act in acts:
            entry = _entry(key, act, versions[key])
            versions[key] = entry.profile.version if entry.profile else versions[key]
            if _erases(entry):
                versions[key] = 0
            entries.append(entry)

        result = self.run(self.store.commit(entries, announce=announce))

        for key in KEYS:
            of_key = [entry for entry in entries if entry.key == key]
            conflict = self.conflicts(key, of_key) or self.sent_again(key, of_key)
            assert (key in result.conflicts) == conflict
            if not conflict:
                for entry in of_key:
                    self.keep(entry)
                self.keep_events(key, of_key)

    @rule()
    def closed_and_opened_again(self) -> None:
        self.run(self.store.close())
        self.opened()

    @invariant()
    def store_and_model_hold_the_same(self) -> None:
        for key in KEYS:
            stored = self.run(self.store.load(key))
            profile = self.profiles.get(key)
            if profile:
                of_key = self.events.get(key, {}).values()
                in_order = sorted(of_key, key=lambda one: one.timestamp_ms)
                profile = structs.replace(profile, events=tuple(in_order))
            assert stored.profile == profile
            assert stored.consent == self.consents.get(key)

    def version(self, key: str) -> int:
        return self.profiles[key].version if key in self.profiles else 0

    def conflicts(self, key: str, of_key: list[Entry]) -> bool:
        """Decided on another version than the one there is, or a beginning against a refusal."""
        consent, version = self.consents.get(key), self.version(key)
        base: int | None = None
        for entry in of_key:
            if _erases(entry):
                consent, version, base = None, 0, None
            if isinstance(entry.change, ConsentChosen):
                consent = entry.consent
            if entry.profile and base is None:
                base = entry.base_version
        refuses = consent is not None and consent.general == "out"
        return base is not None and (base != version or (base == 0 and refuses))

    def sent_again(self, key: str, of_key: list[Entry]) -> bool:
        """Whether the batch has an event that was erased, be it by this very batch."""
        last = max((at for at, entry in enumerate(of_key) if _erases(entry)), default=0)
        erased = self.erased.setdefault(key, set())
        if of_key and isinstance(of_key[last].change, Forgotten):
            erased.update(self.events.get(key, {}))
        return any(entry.event.id in erased for entry in of_key[last:] if entry.event)

    def keep(self, entry: Entry) -> None:
        if _erases(entry):
            for kept in (self.profiles, self.events, self.consents):
                kept.pop(entry.key, None)
        if entry.profile:
            self.profiles[entry.key] = entry.profile
        if isinstance(entry.change, ConsentChosen) and entry.consent:
            self.consents[entry.key] = entry.consent

    def keep_events(self, key: str, of_key: list[Entry]) -> None:
        """Those that the batch did not erase again. One of another time than the one of its id that
        is there comes after all that are there."""
        last = max((at for at, entry in enumerate(of_key) if _erases(entry)), default=0)
        arrived = {entry.event.id: entry.event for entry in of_key[last:] if entry.event}
        kept = self.events.setdefault(key, {})
        for one in arrived.values():
            if one.id in kept and kept[one.id].timestamp_ms != one.timestamp_ms:
                del kept[one.id]
            kept[one.id] = one

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
        self.loop.close()
        self.directory.cleanup()


def _erases(entry: Entry) -> bool:
    refuses = isinstance(entry.change, ConsentChosen) and entry.change.general == "out"
    return refuses or isinstance(entry.change, Forgotten)


def _entry(key: str, act: Event | Choice | str | None, base: int) -> Entry:
    if act == "forget":
        return forgot(key, base=base)
    if act == "in" or act == "out":
        return chose(act, key, base=base)  # type: ignore[arg-type]  # mypy narrows no `or`
    assert not isinstance(act, str)
    return arrived(act, key, base=base)


TestStoreBesideModel = StoreBesideModel.TestCase
TestStoreBesideModel.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
