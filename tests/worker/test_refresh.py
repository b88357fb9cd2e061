"""Refresh: what another process saved is in force here, within an interval, and never by halves."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from perso_core.decision.profile import Profile
from perso_core.decision.projection import Projection
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.engine.engine import Interaction
from perso_core.engine.journal import ConsentChosen
from perso_core.errors import RuleFaults, StoreUnavailable, UnreadableRecord
from perso_core.stores.imports import Batch
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.stores.protocol import Held, News, Store, Stored, held_by_nobody
from perso_core.stores.sqlite import SqliteStore, open_sqlite
from perso_core.stores.sqlite_backup import copy_store, put_back
from perso_core.worker.hearing import Hearing
from perso_core.worker.refresh import Refresh, heard_by_nobody, told_to_nobody
from tests.building import NOON_MS, definitions
from tests.stores.building import arrived, chose
from tests.worker.stack import ANNA, BERT, Stack, WatchedStore, broken, running, settled

BEFORE = definitions()
AFTER = definitions({"gold": 'loyalty.tier.equals("gold", false)'})
BROKEN = definitions({"gold": "loyalty.tier.equals("})


def refresh_of(
    stack: Stack,
    interval_ms: int = 10,
    tell: Callable[[int], None] = told_to_nobody,
    heard: Callable[[str | None], None] = heard_by_nobody,
    hearing: Hearing | None = None,
    compiled: Callable[..., Snapshot] = compile_snapshot,
) -> Refresh:
    return Refresh(
        stack.engine,
        stack.store,
        clock_ms=lambda: NOON_MS,
        interval_ms=interval_ms,
        tell=tell,
        heard=heard,
        hearing=hearing,
        compiled=compiled,
        on_problem=stack.problems.append,
    )


@asynccontextmanager
async def refreshed(store: Store) -> AsyncIterator[Stack]:
    """A stack with its refresh running."""
    async with running(store) as stack:
        refresh = refresh_of(stack)
        refresh.start()
        try:
            yield stack
        finally:
            await refresh.close()


async def until(holds: Callable[[], bool], *, within_s: float = 5) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.005)


LATER_MS = NOON_MS + 86_400_000


def imported(*keys: str, now_ms: int = NOON_MS) -> Batch:
    rows = [(key, "risk", LATER_MS) for key in keys]
    return Batch(rows=rows, now_ms=now_ms, began_ms=now_ms)


class SlowReader(WatchedStore):
    """Holds what it has read until `arrives`, where there is one: for one load."""

    arrives: asyncio.Event | None = None

    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        stored = await super().load(key, projection)
        arrives, self.arrives = self.arrives, None
        if arrives:
            await arrives.wait()
        return stored


@pytest.fixture
def database() -> MemoryDatabase:
    return MemoryDatabase()


# ---- definitions ------------------------------------------------------------------------------


async def test_definitions_saved_by_another_process_come_into_force(tmp_path: Path) -> None:
    path = tmp_path / "perso.sqlite"
    ours, theirs = await open_sqlite(path), await open_sqlite(path)
    async with refreshed(ours) as stack:
        await theirs.save_definitions(AFTER)

        await until(lambda: stack.engine.snapshot.definitions == AFTER)
    await ours.close()
    await theirs.close()


async def test_definitions_saved_before_the_start_come_into_force(database: MemoryDatabase) -> None:
    await MemoryStore(database).save_definitions(AFTER)

    async with running(MemoryStore(database)) as stack:
        await refresh_of(stack).poll()

        assert stack.engine.snapshot.definitions == AFTER


async def test_definitions_already_in_force_are_not_compiled_again(
    database: MemoryDatabase,
) -> None:
    await MemoryStore(database).save_definitions(BEFORE)
    async with running(MemoryStore(database)) as stack:
        before = stack.engine.snapshot

        await refresh_of(stack).poll()

        assert stack.engine.snapshot is before


async def test_definitions_that_do_not_compile_leave_the_old_ones_in_force_and_are_told_once(
    database: MemoryDatabase,
) -> None:
    theirs = MemoryStore(database)
    async with running(MemoryStore(database)) as stack:
        refresh = refresh_of(stack)
        before = stack.engine.snapshot
        await theirs.save_definitions(BROKEN)

        with pytest.raises(RuleFaults):
            await refresh.poll()
        await refresh.poll()
        assert stack.engine.snapshot is before

        await theirs.save_definitions(AFTER)
        await refresh.poll()
        assert stack.engine.snapshot.definitions == AFTER


async def test_a_problem_is_told_and_the_refresh_goes_on(database: MemoryDatabase) -> None:
    theirs = MemoryStore(database)
    async with refreshed(MemoryStore(database)) as stack:
        await theirs.save_definitions(BROKEN)
        await until(lambda: bool(stack.problems))
        assert isinstance(stack.problems[0], RuleFaults)

        await theirs.save_definitions(AFTER)
        await until(lambda: stack.engine.snapshot.definitions == AFTER)


@pytest.mark.parametrize(
    ("fault", "tries_again"),
    [(broken(), True), (UnreadableRecord("x", fix="y"), False)],
    ids=["unavailable", "unreadable"],
)
async def test_definitions_that_could_not_be_read_are_tried_again_where_that_may_help(
    database: MemoryDatabase, fault: Exception, tries_again: bool
) -> None:
    store = WatchedStore(MemoryStore(database))
    await MemoryStore(database).save_definitions(AFTER)
    async with running(store) as stack:
        refresh = refresh_of(stack)
        store.failing = fault
        with pytest.raises(type(fault)):
            await refresh.poll()
        store.failing = None

        await refresh.poll()

        assert (stack.engine.snapshot.definitions == AFTER) is tries_again


async def test_definitions_put_in_force_here_meanwhile_are_not_overwritten_by_older_ones(
    database: MemoryDatabase,
) -> None:
    theirs = MemoryStore(database)
    newest = definitions(default_consent="out")
    async with running(MemoryStore(database)) as stack:
        older = await theirs.save_definitions(AFTER)

        def compile_while_we_apply(*args: object, **options: object) -> Snapshot:
            refresh.put_in_force(older + 1, compile_snapshot(newest))
            return compile_snapshot(AFTER)

        refresh = refresh_of(stack, compiled=compile_while_we_apply)
        await refresh.poll()
        assert stack.engine.snapshot.definitions == newest

        await theirs.save_definitions(newest)
        await refresh.poll()
        assert stack.engine.snapshot.definitions == newest


async def test_what_we_apply_does_not_overwrite_what_another_process_saved_after_it(
    database: MemoryDatabase,
) -> None:
    store = MemoryStore(database)
    async with running(store) as stack:
        refresh = refresh_of(stack)
        ours = await store.save_definitions(BEFORE)
        await MemoryStore(database).save_definitions(AFTER)
        await refresh.poll()

        refresh.put_in_force(ours, compile_snapshot(BEFORE))

        assert stack.engine.snapshot.definitions == AFTER


async def test_a_version_is_told_once_and_only_when_it_is_in_force(
    database: MemoryDatabase,
) -> None:
    theirs = MemoryStore(database)
    told: list[tuple[int, bool]] = []
    async with running(MemoryStore(database)) as stack:

        def tell(version: int) -> None:
            told.append((version, stack.engine.snapshot.definitions == AFTER))

        refresh = refresh_of(stack, tell=tell)
        await refresh.poll()
        await theirs.save_definitions(AFTER)
        await refresh.poll()
        await refresh.poll()

    assert told == [(0, False), (1, True)]


async def test_a_version_with_the_same_content_is_told_too(database: MemoryDatabase) -> None:
    theirs = MemoryStore(database)
    told: list[int] = []
    async with running(MemoryStore(database)) as stack:
        refresh = refresh_of(stack, tell=told.append)
        await theirs.save_definitions(BEFORE)
        await refresh.poll()
        await theirs.save_definitions(BEFORE)
        await refresh.poll()

    assert told == [1, 2]


async def test_definitions_that_do_not_compile_are_not_told_as_in_force(
    database: MemoryDatabase,
) -> None:
    told: list[int] = []
    async with running(MemoryStore(database)) as stack:
        refresh = refresh_of(stack, tell=told.append)
        await MemoryStore(database).save_definitions(BROKEN)
        with pytest.raises(RuleFaults):
            await refresh.poll()
        await refresh.poll()

    assert told == [0]


async def test_a_version_that_could_not_be_told_is_told_again(database: MemoryDatabase) -> None:
    answers: list[Exception | None] = [broken(), None]
    told: list[int] = []

    def tell(version: int) -> None:
        told.append(version)
        problem = answers.pop(0)
        if problem:
            raise problem

    async with running(MemoryStore(database)) as stack:
        refresh = refresh_of(stack, tell=tell)
        with pytest.raises(StoreUnavailable):
            await refresh.poll()
        await refresh.poll()

    assert told == [0, 0]


async def test_a_process_hears_of_revocations_also_where_its_version_cannot_be_told() -> None:
    """As on a full disk: it had answered nobody any more, a minute later."""
    now_s = 0.0
    hearing = Hearing(lambda: now_s)

    def tell(_: int) -> None:
        raise broken()

    async with running(MemoryStore(), hearing=hearing) as stack:
        refresh = refresh_of(stack, tell=tell, hearing=hearing)
        await stack.begin_visit(ANNA)
        now_s = 60.1
        with pytest.raises(StoreUnavailable):
            await refresh.poll()
        asked = Interaction(profile_key=ANNA, datastream_id="demo")

        assert (await stack.admission.decided(asked)).known


# ---- profiles -----------------------------------------------------------------------------------


async def test_profiles_written_by_another_process_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "perso.sqlite"
    our_store, their_store = await open_sqlite(path), await open_sqlite(path)
    async with refreshed(our_store) as ours, running(their_store, announce=True) as theirs:
        for key in (ANNA, BERT):
            asked = Interaction(profile_key=key, datastream_id="demo")
            assert not (await ours.admission.decided(asked)).known

        await asyncio.gather(theirs.begin_visit(ANNA), theirs.begin_visit(BERT))

        for key in (ANNA, BERT):
            await until(lambda key=key: ours.engine.profile(key, now_ms=NOON_MS) is not None)  # type: ignore[misc]  # a default binds the key
    await our_store.close()
    await their_store.close()


async def test_our_own_commit_is_not_hidden_by_what_was_read_before_it(
    database: MemoryDatabase,
) -> None:
    store = SlowReader(MemoryStore(database))
    async with running(store) as ours, running(MemoryStore(database), announce=True) as theirs:
        refresh = refresh_of(ours)
        await ours.begin_visit(ANNA, event_id="ours-1")
        await theirs.begin_visit(ANNA, event_id="theirs")
        arrives = store.arrives = asyncio.Event()
        polling = asyncio.create_task(refresh.poll())
        await settled()  # Anna was read, and the answer is on its way
        ours_again = ours.begin_visit(ANNA, event_id="ours-2")
        await settled()
        arrives.set()
        await asyncio.gather(polling, ours_again)

        profile = ours.engine.profile(ANNA, now_ms=NOON_MS)
        ids = {event.id for event in profile.events}  # type: ignore[union-attr]  # hot
        assert ids == {"ours-1", "theirs", "ours-2"}


class WrittenWhileRead(WatchedStore):
    """Whenever one task reads a profile, its process commits one more event of it meanwhile."""

    ours: Stack
    task: asyncio.Task[None] | None = None

    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        stored = await super().load(key, projection)
        assert len(self.loads) < 200, "it is read again and again"
        if asyncio.current_task() is self.task:
            await self.ours.begin_visit(key, event_id=f"ours-{len(self.loads)}")
        return stored


async def test_a_profile_that_is_written_all_the_time_keeps_nobody_from_hearing(
    database: MemoryDatabase,
) -> None:
    """A customer of thousands of events takes longer to be read than to be written again: nothing
    that others wrote, nor revoked, had been heard of any more, of anybody."""
    store = WrittenWhileRead(MemoryStore(database))
    told: list[int] = []
    async with running(store) as ours, running(MemoryStore(database), announce=True) as theirs:
        refresh = refresh_of(ours, tell=told.append)
        await ours.begin_visit(ANNA)
        await ours.begin_visit(BERT)
        await theirs.begin_visit(ANNA, event_id="theirs")
        await theirs.store.commit([chose("out", BERT)], announce=True)
        await theirs.store.save_definitions(AFTER)
        store.ours = ours
        store.task = asyncio.create_task(refresh.poll())
        await store.task

        assert told == [1]
        assert ours.engine.profile(BERT, now_ms=NOON_MS) is None
        # Nobody is answered by what is here of her before it is read.
        asked = Interaction(profile_key=ANNA, datastream_id="demo")
        assert (await ours.admission.decided(asked)).known
        assert "theirs" in await ours.event_ids()


async def test_who_was_overtaken_by_an_event_takes_that_over_and_reads_nothing_else(
    tmp_path: Path,
) -> None:
    path = tmp_path / "perso.sqlite"
    our_store, their_store = await open_sqlite(path), await open_sqlite(path)
    watched = WatchedStore(our_store)
    async with (
        running(watched, announce=True) as ours,
        running(their_store, announce=True) as theirs,
    ):
        ours.drain.hear_by(refresh_of(ours).hear)
        await ours.begin_visit(ANNA)
        await theirs.begin_visit(ANNA, event_id="theirs")
        watched.loads.clear()

        await ours.begin_visit(ANNA, event_id="ours")

        assert watched.loads == []
        assert await ours.event_ids() == {"e1", "theirs", "ours"}
    await our_store.close()
    await their_store.close()


async def test_what_is_heard_of_a_profile_while_it_is_read_again_is_due_once_more(
    database: MemoryDatabase,
) -> None:
    """By the drain, which hears as well once others were faster."""
    store = SlowReader(MemoryStore(database))
    async with running(store) as ours, running(MemoryStore(database), announce=True) as theirs:
        refresh = refresh_of(ours)
        await ours.begin_visit(ANNA)
        await theirs.begin_visit(ANNA, event_id="theirs")
        arrives = store.arrives = asyncio.Event()
        polling = asyncio.create_task(refresh.poll())
        await settled()  # Anna was read, and the answer is on its way
        await theirs.store.commit([chose("out", ANNA)])
        await refresh.hear()
        arrives.set()
        await polling

        assert ours.engine.profile(ANNA, now_ms=NOON_MS) is None


async def test_a_refusal_that_comes_while_a_profile_is_loaded_is_in_force_once_it_is_there(
    database: MemoryDatabase,
) -> None:
    """Read before, written by another process, heard of, and only then taken into memory."""
    store = SlowReader(MemoryStore(database))
    async with running(store) as ours, running(MemoryStore(database)) as theirs:
        await theirs.begin_visit(ANNA)
        arrives = store.arrives = asyncio.Event()
        asked = Interaction(profile_key=ANNA, datastream_id="demo")
        loading = asyncio.create_task(ours.admission.decided(asked))
        await settled()
        refuse = Interaction(
            profile_key=ANNA, datastream_id="demo", changes=(ConsentChosen("out"),)
        )
        await theirs.drain.durable((await theirs.admission.decided(refuse)).sequence)
        await refresh_of(ours, heard=ours.admission.heard).poll()
        arrives.set()

        assert not (await loading).permitted
        assert not (await ours.admission.decided(asked)).permitted


async def test_a_profile_that_nobody_asked_for_is_not_read(database: MemoryDatabase) -> None:
    store = WatchedStore(MemoryStore(database))
    async with running(store) as ours, running(MemoryStore(database), announce=True) as theirs:
        await theirs.begin_visit(ANNA)

        await refresh_of(ours).poll()

        assert store.loads == []


async def test_a_profile_that_could_not_be_read_again_stays_due(database: MemoryDatabase) -> None:
    store = WatchedStore(MemoryStore(database))
    async with running(store) as ours, running(MemoryStore(database), announce=True) as theirs:
        refresh = refresh_of(ours)
        await refresh.poll()
        await ours.admission.decided(Interaction(profile_key=ANNA, datastream_id="demo"))
        await theirs.begin_visit(ANNA)
        store.failing = broken()
        with pytest.raises(StoreUnavailable):
            await refresh.poll()
        store.failing = None

        await refresh.poll()

        assert ours.engine.profile(ANNA, now_ms=NOON_MS) is not None


async def test_whoever_missed_announcements_reads_anew_what_it_holds() -> None:
    database = MemoryDatabase()
    heard: list[str | None] = []
    async with running(MemoryStore(database)) as ours, running(MemoryStore(database)) as theirs:
        refresh = refresh_of(ours, heard=heard.append)
        await refresh.poll()
        await ours.begin_visit(ANNA)
        await theirs.begin_visit(ANNA, event_id="theirs")  # not announced

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(ours.store, "news", missed)
            await refresh.poll()

        profile = ours.engine.profile(ANNA, now_ms=NOON_MS)
        assert isinstance(profile, Profile)
        assert [event.id for event in profile.events] == ["e1", "theirs"]
        assert heard == [None]


async def test_of_a_store_in_the_place_of_another_the_definitions_are_in_force(
    tmp_path: Path,
) -> None:
    """Its versions may be lower, and what is saved there next, too."""
    path, backup = tmp_path / "perso.sqlite", tmp_path / "backup.sqlite"
    store = await open_sqlite(path)
    await store.save_definitions(BEFORE)
    copy_store(path, backup, lambda done, of: None)
    for _ in range(3):
        await store.save_definitions(AFTER)
    told: list[int] = []
    async with running(store) as stack:
        refresh = refresh_of(stack, tell=told.append)
        await refresh.poll()
        assert stack.engine.snapshot.definitions == AFTER
        put_back(backup, path, lambda done, of: None)
        with pytest.raises(StoreUnavailable, match="replaced"):
            await refresh.poll()

        await refresh.poll()
        assert stack.engine.snapshot.definitions == BEFORE
        await (theirs := await open_sqlite(path)).save_definitions(AFTER)
        await refresh.poll()

        assert stack.engine.snapshot.definitions == AFTER
        assert told == [4, 1, 2]
    await store.close()
    await theirs.close()


async def missed(held: Held) -> News:
    return News(missed=True)


async def gone_over(store: SqliteStore, refresh: Refresh, path: Path, other: Path) -> None:
    """To another store, put in the place of the one that is open."""
    copied = other.with_suffix(".copied")
    copy_store(other, copied, lambda done, of: None)
    put_back(copied, path, lambda done, of: None)
    with pytest.raises(StoreUnavailable, match="replaced"):
        await refresh.poll()
    await refresh.poll()


async def test_of_another_store_whose_version_is_the_same_the_definitions_are_in_force(
    tmp_path: Path,
) -> None:
    """Those of the store before had stayed, until a higher version was saved."""
    path, other = tmp_path / "perso.sqlite", tmp_path / "other.sqlite"
    store, theirs = await open_sqlite(path), await open_sqlite(other)
    await store.save_definitions(BEFORE)
    await theirs.save_definitions(AFTER)
    await theirs.close()
    told: list[int] = []
    async with running(store) as stack:
        refresh = refresh_of(stack, tell=told.append)
        await refresh.poll()

        await gone_over(store, refresh, path, other)

        assert stack.engine.snapshot.definitions == AFTER
    # Also in the directory of the other one, where nobody heard of it.
    assert told == [1, 1]


async def test_what_is_saved_first_in_another_store_is_in_force(tmp_path: Path) -> None:
    """As by `perso apply` in a directory that was made anew: it had said so, and nothing was."""
    path, other = tmp_path / "perso.sqlite", tmp_path / "other.sqlite"
    store = await open_sqlite(path)
    for _ in range(3):
        await store.save_definitions(BEFORE)
    await (await open_sqlite(other)).close()
    told: list[int] = []
    async with running(store) as stack:
        refresh = refresh_of(stack, tell=told.append)
        await refresh.poll()
        await gone_over(store, refresh, path, other)
        before = stack.engine.snapshot.definitions
        theirs = await open_sqlite(path)
        await theirs.save_definitions(AFTER)
        await theirs.close()
        await refresh.poll()

        assert (before, stack.engine.snapshot.definitions) == (BEFORE, AFTER)
    assert told == [3, 0, 1]


async def test_whoever_missed_announcements_puts_nothing_else_in_force(
    database: MemoryDatabase,
) -> None:
    async with running(MemoryStore(database)) as stack:
        refresh = refresh_of(stack)
        await MemoryStore(database).save_definitions(AFTER)
        await refresh.poll()
        before = stack.engine.snapshot
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(stack.store, "news", missed)
            await refresh.poll()

        assert stack.engine.snapshot is before


async def test_a_process_that_cannot_hear_of_revocations_stops_answering() -> None:
    store = WatchedStore(MemoryStore())
    now_s = 0.0
    hearing = Hearing(lambda: now_s)
    async with running(store, hearing=hearing) as stack:
        refresh = refresh_of(stack, hearing=hearing)
        await stack.begin_visit(ANNA)
        asked = Interaction(profile_key=ANNA, datastream_id="demo")

        now_s = 60.0
        assert (await stack.admission.decided(asked)).known
        now_s = 60.1
        with pytest.raises(StoreUnavailable, match="for 60 s nothing was heard"):
            await stack.admission.decided(asked)
        await refresh.poll()
        assert (await stack.admission.decided(asked)).known


async def test_who_asks_a_process_that_stood_still_is_answered_by_what_was_revoked_meanwhile(
    database: MemoryDatabase,
) -> None:
    """As one that was stopped, or whose container was paused: its callers are there before news."""
    now_s = 0.0
    hearing = Hearing(lambda: now_s)
    async with running(MemoryStore(database), hearing=hearing) as stack:
        refresh = refresh_of(stack, hearing=hearing)
        refresh.start()
        await stack.begin_visit(ANNA)
        asked = Interaction(profile_key=ANNA, datastream_id="demo")
        assert (await stack.admission.decided(asked)).permitted

        await MemoryStore(database).commit([chose("out", ANNA)])
        now_s = 30.0

        assert not (await stack.admission.decided(asked)).permitted
        await refresh.close()


async def test_a_process_that_stood_still_answers_nobody_by_what_it_held_before() -> None:
    """Where the machine was busy, what a visitor had withdrawn was told to pages once more."""
    now_s = 0.0
    hearing = Hearing(lambda: now_s)
    async with running(MemoryStore(), hearing=hearing, load_timeout_ms=500) as stack:
        await stack.begin_visit(ANNA)
        asked = Interaction(profile_key=ANNA, datastream_id="demo")
        looking = asyncio.create_task(hearing.look())
        await settled()

        now_s = 30.0  # news do not come in time
        with pytest.raises(StoreUnavailable, match="the process stood still"):
            await stack.admission.decided(asked)
        await refresh_of(stack, hearing=hearing).poll()
        assert (await stack.admission.decided(asked)).known
        looking.cancel()


def test_what_was_asked_before_a_process_stood_still_is_not_what_it_missed() -> None:
    now_s = 0.0
    hearing = Hearing(lambda: now_s)
    hearing.asks()
    now_s = 30.0
    assert hearing.unsure
    hearing.caught_up()
    assert hearing.unsure

    now_s = 30.1
    hearing.asks()
    hearing.caught_up()

    assert not hearing.unsure


async def test_news_that_do_not_come_are_not_waited_for_longer_than_told() -> None:
    now_s = 0.0
    hearing = Hearing(lambda: now_s)
    looking = asyncio.create_task(hearing.look())
    await settled()
    now_s = 30.0
    assert hearing.unsure

    await hearing.catch_up(0.01)

    assert hearing.unsure
    assert not hearing.deaf
    looking.cancel()


class Slow:
    """Compiles when told to. begun: it was asked to."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()

    def compile(self, *definitions: Any, **options: Any) -> Snapshot:
        self.begun.set()
        assert self.may_end.wait(60)
        return compile_snapshot(*definitions, **options)


