"""Two processes on one file, step by step: what one keeps the other hears of, or not yet."""

from __future__ import annotations

from pathlib import Path

from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.engine import Engine, Interaction, NeedProfile
from perso_core.engine.erased import Erased
from perso_core.engine.hot_profiles import Hot
from perso_core.engine.journal import Change
from perso_core.stores.protocol import News, Stored
from perso_core.stores.sqlite_reader import Reader
from perso_core.stores.sqlite_writer import Writer

ROOM = 1_000


class Process:
    """origin: a number of its own. unparked: how many profiles lie ready. loads: how often a
    profile was read as a whole."""

    def __init__(
        self, path: Path, snapshot: Snapshot, *, origin: int, unparked: int = 10_000
    ) -> None:
        self.engine = Engine(snapshot, unparked_profiles=unparked)
        self._writer = Writer(path, origin=origin, max_events=ROOM)
        self._reader = Reader(path, origin=origin)
        self.loads = 0

    def decide(self, key: str, *changes: Change, now_ms: int) -> None:
        """As a request does, with all that it waits for."""
        asked = Interaction(profile_key=key, datastream_id="demo", changes=changes)
        while isinstance(answer := self.engine.decide(asked, now_ms=now_ms), NeedProfile):
            if answer.behind:
                self.engine.forget_appended(key)
                self._renew(key, now_ms, whole=answer.whole)
            else:
                stored = self.load(key)
                self.engine.admit(
                    key,
                    stored.profile,
                    stored.consent,
                    now_ms=now_ms,
                    first_visit_ms=stored.first_visit_ms,
                )
        self.commit(now_ms=now_ms)

    def commit(self, *, now_ms: int) -> None:
        while waiting := self.engine.pending(100):
            conflicts = self._writer.commit(waiting, True)
            self.engine.kept([one.sequence for one in waiting if one.key not in conflicts])
            if conflicts:
                self.hear(now_ms=now_ms)
            for key in conflicts:
                if not self.engine.overtaken(key, now_ms=now_ms):
                    self._renew(key, now_ms)

    def hear(self, *, now_ms: int) -> News:
        """As worker/refresh does."""
        news = self._reader.news(self.engine.holds)
        for key in news.keys - news.appended.keys():
            self._renew(key, now_ms)
        for key, appended in news.appended.items():
            self.engine.appended(key, appended)
        for key in self.engine.lagging():
            self._renew(key, now_ms)
        return news

    def serve_others(self, *, now_ms: int) -> None:
        """So many that those who came before are parked where one profile lies ready."""
        for number in (1, 2, 3) * 2:
            key = f"ECID:{number}"
            self.engine.admit(key, None, None, now_ms=now_ms)
            self.engine.lookup(key, "demo", now_ms=now_ms)

    def load(self, key: str) -> Stored:
        self.loads += 1
        return self._reader.load(key).stored

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def _renew(self, key: str, now_ms: int, *, whole: bool = False) -> None:
        stored = self.load(key)
        self.engine.renew(
            key,
            stored.profile,
            stored.consent,
            now_ms=now_ms,
            erased=Erased(stored.erased_ms, stored.erased_events),
            first_visit_ms=stored.first_visit_ms,
            whole=whole,
        )


def loaded_anew(process: Process, key: str, snapshot: Snapshot, *, now_ms: int) -> Hot:
    """The profile in an engine that has just started."""
    stored = process.load(key)
    engine = Engine(snapshot)
    engine.admit(
        key,
        stored.profile,
        stored.consent,
        now_ms=now_ms,
        first_visit_ms=stored.first_visit_ms,
    )
    hot = engine.held(key)
    assert hot is not None
    return hot
