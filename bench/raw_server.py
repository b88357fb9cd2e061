"""`python -m bench.raw_server BYTES AUDIENCES`: the least that decides and keeps, without aiohttp.

As rules_server.py, but what is read are the bytes of a connection, by a parser that knows wrk's
requests and no others, and each event is in a log on disk before its answer goes out. No HTTP as
others may write it, consent, limits, retries, profile, memberships, answer, tables: what is beyond
this one no server in Python has that asks our rules.
"""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from bench.figures import ROOT
from bench.rules_server import HEADERS, Rules, proof_of

_HEAD_END, _LENGTH = b"\r\n\r\n", b"Content-Length: "
Waiting = tuple[bytes, asyncio.Transport]


class _Log:
    """Group commit in a thread of its own: while one is under way others gather."""

    def __init__(self, path: Path, answer: bytes) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._answer = answer
        self._gathered: list[Waiting] = []
        self._under_way = False
        self._batches: queue.SimpleQueue[list[Waiting]] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._go_on, daemon=True).start()

    def keep(self, record: bytes, sender: asyncio.Transport) -> None:
        self._gathered.append((record, sender))
        if not self._under_way:
            self._under_way = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        batch, self._gathered = self._gathered, []
        self._under_way = bool(batch)
        if batch:
            self._batches.put(batch)

    def _go_on(self) -> None:
        while True:
            batch = self._batches.get()
            os.write(self._file, b"".join([record for record, _ in batch]))
            os.fdatasync(self._file)
            self._loop.call_soon_threadsafe(self._tell, batch)

    def _tell(self, batch: list[Waiting]) -> None:
        for _, sender in batch:
            if not sender.is_closing():
                sender.write(self._answer)
        self._begin()


class _Connection(asyncio.Protocol):
    def __init__(self, rules: Rules, log: _Log) -> None:
        self._rules, self._log = rules, log
        self._read = b""
        self._decode = msgspec.json.Decoder().decode
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of no such class

    def data_received(self, data: bytes) -> None:
        self._read = data = self._read + data if self._read else data
        end = data.find(_HEAD_END)
        if end < 0:
            return
        stated = data.find(_LENGTH) + len(_LENGTH)
        begin = end + len(_HEAD_END)
        if len(data) < begin + int(data[stated : data.find(b"\r", stated)]):
            return
        self._read = b""
        body = self._decode(data[begin:])
        (event,) = body["events"]
        self._log.keep(self._rules.decide(proof_of(body), event["xdm"]), self._transport)


def _answer(size: int) -> bytes:
    own = {**HEADERS, "x-request-id": "0" * 36, "Content-Length": str(size)}
    lines = "".join([f"{name}: {value}\r\n" for name, value in own.items()])
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + b"x" * size


async def serve(log: Path, size: int, audiences: int) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    rules, log_of_all = Rules(audiences), _Log(log, _answer(size))
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    server = await loop.create_server(
        lambda: _Connection(rules, log_of_all), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopping.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=ROOT) as scratch:
        uvloop.run(serve(Path(scratch) / "log", int(sys.argv[1]), int(sys.argv[2])))