async def test_a_withdrawal_waits_for_no_definitions_that_take_long_to_compile(
    database: MemoryDatabase,
) -> None:
    slow = Slow()
    async with running(MemoryStore(database)) as stack:
        await stack.begin_visit(ANNA)
        await MemoryStore(database).save_definitions(AFTER)
        polling = asyncio.create_task(refresh_of(stack, compiled=slow.compile).poll())
        try:
            await until(slow.begun.is_set)
            await MemoryStore(database).commit([chose("out", ANNA)])

            await until(lambda: stack.engine.profile(ANNA, now_ms=NOON_MS) is None)
            assert stack.engine.snapshot.definitions == BEFORE
        finally:
            slow.may_end.set()
            await polling
        assert stack.engine.snapshot.definitions == AFTER


class FailingNews(MemoryStore):
    """Whose news cannot be read where `fails` says so. refused: how often it could not."""

    def __init__(self, database: MemoryDatabase, fails: Callable[[], bool]) -> None:
        super().__init__(database)
        self._fails = fails
        self.refused = 0

    async def news(self, held: Held = held_by_nobody) -> News:
        if self._fails():
            self.refused += 1
            raise broken()
        return await super().news(held)


async def test_definitions_come_in_force_also_where_the_store_fails_while_they_compile(
    database: MemoryDatabase,
) -> None:
    slow = Slow()
    store = FailingNews(database, lambda: slow.begun.is_set() and not slow.may_end.is_set())
    async with running(store) as stack:
        await MemoryStore(database).save_definitions(AFTER)
        polling = asyncio.create_task(refresh_of(stack, compiled=slow.compile).poll())
        try:
            await until(lambda: store.refused > 0)
        finally:
            slow.may_end.set()
        await polling

        assert stack.engine.snapshot.definitions == AFTER


