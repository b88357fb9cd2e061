"""What runs between opening and closing: store, engine and worker, started in order, each closed
before those it stands on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct

from perso_core.beside import DATABASE, KEYS, compiled_file, event_window_ms
from perso_core.decision.caps import Caps
from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import Snapshot, compile_snapshot
from perso_core.edge.cookies import CookieKeys
from perso_core.edge.issuer_keys import IssuerKeys
from perso_core.edge.keys import keys_from
from perso_core.edge.unstored import note_set_aside
from perso_core.engine.engine import Engine
from perso_core.errors import UnreadableRecord
from perso_core.settings import Settings
from perso_core.stores.clock import system_clock_ms
from perso_core.stores.compiled_file import CompiledFile
from perso_core.stores.presence import Presence
from perso_core.stores.protocol import Store
from perso_core.stores.sqlite import SqliteStore, open_sqlite
from perso_core.stores.sqlite_backup import remove_unfinished
from perso_core.stores.turn import OnlyOne
from perso_core.worker.admit import Admission
from perso_core.worker.drain import Drain
from perso_core.worker.hearing import Hearing
from perso_core.worker.identity_graph import IdentityGraph
from perso_core.worker.others import tell_of_others
from perso_core.worker.refresh import Refresh, log_off, told_to_nobody
from perso_core.worker.sweeping import Sweeper, retention_clock
from perso_core.worker.warm import keeping, warming

# What is in force before anything was applied: no datastream, so every call is refused as such.
NOTHING = Definitions(org="")
# A call has 250 ms, unless answer_within_ms says otherwise.
MOST_HEARD_S = 0.1

_log = logging.getLogger("perso")


class Parts(Struct, frozen=True, kw_only=True):
    """What runs between opening and closing, all of it by one clock. unreadable: why what was
    applied last is not in force. presence: None where it does not serve."""

    store: SqliteStore
    engine: Engine
    drain: Drain
    admission: Admission
    refresh: Refresh
    keys: CookieKeys
    graph: IdentityGraph
    issuer_keys: IssuerKeys
    compiled: CompiledFile
    clock_ms: Callable[[], int]
    unreadable: UnreadableRecord | None
    presence: Presence | None


@asynccontextmanager
async def running(
    settings: Settings, clock_ms: Callable[[], int], *, announce: bool, anew: bool
) -> AsyncIterator[Parts]:
    """As assembly.open_perso."""
    data_dir = Path(settings.data_dir)
    if anew:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: ASYNC240 - once, at opening
    async with contextlib.AsyncExitStack() as opened:
        if not announce:
            remove_unfinished(data_dir / DATABASE)
        kept = settings.max_events_per_profile
        store = await open_sqlite(
            data_dir / DATABASE, max_events=kept, clock_ms=clock_ms, anew=anew
        )
        opened.push_async_callback(store.close)
        presence = None if announce else _seen(data_dir, opened)
        if not announce and settings.workers == 1:
            tell_of_others(data_dir)
        # Once we are seen: what is saved from now on is waited for, what was before is read here.
        compiled = compiled_file(settings)
        version, snapshot, unreadable = await _stored_snapshot(
            store, event_window_ms(settings), compiled
        )
        engine = _engine(snapshot, settings)
        engine.following.follow(store.epoch)
        told = announce or settings.workers > 1
        drain = _drain(engine, store, settings, clock_ms, opened, told=told)
        admission, refresh = _loading(
            engine,
            store,
            drain,
            settings,
            clock_ms,
            opened,
            version=version,
            tell=presence.tell if presence else told_to_nobody,
            compiled=compiled,
        )
        await _sweep(engine, store, drain, clock_ms, data_dir, opened, sweeps=not announce)
        issuer_keys = IssuerKeys()
        opened.push_async_callback(issuer_keys.close)
        await opened.enter_async_context(keeping(compiled, snapshot))
        if not announce:
            await opened.enter_async_context(warming(snapshot))
        graph = _graph(engine, store, drain, admission, settings, clock_ms)
        yield Parts(
            store=store,
            engine=engine,
            drain=drain,
            admission=admission,
            refresh=refresh,
            keys=await _keys(data_dir / KEYS, store),
            graph=graph,
            issuer_keys=issuer_keys,
            compiled=compiled,
            clock_ms=clock_ms,
            unreadable=unreadable,
            presence=presence,
        )


async def _stored_snapshot(
    store: Store, window_ms: int, compiled: CompiledFile
) -> tuple[int, Snapshot, UnreadableRecord | None]:
    """The version applied last, and it compiled; 0: nothing was applied. Definitions that can no
    longer be read, and why, stop nobody from applying better ones: nothing is in force until then,
    and the log says so."""
    unreadable = None
    try:
        stored = await store.definitions()
        if stored is not None:
            snapshot = await asyncio.to_thread(
                compiled.snapshot,
                stored.definitions,
                event_window_ms=window_ms,
                in_force_ms=stored.saved_ms,
                tolerant=True,
            )
            log_off(snapshot)
            return stored.version, snapshot, None
    except UnreadableRecord as fault:
        _log.error("The stored definitions are not in force. %s", fault)
        unreadable = fault
    return 0, compile_snapshot(NOTHING, event_window_ms=window_ms), unreadable


async def _keys(path: Path, store: SqliteStore) -> CookieKeys:
    """New ones where there are none yet. That they were lost nobody would see: all go on, and each
    visitor is a new one."""
    if not path.exists() and await store.has_devices():  # noqa: ASYNC240 - once, at opening
        _log.error(
            "%s is missing: new keys are made, and nobody who came before is known by their"
            " cookies. Where it was lost, stop the servers and put it back from a backup.",
            path.name,
        )
    return keys_from(path)


def _seen(data_dir: Path, opened: contextlib.AsyncExitStack) -> Presence:
    """Be seen among those that serve until opened ends."""
    presence = Presence(data_dir)
    opened.callback(presence.close)
    return presence


def _graph(
    engine: Engine,
    store: Store,
    drain: Drain,
    admission: Admission,
    settings: Settings,
    clock_ms: Callable[[], int],
) -> IdentityGraph:
    return IdentityGraph(
        engine,
        store,
        drain,
        admission,
        clock_ms=clock_ms,
        caps=caps_of(settings),
        until_heard=partial(asyncio.sleep, _heard_s(settings)),
    )


def _heard_s(settings: Settings) -> float:
    """Within what time the other workers hear of a link, as far as a call can wait for that."""
    if settings.workers == 1:
        return 0
    return min(2 * settings.news_interval_ms / 1_000, MOST_HEARD_S)


def caps_of(settings: Settings) -> Caps:
    """What one profile may hold."""
    return Caps(
        settings.max_events_per_profile,
        settings.max_identities_per_profile,
        settings.max_record_bytes,
    )


def _engine(snapshot: Snapshot, settings: Settings) -> Engine:
    return Engine(
        snapshot,
        hot_profiles=settings.hot_profiles,
        unparked_profiles=settings.unparked_profiles,
        caps=caps_of(settings),
        journal_limit=settings.journal_limit,
        first_visit_ms=settings.first_visit_retention_s * 1_000,
    )


def _drain(
    engine: Engine,
    store: SqliteStore,
    settings: Settings,
    clock_ms: Callable[[], int],
    opened: contextlib.AsyncExitStack,
    *,
    told: bool,
) -> Drain:
    """Started. told: other processes hear of what it writes."""
    drain = Drain(
        engine, store, clock_ms=clock_ms, commit_batch=settings.commit_batch, announce=told
    )
    drain.start()
    opened.push_async_callback(drain.close, settings.drain_timeout_s)
    return drain


def _loading(
    engine: Engine,
    store: SqliteStore,
    drain: Drain,
    settings: Settings,
    clock_ms: Callable[[], int],
    opened: contextlib.AsyncExitStack,
    *,
    version: int,
    tell: Callable[[int], None],
    compiled: CompiledFile,
) -> tuple[Admission, Refresh]:
    """What brings profiles in, and, started, what hears of those that others write. version: of the
    definitions in force; tell: which are, from now on."""
    hearing = Hearing()
    admission = Admission(
        engine,
        store,
        drain,
        clock_ms=clock_ms,
        load_timeout_ms=settings.load_timeout_ms,
        hearing=hearing,
        set_aside=note_set_aside,
    )
    opened.push_async_callback(admission.parts.close)
    refresh = Refresh(
        engine,
        store,
        clock_ms=clock_ms,
        interval_ms=settings.news_interval_ms,
        event_window_ms=event_window_ms(settings),
        version=version,
        tell=tell,
        heard=admission.heard,
        hearing=hearing,
        compiled=compiled.snapshot,
    )
    drain.hear_by(refresh.hear)
    refresh.start()
    opened.push_async_callback(refresh.close)
    return admission, refresh


async def _sweep(
    engine: Engine,
    store: SqliteStore,
    drain: Drain,
    clock_ms: Callable[[], int],
    data_dir: Path,
    opened: contextlib.AsyncExitStack,
    *,
    sweeps: bool,
) -> None:
    """Start what removes profiles past their retention. Where time is moved, that time is
    believed."""
    clock = await retention_clock(store, clock_ms()) if clock_ms is system_clock_ms else None
    if clock is not None:
        store.age_by(clock.now_ms)
    only = OnlyOne(data_dir)
    opened.callback(only.close)
    mine = only.mine if sweeps else lambda: False
    sweeper = Sweeper(
        engine, store, wall_ms=clock_ms, clock=clock, mine=mine, commits=lambda: drain.commits
    )
    sweeper.start()
    opened.push_async_callback(sweeper.close)
