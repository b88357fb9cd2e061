"""`python -m bench.rules_server BYTES AUDIENCES`: the least an edge does to decide, with no disk.

Each body is decoded once, one MAC is made over its cookies, audiences of the mix are asked
what the event changes for its visitor, the event is encoded to be kept (and is not), and BYTES
constant bytes go out with the headers that ours have. No consent, limits, retries, profile,
memberships, answer: what this gains no server on aiohttp loses that decides.
"""

from __future__ import annotations

import hmac
import sys
import time
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec
import uvloop
from aiohttp import web

from bench.audiences_mixed import mixed
from bench.pql_rules import rule_set
from bench.serving import serve_until_told
from perso_core.rules.standing import Standing

_KEY = bytes(32)
HEADERS = {
    "Cache-Control": "private, no-store",
    "Vary": "Origin",
    "X-Content-Type-Options": "nosniff",
    "x-adobe-edge": "PERSO;9",
    "Content-Type": "application/json",
}


class Rules:
    """Where each visitor stands, by the proof of its cookies."""

    def __init__(self, audiences: int) -> None:
        self._rules = rule_set(mixed(audiences))
        self._standing: dict[bytes, Standing] = {}

    def decide(self, proof: bytes, xdm: dict[str, Any]) -> bytes:
        """The event as it would be kept."""
        now_ms = time.time_ns() // 1_000_000
        event = {**xdm, "timestamp": now_ms}
        view = partial(dict[str, Any], xEvent=[event])
        before = self._standing.get(proof) or self._rules.standing(view, now_ms=now_ms)
        if before.until_ms <= now_ms:
            before = self._rules.advance(before, view, now_ms=now_ms)
        # As many events as a profile keeps here while the rounds last.
        after = self._rules.after_event(before, event, view, now_ms=now_ms, kept=100, evicted=False)
        self._standing[proof] = after
        return msgspec.msgpack.encode(event)


def proof_of(body: dict[str, Any]) -> bytes:
    cookies = [one["value"] for one in body["meta"]["state"]["entries"]]
    return hmac.digest(_KEY, "".join(cookies).encode(), "sha256")


async def serve(size: int, audiences: int) -> None:
    rules, constant = Rules(audiences), b"x" * size
    decode = msgspec.json.Decoder().decode

    async def answer(request: web.BaseRequest) -> web.Response:
        body = decode(await request.read())
        (event,) = body["events"]
        rules.decide(proof_of(body), event["xdm"])
        return web.Response(body=constant, headers={**HEADERS, "x-request-id": str(uuid4())})

    # Cheaper than an Application: no routes, no middlewares.
    await serve_until_told(web.ServerRunner(web.Server(answer, access_log=None)))


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
