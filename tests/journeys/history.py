"""Visitors of several workers, and what must be true of everything that they were told.

Every answer tells how many clicks the visitor's profile has: there is an audience for each number.
So each answered event is a read of the profile, to be checked against what the browser knew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import aiohttp
from msgspec import Struct, field

from perso_core.definitions.document import Definitions
from tests.building import definitions
from tests.edge.running import NAMES

MOST_CLICKS = 24
EVENTS = 20  # in one request, at most
TRIES, PAUSE_S = 200, 0.05
_PULL = "activation:pull"


def counting() -> Definitions:
    """An audience for each number of clicks: `at least n`."""
    rule = (
        'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "click") COUNT({}) '
        "WHEN(<= 1 day before now)])"
    )
    return definitions({f"n{n:02}": rule.format(n) for n in range(1, MOST_CLICKS + 1)})


class Read(Struct, frozen=True):
    """One answered event. least: clicks that the browser knew of, by the token it sent and by the
    events before it in the request. most: clicks it had sent by the time of the answer."""

    visitor: str
    told: int
    least: int
    most: int
    own: bool  # the answer named the visitor's own ECID


class Kept(Struct, frozen=True):
    """What the store holds in the end. acknowledged, sent: ids of clicks; kept: ids, as often as
    they are there."""

    visitor: str
    acknowledged: frozenset[str]
    sent: frozenset[str]
    kept: tuple[str, ...]


def violations(reads: Sequence[Read], kept: Sequence[Kept] = ()) -> Iterator[str]:
    """What breaks a promise, in words."""
    for read in reads:
        if not read.own:
            yield f"P7 {read.visitor}: was told of another visitor"
        if read.told < read.least:
            yield f"P2 {read.visitor}: {read.told} clicks told, {read.least} known"
        if read.told > read.most:
            yield f"P5 {read.visitor}: {read.told} clicks told, {read.most} sent"
    for one in kept:
        if lost := one.acknowledged - set(one.kept):
            yield f"P1 {one.visitor}: {len(lost)} acknowledged clicks are lost"
        if len(one.kept) != len(set(one.kept)):
            yield f"P5 {one.visitor}: a click is kept twice"
        if strange := set(one.kept) - one.sent:
            yield f"P7 {one.visitor}: {len(strange)} clicks of somebody else"


class Visitor(Struct):
    """A browser with tabs. floors: of each version token it got, how many clicks it stands for."""

    name: str
    chance: Random
    keeps_token: bool = True
    ecid: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    floors: dict[str, int] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    requests: int = 0

    def _events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for _ in range(self.chance.randint(1, EVENTS)):
            if self.chance.random() < 0.15 and len(self.sent) < MOST_CLICKS:
                click = f"{self.name}-{len(self.sent)}"
                self.sent.add(click)
                events.append({"xdm": {"eventType": "click", "_id": click}})
            else:
                events.append({"xdm": {"eventType": "view"}})
        return events

    async def step(self, http: aiohttp.ClientSession, url: str) -> list[Read]:
        """One request, sent again until it is answered; now and then twice at once."""
        self.requests += 1
        events = self._events()
        cookies = dict(self.cookies)
        token = cookies.get(NAMES.version, "")
        if not self.keeps_token:
            cookies.pop(NAMES.version, None)
        body = {
            "events": events,
            "meta": {"state": {"entries": [{"key": k, "value": v} for k, v in cookies.items()]}},
        }
        query = {"configId": "demo", "requestId": f"{self.name}-{self.requests}"}
        asking = [self._answered(http, url, query, body)]
        # Not the first one: that would make two visitors.
        if self.ecid and self.chance.random() < 0.1:
            asking.append(self._answered(http, url, query, body))
        reads: list[Read] = []
        for told in await asyncio.gather(*asking):
            reads += self._heard(told, events, self.floors.get(token, 0))
        return reads

    async def _answered(
        self, http: aiohttp.ClientSession, url: str, query: dict[str, str], body: dict[str, Any]
    ) -> dict[str, Any]:
        for _ in range(TRIES):
            try:
                async with http.post(f"{url}/v1/interact", params=query, json=body) as answer:
                    told: dict[str, Any] = await answer.json()
                    if answer.status == 200 and not told.get("errors"):
                        return told
            except aiohttp.ClientError:
                pass  # a worker was killed
            await asyncio.sleep(PAUSE_S)
        raise AssertionError(f"{self.name} was not answered {TRIES} times")

    def _heard(self, told: dict[str, Any], events: list[dict[str, Any]], floor: int) -> list[Read]:
        handles = told["handle"]
        ecid = next(h["payload"][0]["id"] for h in handles if h["type"] == "identity:result")
        self.ecid = self.ecid or ecid
        counts = [len(h["payload"][0]["segments"]) for h in handles if h["type"] == _PULL]
        reads, least = [], floor
        for event, count in zip(events, counts, strict=True):
            click = event["xdm"].get("_id")
            if click is not None:
                self.acknowledged.add(click)
                least += 1
            reads.append(Read(self.name, count, least, len(self.sent), ecid == self.ecid))
        for handle in handles:
            if handle["type"] == "state:store":
                self.cookies |= {item["key"]: item["value"] for item in handle["payload"]}
                token = self.cookies.get(NAMES.version, "")
                self.floors[token] = max(self.floors.get(token, 0), counts[-1])
        return reads


async def visit(
    visitor: Visitor, http: aiohttp.ClientSession, url: str, *, steps: int, tabs: int
) -> list[Read]:
    """The first page alone, as it makes the visitor; then some tabs at once."""
    reads = await visitor.step(http, url)

    async def tab() -> None:
        for _ in range(steps // tabs):
            reads.extend(await visitor.step(http, url))

    await asyncio.gather(*(tab() for _ in range(tabs)))
    return reads
