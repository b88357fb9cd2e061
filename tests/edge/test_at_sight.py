"""Whose call it is can be told before its body is decoded, and is never told wrongly."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.decision.identity import Device
from perso_core.definitions.datastream import Datastream
from perso_core.edge.abuse import MANY_CALLS, Limits
from perso_core.edge.at_sight import of_nobody, told_by_header
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.cookies import PREFIX, SOURCE_RANDOM, identity_cookies
from perso_core.edge.identity_map import claimed
from perso_core.edge.limits import Rate
from perso_core.edge.services import EdgeServices
from perso_core.edge.turns import AFTER_FIRST_VISITS, Turns
from perso_core.edge.wire import InteractRequest, decode_request
from tests.building import NOON_MS, ORG
from tests.decision.test_tcf import NO_PURPOSE_1
from tests.edge.running import (
    KEYS,
    NAMES,
    Browser,
    RunningEdge,
    cookie_header,
    ordinary,
    page_view,
    running_edge,
)
from tests.edge.test_consent_standards import tc, with_strings

ECIDS = [f"{number:038d}" for number in (1, 2)]


def strict(edge: RunningEdge) -> EdgeServices:
    """A second call within a second is refused."""
    return edge.services(limits=Limits(visitor=Rate(per_s=1, burst=1)))


def cookies_of(ecid: str) -> dict[str, str]:
    """As the edge gives them."""
    made = identity_cookies(
        Device(ecid), org=ORG, keys=KEYS, now_ms=NOON_MS, source=SOURCE_RANDOM, created_ms=NOON_MS
    )
    return {one.name: one.value for one in made}


def call_with(header: str, body: bytes) -> Call:
    return Call(
        request_id="r",
        datastream=Datastream(id="demo", name="Demo", fpid_cookie="fpid", trust_fpid_cookie=True),
        org=ORG,
        body=body,
        cookie_header=header,
        same_site_none=True,
        now_ms=NOON_MS,
    )


def caller_of(call: Call) -> Caller:
    """Once the body is decoded."""
    request = decode_request(call.body, InteractRequest)
    maps = [
        request.xdm.identity_map,
        *(event.xdm.get("identityMap", {}) for event in request.events),
    ]
    claims = [claimed(one, "identityMap") for one in maps]
    seeds = (seed.to_bytes(16, "big") for seed in itertools.count(1))
    return call.caller(
        request.meta,
        claims[0].ecid,
        tuple(claim for one in claims for claim in one.claims),
        keys=KEYS,
        entropy=lambda count: next(seeds)[-count:],
    )


@st.composite
def headers(draw: st.DrawFn) -> str:
    """Of nobody, of somebody, or of whoever wrote it."""
    pairs: dict[str, str] = {}
    if draw(st.booleans()):
        pairs |= cookies_of(draw(st.sampled_from(ECIDS)))
    if draw(st.booleans()):
        pairs["fpid"] = draw(st.sampled_from(["anna", "bert"]))
    for name in draw(st.sets(st.sampled_from([*pairs, "shop"]))):
        pairs[name] = draw(st.sampled_from(["", "x", "kndctr_"]))
    return cookie_header(pairs)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """With cookies, an identity map or neither, and its names spelled in some way."""
    more: dict[str, Any] = {}
    if draw(st.booleans()):
        entries = cookies_of(draw(st.sampled_from(ECIDS))).items()
        kept = [{"key": key, "value": value} for key, value in entries]
        more["meta"] = {"state": {"entries": kept}}
    if draw(st.booleans()):
        namespace = draw(st.sampled_from(["ECID", "FPID"]))
        more["xdm"] = {"identityMap": {namespace: [{"id": draw(st.sampled_from(ECIDS))}]}}
    text = msgspec.json.encode(page_view(more=more))
    if draw(st.booleans()):
        for word in (PREFIX, "identityMap"):
            escaped = "".join(f"\\u{ord(letter):04x}" for letter in word)
            text = text.replace(word.encode(), escaped.encode())
    return text


@given(headers(), bodies(), bodies())
def test_whose_call_the_header_tells_is_the_same_by_any_body_that_leaves_it_to_that(
    header: str, body: bytes, another: bytes
) -> None:
    one, other = call_with(header, body), call_with(header, another)
    if told_by_header(one) and told_by_header(other):
        assert caller_of(one) == caller_of(other)


@given(headers(), bodies())
def test_whoever_is_nobody_at_sight_is_nobody(header: str, body: bytes) -> None:
    call = call_with(header, body)
    if of_nobody(call):
        assert caller_of(call).of_nobody


def test_a_plain_page_view_is_told_at_sight() -> None:
    plain = msgspec.json.encode(page_view())

    assert told_by_header(call_with("", plain))
    assert of_nobody(call_with("shop=1", plain))
    assert not of_nobody(call_with(cookie_header(cookies_of(ECIDS[0])), plain))


class InHeader(Browser):
    """As on a page of the edge's own site: cookies go in the header."""

    async def send(self, action: str = "interact", body: Any = None, **more: Any) -> Any:
        cookie = cookie_header(self.cookies) or None
        told = await self.edge.call(action, body, cookie=cookie, **more)
        if told.sent:
            self.cookies.update(told.cookies)
        return told