# ---- imported memberships ---------------------------------------------------------


def risk_of(stack: Stack, key: str = ANNA) -> int | None:
    """Until when the profile in memory is in the imported audience."""
    profile = stack.engine.profile(key, now_ms=NOON_MS)
    assert isinstance(profile, Profile)
    found = profile.imported.get("risk")
    return found.until_ms if found else None


async def test_what_is_imported_elsewhere_is_known_of_a_profile_in_memory() -> None:
    database = MemoryDatabase()
    async with running(MemoryStore(database)) as stack:
        await stack.begin_visit()
        before = risk_of(stack)

        await MemoryStore(database).import_memberships(imported(ANNA, BERT))
        await refresh_of(stack).poll()

    assert (before, risk_of(stack)) == (None, LATER_MS)
    assert stack.engine.keys() == {ANNA}


@pytest.mark.parametrize("told", [True, False], ids=["by name", "or anybody"])
async def test_nobody_is_answered_without_what_was_imported_elsewhere_before_it_is_read(
    told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perso_core.worker.refresh.IMPORTED_AT_ONCE", 1)
    importer = await open_sqlite(tmp_path / "perso.sqlite")
    store = await open_sqlite(tmp_path / "perso.sqlite")
    async with running(store) as stack:
        await asyncio.gather(stack.begin_visit(ANNA), stack.begin_visit(BERT))
        await importer.import_memberships(structs.replace(imported(ANNA, BERT), tell=told))
        refresh = refresh_of(stack)
        await refresh.poll()
        waiting = [key for key in (ANNA, BERT) if risk_of(stack, key) is None]

        for key in (ANNA, BERT):
            await stack.begin_visit(key)

        assert len(waiting) == 1
        assert [risk_of(stack, key) for key in (ANNA, BERT)] == [LATER_MS, LATER_MS]
    await store.close()
    await importer.close()


async def test_nobody_is_answered_without_attributes_from_elsewhere_before_they_are_read(
    database: MemoryDatabase,
) -> None:
    async with running(MemoryStore(database)) as stack:
        await stack.begin_visit()
        patched = arrived(None, base=stack.engine.seen(ANNA).version, tier="gold")
        await MemoryStore(database).commit([patched], announce=True)
        await refresh_of(stack).hear()

        await stack.begin_visit()

        profile = stack.engine.profile(ANNA, now_ms=NOON_MS)
        assert isinstance(profile, Profile)
        assert profile.attributes == {"loyalty": {"tier": "gold"}}


async def test_an_import_of_whom_nobody_knows_reads_every_profile_in_memory_again(
    tmp_path: Path,
) -> None:
    importer = await open_sqlite(tmp_path / "perso.sqlite")
    store = await open_sqlite(tmp_path / "perso.sqlite")
    async with running(store) as stack:
        await stack.begin_visit()
        untold = structs.replace(imported(ANNA), tell=False)

        await importer.import_memberships(untold)
        await refresh_of(stack).poll()

    await store.close()
    await importer.close()
    assert risk_of(stack) == LATER_MS


async def test_a_withdrawal_waits_for_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perso_core.worker.refresh.IMPORTED_AT_ONCE", 1)
    database = MemoryDatabase()
    others = [f"CRMID:{number}" for number in range(5)]
    async with running(MemoryStore(database)) as stack:
        await asyncio.gather(*(stack.begin_visit(key) for key in (ANNA, *others)))
        await MemoryStore(database).import_memberships(imported(*others))
        refresh = refresh_of(stack)
        await refresh.poll()
        await MemoryStore(database).commit([chose("out", ANNA)])

        await refresh.poll()

        waiting = [key for key in others if risk_of(stack, key) is None]
        known = stack.engine.profile(ANNA, now_ms=NOON_MS)

    assert known is None
    assert len(waiting) == 3


async def test_nobody_is_told_of_a_version_while_imported_memberships_are_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("perso_core.worker.refresh.IMPORTED_AT_ONCE", 1)
    database = MemoryDatabase()
    told: list[int] = []
    async with running(MemoryStore(database)) as stack:
        await asyncio.gather(stack.begin_visit(ANNA), stack.begin_visit(BERT))
        other = MemoryStore(database)
        await other.import_memberships(imported(ANNA, BERT))
        await other.save_definitions(AFTER)
        refresh = refresh_of(stack, tell=told.append)

        await refresh.poll()
        halfway = list(told)
        await refresh.poll()

    assert (halfway, told) == ([], [1])


async def test_a_store_that_fails_keeps_imported_memberships_due() -> None:
    database = MemoryDatabase()
    watched = WatchedStore(MemoryStore(database))
    async with running(watched) as stack:
        await stack.begin_visit()
        await MemoryStore(database).import_memberships(imported(ANNA))
        refresh = refresh_of(stack)
        watched.failing = broken()
        with pytest.raises(StoreUnavailable):
            await refresh.poll()
        watched.failing = None

        await refresh.poll()

    assert risk_of(stack) == LATER_MS
