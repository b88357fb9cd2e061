"""`python -m bench.floor_server BYTES`: a durable answer where nothing is decided.

Each body is decoded, one MAC is made over its cookies, and its event is in SQLite, as Perso opens
it, with a profile of a usual size, before BYTES constant bytes go out. No consent, limits, caps,
retries, audiences. What this gains no server in Python loses that keeps events there.
"""

from __future__ import annotations

import asyncio
import hmac
import queue
import sys
import tempfile
import threading
from itertools import count
from pathlib import Path

import apsw
import uvloop
from aiohttp import web
from msgspec import Struct

from bench.figures import ROOT
from bench.serving import plain, serve_until_told
from bench.typed_event import decode
from perso_core.assembly import DATABASE
from perso_core.stores.sqlite_file import transaction, writing_connection

_KEY, _PROFILE = bytes(32), bytes(1_000)


class _Write(Struct):
    """One event, and who waits for it."""

    key: str
    event_id: str
    record: bytes
    kept: asyncio.Future[None]


class _Writer:
    """Group commit in a thread of its own: while one is under way others gather."""

    def __init__(self, path: Path) -> None:
        self._connection = writing_connection(path)
        self._waiting: queue.SimpleQueue[_Write] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._go_on, daemon=True).start()

    async def keep(self, key: str, event_id: str, record: bytes) -> None:
        kept = self._loop.create_future()
        self._waiting.put(_Write(key, event_id, record, kept))
        await kept

    def _go_on(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            with transaction(self._connection):
                _keep(self._connection, batch)
            self._loop.call_soon_threadsafe(_tell, batch)


def _keep(connection: apsw.Connection, batch: list[_Write]) -> None:
    connection.executemany(
        "INSERT INTO profile VALUES (?, 1, ?) ON CONFLICT DO UPDATE SET record = excluded.record",
        [(one.key, _PROFILE) for one in batch],
    )
    connection.executemany(
        "INSERT INTO event (key, id, timestamp_ms, record) VALUES (?, ?, 0, ?)",
        [(one.key, one.event_id, one.record) for one in batch],
    )


def _tell(batch: list[_Write]) -> None:
    for one in batch:
        one.kept.set_result(None)


async def serve(database: Path, size: int) -> None:
    writer, numbers, constant = _Writer(database), count(), b"x" * size

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        meta = decode(body).meta
        cookies = [one.value for one in meta.state.entries] if meta else []
        proof = hmac.digest(_KEY, "".join(cookies).encode(), "sha256")
        await writer.keep(proof.hex(), f"event-{next(numbers)}", body)
        return web.Response(body=constant, content_type="application/json")

    app = web.Application()
    app.router.add_post("/ee/v1/interact", answer)
    await serve_until_told(plain(app))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        database = Path(scratch) / DATABASE
        database.touch()
        uvloop.run(serve(database, int(sys.argv[1])))