async def test_whoever_was_refused_is_refused_again_whatever_the_body_is() -> None:
    async with running_edge(ordinary(), services=strict) as edge:
        flooder = InHeader(edge)
        assert [(await flooder.send()).status for _ in range(3)] == [200, 200, 429]

        assert (await flooder.send(body=b"{")).status == 429
        edge.now_ms += 1_000
        assert (await flooder.send(body=b"{")).status == 400
        assert (await flooder.send()).status == 200


SAID: Mapping[str, Any] = with_strings(tc(NO_PURPOSE_1))
ESCAPED = msgspec.json.encode(SAID).replace(b"consentStrings", b"\\u0063onsentStrings")


@pytest.mark.parametrize("said", [SAID, ESCAPED], ids=["plain", "escaped"])
async def test_a_refusal_is_heard_from_whoever_was_refused(said: Any) -> None:
    async with running_edge(ordinary(), services=strict) as edge:
        flooder = InHeader(edge)
        for _ in range(3):
            await flooder.send()

        told = await flooder.send(body=said)

        assert (told.status, told.cookies[NAMES.consent]) == (200, "general=out")


async def test_whoever_is_named_in_a_body_is_not_the_one_who_was_refused() -> None:
    async with running_edge(ordinary(), services=strict) as edge:
        flooder = InHeader(edge)
        for _ in range(3):
            await flooder.send()

        named = {"identityMap": {"ECID": [{"id": ECIDS[0]}]}}

        assert (await flooder.send(body=page_view(more={"xdm": named}))).ecid == ECIDS[0]


async def test_two_visitors_whose_cookies_come_in_the_body_are_two() -> None:
    async with running_edge(ordinary(), services=strict) as edge:
        flooder, other = Browser(edge), Browser(edge)
        await other.send()
        for _ in range(3):
            await flooder.send()

        assert (await flooder.send()).status == 429
        assert (await other.send()).status == 200


class Asked(Turns):
    """Nobody waits. asked: how often somebody asked for a turn."""

    def __init__(self) -> None:
        super().__init__(AFTER_FIRST_VISITS)
        self.asked = 0

    async def turn(self) -> None:
        self.asked += 1


async def test_a_call_waits_for_its_turn_before_it_is_decoded_and_then_no_more() -> None:
    excess = Asked()
    limits = Limits(visitor=Rate(per_s=50, burst=5_000))
    async with running_edge(
        ordinary(), services=lambda edge: edge.services(limits=limits, excess=excess)
    ) as edge:
        sender = InHeader(edge)
        for _ in range(2 + MANY_CALLS):
            await sender.send()
        assert excess.asked == 1, "by its body, the first time"

        assert (await sender.send(body=b"{")).status == 400
        assert excess.asked == 2
        assert (await sender.send()).status == 200
        assert excess.asked == 3

    first_visits = Asked()
    async with running_edge(
        ordinary(), services=lambda edge: edge.services(first_visits=first_visits)
    ) as edge:
        assert (await edge.call(body=b"{")).status == 400
        assert first_visits.asked == 1
        assert (await edge.call()).status == 200
        assert first_visits.asked == 3, "before it is decided, and before it is answered"


async def test_a_header_that_was_sent_by_many_takes_bounded_memory() -> None:
    async with running_edge(ordinary(), services=strict) as edge:
        flooder = InHeader(edge)
        for _ in range(2):
            await flooder.send()
        flooder.cookies["shop"] = "x" * 3_000

        assert [(await flooder.send()).status for _ in range(2)] == [429, 429]
        assert (await flooder.send(body=b"{")).status == 400, "too long to be remembered"
