"""Visitors of several workers, and what must be true of everything that they were told.

Every answer tells how many clicks the visitor's profile has: there is an audience for each number.
So each answered event is a read of the profile, to be checked against what the browser knew.

Visitors sign in and out, two on one device, and one of them is known by two identities, which the
site says are one person's: what the device did moves along, and what is told after signing out, or
to the second one, must know nothing of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import aiohttp
from msgspec import Struct, field, structs

from perso_core.decision.identity import Identity
from perso_core.definitions.document import Definitions
from tests.building import definitions
from tests.edge.running import NAMES
from tests.journeys.signing import account_key, assertion, one_person, server_headers, site

MOST_CLICKS = 24
EVENTS = 20  # in one request, at most
# Where more processes start than there are cores, a killed worker's heir takes seconds.
PATIENCE_S, PAUSE_S = 90, 0.05
APART = "."  # between two version tokens
_PULL = "activation:pull"


def counting() -> Definitions:
    """An audience for each number of clicks: `at least n`."""
    rule = (
        'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "click") COUNT({}) '
        "WHEN(<= 1 day before now)])"
    )
    counted = definitions({f"n{n:02}": rule.format(n) for n in range(1, MOST_CLICKS + 1)})
    return structs.replace(counted, issuers=(site(),))


class Read(Struct, frozen=True):
    """One answered event. visitor: also who was signed in. least: clicks that the browser knew of,
    by the token it sent and by the events before it in the request. most: clicks it had sent by the
    time of the answer."""

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


class Account(Struct):
    """What was sent to one profile: a device's, or a customer's. floors: of each version token that
    the browser got for it, how many clicks it stands for. carried: of each token for the device,
    how many of the device's clicks have come with it since the customer signed in; earlier: the
    tokens from before that, which do not stand for these. gone: clicks of the device that have
    moved away, and the tokens from before they did.
    """

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    floors: dict[str, int] = field(default_factory=dict)
    carried: dict[str, int] = field(default_factory=dict)
    earlier: frozenset[str] = frozenset()
    gone: int = 0
    gone_tokens: frozenset[str] = frozenset()

    def least(self, tokens: str) -> int:
        """Clicks that whoever presents these tokens has to be told of."""
        each = tokens.split(APART)
        earlier = max((self.floors[one] for one in each if one in self.earlier), default=0)
        carried = max(self.carried.get(one, 0) for one in each)
        return max(self.least_of_own(tokens), earlier + carried)

    def least_of_own(self, tokens: str) -> int:
        """The same without what the device carries in: who only looks moves nothing."""
        return max(self.floors.get(one, 0) for one in tokens.split(APART))

    def beyond(self, tokens: str) -> int:
        """Clicks that have moved away, and may yet be told to whoever presents these tokens:
        overlapping replies have set the device's back to one from before (P3)."""
        return self.gone if self.gone_tokens & set(tokens.split(APART)) else 0

    def take(self, other: Account) -> Account:
        """All that was sent to the other one is this one's from now on. Returns what is left."""
        self.sent |= other.sent
        self.acknowledged |= other.acknowledged
        self.carried, self.earlier = other.floors, frozenset(self.floors)
        gone = other.gone + len(other.sent)
        return Account(gone=gone, gone_tokens=other.gone_tokens | frozenset(other.floors))


class Sent(Struct):
    """A request as it went out, to be sent again."""

    query: dict[str, str]
    events: list[dict[str, Any]]


