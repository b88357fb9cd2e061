"""`python -m bench.flood_client PORT CONNECTIONS EVENTS HITS_PER_S HITS_CONNECTIONS`: one visitor
who sends 1,000 events a second, over so many connections and so many in a call, and hits without
cookies, so many a second or as many as are answered, over others. Each line on its input is for how
many seconds; for each it says how many calls were answered, and how many events were kept."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Sequence

from bench.audiences import DATASTREAM
from bench.visitor import PRODUCT_VIEW

VISITOR_PER_S = 1_000
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)


class Caller:
    """One connection, and the cookies that its answers told it to keep. events: in each call. kept:
    events that the server took."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, events: int = 1
    ) -> None:
        self._reader, self._writer, self._events = reader, writer, events
        self.cookies: dict[str, str] = {}
        self.kept = 0

    async def call(self) -> bytes:
        """Its events, and the body of their answer."""
        body = json.dumps({"events": [{"xdm": PRODUCT_VIEW}] * self._events}).encode()
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = (
            f"POST /ee/v1/interact?configId={DATASTREAM} HTTP/1.1\r\nHost: x\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        )
        carried = f"Cookie: {cookie}\r\n" if cookie else ""
        self._writer.write(f"{head}{carried}\r\n".encode() + body)
        told = await self._reader.readuntil(b"\r\n\r\n")
        self.kept += self._events * told.startswith(b"HTTP/1.1 200")
        length = _LENGTH.search(told)
        assert length is not None, "each answer says how long it is"
        return await self._reader.readexactly(int(length[1]))

    def keep(self, body: bytes) -> None:
        for handle in json.loads(body)["handle"]:
            if handle["type"] == "state:store":
                self.cookies |= {one["key"]: one["value"] for one in handle["payload"]}

    def close(self) -> None:
        self._writer.close()


async def callers(port: int, number: int, events: int = 1) -> list[Caller]:
    return [
        Caller(*await asyncio.open_connection("127.0.0.1", port), events) for _ in range(number)
    ]


async def paced(asking: Sequence[Caller], per_s: float, seconds: float) -> list[float]:
    """Milliseconds of each call; all together so many a second, or as many as are answered."""
    times_ms: list[float] = []
    each_s = len(asking) / per_s
    now_s = time.perf_counter()
    until_s = now_s + seconds

    async def go_on(caller: Caller, due_s: float) -> None:
        while (began_s := time.perf_counter()) < until_s:
            await caller.call()
            times_ms.append((time.perf_counter() - began_s) * 1_000)
            due_s = max(due_s + each_s, time.perf_counter() - each_s)
            await asyncio.sleep(max(due_s - time.perf_counter(), 0))

    starts = [now_s + number * each_s / len(asking) for number in range(len(asking))]
    await asyncio.gather(*map(go_on, asking, starts))
    return times_ms


async def flood(port: int, at_once: int, events: int, hits_per_s: int, hits_at_once: int) -> None:
    noisy, nobody = await callers(port, at_once, events), await callers(port, hits_at_once)
    noisy[0].keep(await noisy[0].call())
    for caller in noisy:
        caller.cookies = noisy[0].cookies
    for line in sys.stdin:
        before = sum(caller.kept for caller in (*noisy, *nobody))
        sent = await asyncio.gather(
            paced(noisy, VISITOR_PER_S / events, float(line)),
            paced(nobody, hits_per_s, float(line)),
        )
        kept = sum(caller.kept for caller in (*noisy, *nobody)) - before
        print(sum(map(len, sent)), kept, flush=True)
    for caller in (*noisy, *nobody):
        caller.close()


if __name__ == "__main__":
    asyncio.run(flood(*map(int, sys.argv[1:])))
