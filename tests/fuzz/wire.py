"""An edge without sockets: the bytes of a request in, the bytes of its answer out.

All in between is the product's own and aiohttp's: parser, router, handler, engine, drain. Each
request meets the same stored state, the same clock and the same random numbers, so that what one
input does it does again when it is replayed.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import web
from msgspec import Struct, structs

from perso_core.assembly import MAX_HEADER_BYTES
from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.edge.app import EdgeServices, build_edge, straight
from perso_core.edge.graph import Graph
from perso_core.edge.guard import GuardedRunner, GuardedServer
from perso_core.engine.engine import Answer, Engine, Interaction
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.worker.admit import Admission
from perso_core.worker.drain import Drain
from perso_core.worker.identity_graph import IdentityGraph
from tests.building import NOON_MS
from tests.edge.running import KEYS

LOGS = ("perso", "perso_core", "aiohttp")


class Answered(Struct, frozen=True):
    """status 0: no answer came. failures: what was logged with a traceback. database: as it is
    after the answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    failures: list[BaseException]
    database: MemoryDatabase


class Wire:
    """in_force: the definitions. stored: what is on disk when a request comes; the requests leave
    it as it is."""

    def __init__(self, in_force: Definitions, stored: MemoryDatabase | None = None) -> None:
        self.stored = stored or MemoryDatabase()
        self._snapshot = compile_snapshot(in_force)
        self._loop = asyncio.new_event_loop()
        self._failures = _Failures()
        self._state: _State
        host = web.Application()
        edge = build_edge(self._services())
        host.add_subapp("/ee", edge)
        runner = GuardedRunner(
            host,
            straight=straight(edge, "/ee"),
            access_log=None,
            max_field_size=MAX_HEADER_BYTES,
        )
        self._loop.run_until_complete(runner.setup())
        assert isinstance(runner.server, GuardedServer), "it was set up"
        self._server = runner.server
        self._straight = runner.server.straight

    def ask(self, request: bytes, *, by_route: bool = False) -> Answered:
        """request: a whole one. by_route: it is not answered straight."""
        self._server.straight = {} if by_route else self._straight
        return self._loop.run_until_complete(self._answered(request))

    @property
    def known_heads(self) -> int:
        """Requests with the same headers as others are not read any more."""
        return len(self._server.known)

    def keep(self, *interactions: Interaction) -> None:
        """Put what they change into `stored`."""

        async def kept() -> MemoryDatabase:
            async with self._begun() as state:
                for interaction in interactions:
                    answer = await state.admission.decided(interaction)
                    await state.drain.durable(answer.sequence)
            return state.database

        self.stored = self._loop.run_until_complete(kept())

    # ---- inside -----------------------------------------------------------------

    async def _answered(self, request: bytes) -> Answered:
        async with self._begun() as state:
            transport = _Transport()
            connection = self._server()
            connection.connection_made(transport)
            await asyncio.sleep(0)  # it waits for a request
            connection.data_received(request)
            await transport.told
            connection.connection_lost(None)
        status, headers, body = _taken_apart(bytes(transport.written))
        return Answered(status, headers, body, self._failures.taken(), state.database)

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[_State]:
        engine = Engine(self._snapshot, hot_profiles=1_000, journal_limit=500)
        self._state = state = _State(engine, _copy(self.stored))
        state.drain.start()
        with self._failures.heard():
            yield state
            await state.drain.close(5)

    def _services(self) -> EdgeServices:
        async def decide(interaction: Interaction) -> Answer:
            return await self._state.admission.decided(interaction)

        async def durable(sequence: int) -> None:
            await self._state.drain.durable(sequence)

        return EdgeServices(
            decide=decide,
            durable=durable,
            snapshot=lambda: self._snapshot,
            clock_ms=lambda: NOON_MS,
            entropy=lambda count: self._state.entropy(count),
            keys=KEYS,
            # A slow machine is not what is looked for here.
            answer_within_ms=60_000,
            graph=cast(Graph, _GraphOf(lambda: self._state.graph)),
        )


class _GraphOf:
    """The graph of the state that the request at hand meets."""

    def __init__(self, current: Callable[[], IdentityGraph]) -> None:
        self._current = current

    def __getattr__(self, name: str) -> Any:
        return getattr(self._current(), name)


class _State:
    """What one request meets."""

    def __init__(self, engine: Engine, database: MemoryDatabase) -> None:
        self.database = database
        store = MemoryStore(database)
        self.drain = Drain(engine, store, clock_ms=lambda: NOON_MS)
        self.admission = Admission(
            engine, store, self.drain, clock_ms=lambda: NOON_MS, load_timeout_ms=60_000
        )
        self.graph = IdentityGraph(
            engine, store, self.drain, self.admission, clock_ms=lambda: NOON_MS
        )
        self._seeds = (seed.to_bytes(16, "big") for seed in itertools.count(1))

    def entropy(self, count: int) -> bytes:
        return next(self._seeds)[-count:]


def _copy(database: MemoryDatabase) -> MemoryDatabase:
    return structs.replace(
        database,
        profiles=dict(database.profiles),
        events={key: dict(events) for key, events in database.events.items()},
        arrivals={key: dict(arrivals) for key, arrivals in database.arrivals.items()},
        links=dict(database.links),
        consents=dict(database.consents),
        notices=list(database.notices),
    )


class _Transport(asyncio.Transport):
    """Keeps what is written; told: done once that is a whole answer, or nothing more will be."""

    def __init__(self) -> None:
        super().__init__({"peername": ("203.0.113.7", 50_000)})
        self.written = bytearray()
        self.told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed = False

    def write(self, data: Any) -> None:
        self.written += data
        head, end, body = self.written.partition(b"\r\n\r\n")
        length = head.partition(b"\r\nContent-Length: ")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length or 0) and b"\r\nConnection: close" not in head:
            self._done()

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._done()

    def _done(self) -> None:
        if not self.told.done():
            self.told.set_result(None)

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class _Failures(logging.Handler):
    """Hears of every exception that is logged, and lets none of it reach the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._found.append(record.exc_info[1])

    def heard(self) -> _Listening:
        return _Listening(self)

    def taken(self) -> list[BaseException]:
        found, self._found = self._found, []
        return found


class _Listening:
    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler
        self._loggers = [logging.getLogger(name) for name in LOGS]

    def __enter__(self) -> None:
        for logger in self._loggers:
            logger.addHandler(self._handler)
            logger.propagate = False

    def __exit__(self, *fault: object) -> None:
        for logger in self._loggers:
            logger.removeHandler(self._handler)
            logger.propagate = True


def _taken_apart(written: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    head, _, body = written.partition(b"\r\n\r\n")
    first, *lines = head.decode("utf-8").split("\r\n")
    status = int(first.split(" ")[1]) if first else 0
    return status, [*_fields(lines)], body


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()