class Visitor(Struct):
    """A browser with tabs. holder: the namespace of who is signed in; "": nobody is. known_as: by
    which namespaces the site may name one, where they are more than that."""

    name: str
    chance: Random
    keeps_token: bool = True
    clicks_often: float = 0.15
    ecid: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=lambda: {"": Account()})
    holder: str = ""
    known_as: dict[str, tuple[str, ...]] = field(default_factory=dict)
    clicks: int = 0
    requests: int = 0
    before: Sent | None = None  # what the device sent last with nobody signed in
    sent: list[Sent] = field(default_factory=list)  # since whoever is signed in is
    exchanges: list[str] = field(default_factory=list)  # for whoever looks into a violation

    @property
    def account(self) -> Account:
        """That of the profile which is meant by now."""
        return self.accounts[self.holder]

    def identity(self, namespace: str) -> Identity:
        return Identity(namespace, f"{self.name}-{namespace}")

    def key(self, holder: str) -> str:
        """Of the profile in the store."""
        return account_key(self.identity(holder)) if holder else f"ECID:{self.ecid}"

    def sign_in(self, namespace: str) -> None:
        """While nothing is under way."""
        self.holder, self.sent = namespace, []
        account = self.accounts.setdefault(namespace, Account())
        self.accounts[""] = account.take(self.accounts[""])

    def sign_out(self) -> None:
        self.holder, self.sent = "", []

    async def become_one(
        self, http: aiohttp.ClientSession, url: str, first: str, other: str
    ) -> None:
        """The site's server says that two identities are one person's."""
        body = one_person(self.identity(first), self.identity(other))
        query = {"configId": "demo", "requestId": f"{self.name}-one"}
        headers = server_headers(int(time.time() // 60))
        await self._answered(http, f"{url}/v2/interact", query, body, headers)
        kept, gone = self.accounts.setdefault(first, Account()), self.accounts.pop(other)
        kept.sent |= gone.sent
        kept.acknowledged |= gone.acknowledged
        self.known_as[first] = (first, other)

    def _events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for _ in range(self.chance.randint(1, EVENTS)):
            if self.chance.random() < self.clicks_often and self.clicks < MOST_CLICKS:
                click = f"{self.name}-{self.clicks}"
                self.clicks += 1
                self.account.sent.add(click)
                events.append({"xdm": {"eventType": "click", "_id": click}})
            else:
                events.append({"xdm": {"eventType": "view"}})
        return events

    async def step(self, http: aiohttp.ClientSession, url: str) -> list[Read]:
        """One request, sent again until it is answered; now and then twice at once. Some are of
        before, and some are the site's server's, which asks and tells nothing: no commit of theirs
        hears what others wrote meanwhile."""
        if self.sent and self.chance.random() < 0.1:
            before = self.chance.choice(self.sent)
            return await self._told(http, url, before, times=1, anew=False)
        if self.sent and self.chance.random() < 0.25:
            return await self._looked(http, url)
        self.requests += 1
        query = {"configId": "demo", "requestId": f"{self.name}-{self.requests}"}
        sent = Sent(query, self._events())
        self.sent.append(sent)
        if not self.holder:
            self.before = sent
        # Not the first one twice: that would make two visitors.
        twice = bool(self.ecid) and self.chance.random() < 0.1
        return await self._told(http, url, sent, times=1 + twice)

    async def again(self, http: aiohttp.ClientSession, url: str) -> list[Read]:
        """What was sent before signing in arrives once more, as of nobody who is signed in."""
        holder, self.holder = self.holder, ""
        assert self.before is not None, "something was sent"
        reads = await self._told(http, url, self.before, times=1)
        self.holder = holder
        return reads

    async def _looked(self, http: aiohttp.ClientSession, url: str) -> list[Read]:
        """What the site's server is told for a page, with the cookies that the browser sent it."""
        account, cookies = self.account, dict(self.cookies)
        token = cookies.get(NAMES.version, "")
        least, beyond = account.least_of_own(token), account.beyond(token)
        if not self.keeps_token:
            cookies.pop(NAMES.version, None)
        xdm: dict[str, Any] = {}
        if self.holder:
            named = self.identity(
                self.chance.choice(self.known_as.get(self.holder, (self.holder,)))
            )
            xdm["identityMap"] = {named.namespace: [{"id": named.id, "primary": True}]}
        body = {
            "event": {"xdm": xdm},
            "meta": {"state": {"entries": [{"key": k, "value": v} for k, v in cookies.items()]}},
        }
        query = {"configId": "demo", "requestId": f"{self.name}-look"}
        headers = server_headers(int(time.time() // 60))
        told = await self._answered(http, f"{url}/v2/interact", query, body, headers)
        (found,) = (handle for handle in told["handle"] if handle["type"] == _PULL)
        # There is no entry of whom nothing is known.
        count = sum(len(entry["segments"]) for entry in found["payload"][:1])
        (known,) = (handle for handle in told["handle"] if handle["type"] == "identity:result")
        own = known["payload"][0]["id"] == self.ecid
        who, most = f"{self.name} {self.holder}", len(account.sent) + beyond
        self.exchanges.append(
            f"{time.time():.3f} look as {self.holder or 'nobody'} with {token}: told {count}"
            f" of {least} and more, {beyond} moved away"
        )
        return [Read(who, count, least, most, own)]

    async def _told(
        self, http: aiohttp.ClientSession, url: str, sent: Sent, *, times: int, anew: bool = True
    ) -> list[Read]:
        """anew: what is sent was not sent before in the same account: its clicks are further
        ones."""
        cookies = dict(self.cookies)
        floor = self.account.least(cookies.get(NAMES.version, ""))
        beyond = self.account.beyond(cookies.get(NAMES.version, ""))
        if not self.keeps_token:
            cookies.pop(NAMES.version, None)
        events = sent.events
        if self.holder:
            named = self.chance.choice(self.known_as.get(self.holder, (self.holder,)))
            said = {"identityAssertion": assertion(self.ecid, self.identity(named))}
            events = [{**event, "data": {"__perso": said}} for event in events]
        body = {
            "events": events,
            "meta": {"state": {"entries": [{"key": k, "value": v} for k, v in cookies.items()]}},
        }
        asking = [
            self._answered(http, f"{url}/v1/interact", sent.query, body) for _ in range(times)
        ]
        reads: list[Read] = []
        token = cookies.get(NAMES.version, "none")
        for told in await asyncio.gather(*asking):
            heard = self._heard(told, sent.events, floor, beyond, anew=anew)
            self.exchanges.append(
                f"{time.time():.3f} {sent.query['requestId']} as {self.holder or 'nobody'}"
                f" of {len(events)} with {token}: told {[read.told for read in heard]}"
                f" of {floor} and more, {beyond} moved away,"
                f" then {self.cookies.get(NAMES.version, 'none')}"
            )
            reads += heard
        return reads

    async def _answered(
        self,
        http: aiohttp.ClientSession,
        url: str,
        query: dict[str, str],
        body: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        gives_up_s = time.monotonic() + PATIENCE_S
        last = ""
        while time.monotonic() < gives_up_s:
            try:
                async with http.post(url, params=query, json=body, headers=headers) as answer:
                    told: dict[str, Any] = await answer.json()
                    if answer.status == 200 and not told.get("errors"):
                        return told
                    last = f"{answer.status} {told}"
            except aiohttp.ClientError as error:  # a worker was killed
                last = repr(error)
            await asyncio.sleep(PAUSE_S)
        raise AssertionError(f"{self.name} was not answered for {PATIENCE_S} s: {last}")

    def _heard(
        self,
        told: dict[str, Any],
        events: list[dict[str, Any]],
        floor: int,
        beyond: int,
        *,
        anew: bool,
    ) -> list[Read]:
        assert not told.get("warnings"), told["warnings"]
        handles, account = told["handle"], self.account
        ecid = next(h["payload"][0]["id"] for h in handles if h["type"] == "identity:result")
        self.ecid = self.ecid or ecid
        counts = [len(h["payload"][0]["segments"]) for h in handles if h["type"] == _PULL]
        reads, least = [], floor
        for event, count in zip(events, counts, strict=True):
            click = event["xdm"].get("_id")
            if click in account.sent:
                account.acknowledged.add(click)
                least += anew
            most = len(account.sent) + beyond
            who = f"{self.name} {self.holder}"
            reads.append(Read(who, count, least, most, ecid == self.ecid))
        for handle in handles:
            if handle["type"] == "state:store":
                set_now = {item["key"]: item["value"] for item in handle["payload"]}
                self.cookies |= set_now
                # Of the tokens in it the first is for the profile that this call was about.
                token = set_now.get(NAMES.version, "").split(APART)[0]
                # Clicks that have moved away may be among those that were told.
                own = counts[-1] - beyond
                account.floors[token] = max(account.floors.get(token, 0), own)
        return reads


async def visit(
    visitor: Visitor, http: aiohttp.ClientSession, url: str, *, steps: int, tabs: int
) -> list[Read]:
    """The first page alone, as it makes the visitor; then some tabs at once."""
    return [
        *await visitor.step(http, url),
        *await _in_tabs(visitor, http, url, steps=steps, tabs=tabs),
    ]


async def _in_tabs(
    visitor: Visitor, http: aiohttp.ClientSession, url: str, *, steps: int, tabs: int
) -> list[Read]:
    reads: list[Read] = []

    async def tab() -> None:
        for _ in range(steps // tabs):
            reads.extend(await visitor.step(http, url))

    await asyncio.gather(*(tab() for _ in range(tabs)))
    return reads


# Who is signed in, one after the other: nobody, Anna by her address, Anna by her customer number,
# Bert on the same device. After her second time by number the site says that both identities are
# Anna's, and names either from then on.
STAYS = ("Email", "", "CRMID", "", "CRMID", "", "CRMID", "", "Bert", "", "Bert")
BECOME_ONE_AFTER = 4


async def visit_and_sign_in(
    visitor: Visitor, http: aiohttp.ClientSession, url: str, *, steps: int, tabs: int
) -> list[Read]:
    """As visit, with people who sign in and out. Nobody signs in while an answer is under way."""
    visitor.clicks_often = 0.05  # so that some are left for the last
    each = max(tabs, steps // (len(STAYS) + 1))
    reads = await visit(visitor, http, url, steps=each, tabs=tabs)
    for number, holder in enumerate(STAYS):
        if holder:
            visitor.sign_in(holder)
        else:
            visitor.sign_out()
        reads += await _in_tabs(visitor, http, url, steps=each, tabs=tabs)
        if holder:
            reads += await visitor.again(http, url)
        if number == BECOME_ONE_AFTER:
            await visitor.become_one(http, url, "CRMID", "Email")
    return reads
