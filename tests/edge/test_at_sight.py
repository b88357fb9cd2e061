"""Whose call it is can be told before its body is decoded, and is never told wrongly."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perso_core.decision.identity import Device
from perso_core.definitions.datastream import Datastream
from perso_core.edge.abuse import MANY_CALLS, Limits
from perso_core.edge.admission import admit
from perso_core.edge.assertion import PLACE
from perso_core.edge.at_sight import MAX_SHOWN_BYTES, of_nobody, shown_by, told_by_header
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.cookies import PREFIX, SOURCE_RANDOM, identity_cookies
from perso_core.edge.heavy_senders import KEPT_SENDERS, HeavySenders
from perso_core.edge.identity_map import claimed
from perso_core.edge.limits import Rate
from perso_core.edge.problem import EdgeError, TooManyRequests
from perso_core.edge.services import EdgeServices
from perso_core.edge.turns import AFTER_FIRST_VISITS, AFTER_REFUSALS, Turns
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


def quick(edge: RunningEdge, *, limits: Limits) -> EdgeServices:
    """A refusal is told at once."""
    return edge.services(limits=limits, refusals=Turns(AFTER_REFUSALS))


def strict(edge: RunningEdge) -> EdgeServices:
    """A second call within a second is refused."""
    return quick(edge, limits=Limits(visitor=Rate(per_s=1, burst=1)))


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


OFTEN = st.sampled_from([True, True, True, False])


@st.composite
def bodies(draw: st.DrawFn, ecids: Sequence[str] = ECIDS) -> bytes:
    """With cookies, in their place or in another one, with an identity map or neither, its members
    in some order and its names spelled in some way."""
    members: dict[str, Any] = dict(page_view(place=draw(st.sampled_from(["", "meta", "x]"]))))
    if draw(OFTEN):
        entries = cookies_of(draw(st.sampled_from(ecids))).items()
        kept = [{"key": key, "value": value} for key, value in entries]
        state: dict[str, Any] = {"state": {"entries": kept}}
        if draw(st.booleans()):
            state = {"queueTimeMillis": draw(st.integers(0, 9)), **state}
        holder = draw(st.sampled_from(["meta", "query", 'a,{"meta']))
        members[holder] = draw(st.sampled_from([state, {"meta": state}, [state]]))
        if holder == "query":
            members["meta"] = {}
    if draw(st.booleans()):
        namespace = draw(st.sampled_from(["ECID", "FPID", "CRMID"]))
        members["xdm"] = {"identityMap": {namespace: [{"id": draw(st.sampled_from(ECIDS))}]}}
    ordered = draw(st.permutations(list(members.items())))
    text = msgspec.json.encode(dict(ordered))
    if not draw(OFTEN):
        for word in (PREFIX, "identityMap", "ECID", "FPID", "meta", "state"):
            escaped = "".join(f"\\u{ord(letter):04x}" for letter in word)
            text = text.replace(word.encode(), escaped.encode())
    return text


@given(
    st.lists(headers(), min_size=1, max_size=2),
    st.lists(bodies(ECIDS[:1]), min_size=2, max_size=6),
)
def test_calls_that_show_the_same_proof_are_of_the_same_whatever_else_they_carry(
    senders: list[str], sent: list[bytes]
) -> None:
    proofs: dict[object, object] = {}
    for header, body in itertools.product(senders, sent):
        call = call_with(header, body)
        shown = shown_by(call)
        if shown is not None:
            with suppress(EdgeError):  # what cannot be read is told so, or is refused before
                proof = caller_of(call).proof
                assert proofs.setdefault(shown, proof) == proof


ENTRIES = [{"key": name, "value": value} for name, value in cookies_of(ECIDS[0]).items()]
STATE = {"state": {"domain": "", "cookiesEnabled": True, "entries": ENTRIES}}
EVENTS = page_view()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({**EVENTS, "meta": STATE}, {**page_view(more={"x": 1}, a=2), "meta": STATE}),
        ({"meta": STATE, **EVENTS}, {"meta": STATE, **page_view(a=[2])}),
        (
            {**EVENTS, "meta": {"queueTimeMillis": 5, **STATE}},
            {**EVENTS, "query": {}, "meta": {"queueTimeMillis": 17, **STATE}},
        ),
    ],
    ids=["behind the events", "before the events", "queued"],
)
def test_a_visitor_is_known_again_by_the_cookies_in_a_body(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    senders = HeavySenders()
    for write in (msgspec.json.encode, spaced):
        call = call_with("shop=1", write(one))
        senders.remember(call, caller_of(call))
        again = call_with("shop=1", write(other))

        known = senders.key_of(again)

        assert known == caller_of(call).profile_key == caller_of(again).profile_key
        assert senders.key_of(call_with("shop=2", again.body)) is None


def spaced(body: Any) -> bytes:
    """As Python's json writes it."""
    return json.dumps(body).encode()


NAMED = {"identityMap": {"ECID": [{"id": ECIDS[1]}]}}


@pytest.mark.parametrize(
    "other",
    [
        {**EVENTS, "xdm": NAMED, "meta": STATE},
        {**EVENTS, "query": STATE},
        {**EVENTS, 'a,{"meta': STATE},
        {**EVENTS, "query": {"meta": STATE}, "meta": {}},
        {"meta": STATE, **EVENTS, "xdm": NAMED},
        {"meta": STATE, **page_view(meta=1), "query": {"meta": 2}},
        {**EVENTS, "meta": {"state": {"entries": ENTRIES[:1]}}},
        {**EVENTS, "meta": {**STATE, "a": "a" * MAX_SHOWN_BYTES}},
    ],
    ids=[
        "another is named",
        "elsewhere",
        "in another name",
        "deeper",
        "another is named behind them",
        "the name again behind them",
        "other cookies",
        "too much",
    ],
)
def test_a_body_with_the_cookies_elsewhere_or_more_beside_them_has_to_be_decoded(
    other: dict[str, Any],
) -> None:
    senders = HeavySenders()
    for members in ({**EVENTS, "meta": STATE}, {"meta": STATE, **EVENTS}):
        call = call_with("", msgspec.json.encode(members))
        senders.remember(call, caller_of(call))
    assert len(senders) == 2

    assert senders.key_of(call_with("", msgspec.json.encode(other))) is None


@given(headers(), bodies())
@example("shop=1", msgspec.json.encode({**EVENTS, "meta": STATE}))
def test_whoever_is_nobody_at_sight_is_nobody(header: str, body: bytes) -> None:
    call = call_with(header, body)
    if of_nobody(call):
        assert caller_of(call).of_nobody


@pytest.mark.parametrize("place", [PLACE, "\\u005f\\u005fperso"], ids=["plain", "escaped"])
def test_an_assertion_of_who_it_is_is_no_matter_of_the_header(place: str) -> None:
    event = f'{{"xdm":{{}},"data":{{"{place}":{{"identityAssertion":"x"}}}}}}'
    text = f'{{"events":[{event}]}}'
    assert PLACE in decode_request(text.encode(), InteractRequest).events[0].data

    assert not told_by_header(text.encode())


@pytest.mark.parametrize("claims", [None, {"CRMID": [{"id": "anna", "primary": True}]}])
def test_a_plain_page_view_is_told_at_sight(claims: Any) -> None:
    """As the SDK sends it, whoever is said to be logged in."""
    asked = {"query": {"identity": {"fetch": ["ECID"]}}}
    named = {"identityMap": claims} if claims else {}
    plain = msgspec.json.encode(page_view(more=asked, **named))

    assert told_by_header(plain)
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
        assert (await flooder.send()).status == 429, "what cannot be read counts as well"


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


class Asked(Turns):
    """Nobody waits. asked: how often somebody asked for a turn."""

    def __init__(self) -> None:
        super().__init__(AFTER_FIRST_VISITS)
        self.asked = 0

    async def turn(self) -> None:
        self.asked += 1


CHOSEN = {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "out"}}]}


@pytest.mark.parametrize(
    ("action", "said"),
    [("interact", SAID), ("privacy/set-consent", CHOSEN)],
    ids=["with an event", "alone"],
)
async def test_what_a_stranger_chooses_gives_way_as_a_first_visit_does(
    action: str, said: Mapping[str, Any]
) -> None:
    first_visits = Asked()
    async with running_edge(
        ordinary(), services=lambda edge: edge.services(first_visits=first_visits)
    ) as edge:
        assert (await edge.call(action, said)).status == 200

        assert first_visits.asked == 2


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
        assert (await edge.call()).status == 200


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


async def test_a_burst_is_as_long_as_it_says_whether_the_header_or_the_body_tells_whose_it_is() -> (
    None
):
    burst = 2 * MANY_CALLS
    for kind in (Browser, InHeader):
        limits = Limits(visitor=Rate(per_s=1, burst=burst))
        async with running_edge(ordinary(), services=partial(quick, limits=limits)) as edge:
            flooder = kind(edge)
            first = await flooder.send()
            answers = [(await flooder.send()).status for _ in range(burst + 3)]
            edge.now_ms += 2_000
            answers += [(await flooder.send()).status for _ in range(4)]

            assert answers == [200] * burst + [429] * 3 + [200] * 2 + [429] * 2
            assert first.ecid is not None
            assert await edge.events(first.ecid) == 1 + burst + 2


def test_no_more_senders_are_known_again_than_may_be() -> None:
    senders = HeavySenders()
    plain = msgspec.json.encode(page_view())
    calls = [
        call_with(cookie_header({**cookies_of(f"{number:038d}"), "shop": str(number)}), plain)
        for number in range(KEPT_SENDERS + 10)
    ]
    for call in calls:
        senders.remember(call, caller_of(call))

    assert len(senders) == KEPT_SENDERS
    assert senders.key_of(calls[0]) is None
    assert senders.key_of(calls[-1]) == f"ECID:{KEPT_SENDERS + 9:038d}"
    other_page = call_with(calls[-1].cookie_header + "; more=1", plain)
    assert senders.key_of(other_page) == f"ECID:{KEPT_SENDERS + 9:038d}"


@pytest.mark.parametrize("header", ["", "fpid=anna", "fpid=anna; kndctr_=", "identity"])
def test_whom_no_cookie_of_ours_proves_is_not_known_again(header: str) -> None:
    senders = HeavySenders()
    call = call_with(header, msgspec.json.encode(page_view()))
    senders.remember(call, caller_of(call))
    twice = cookie_header([*cookies_of(ECIDS[0]).items(), *cookies_of(ECIDS[0]).items()])
    senders.remember(call_with(twice, call.body), caller_of(call_with(twice, call.body)))

    assert len(senders) == 0


async def test_a_batch_that_gave_way_counts_as_many_as_it_brings_events() -> None:
    async with running_edge(ordinary()) as edge:
        limits = Limits(visitor=Rate(per_s=1, burst=MANY_CALLS + 6))
        services = quick(edge, limits=limits)
        batch = call_with(cookie_header(cookies_of(ECIDS[0])), msgspec.json.encode(page_view()))
        caller = caller_of(batch)
        for _ in range(MANY_CALLS):
            assert admit(batch, caller, services) is None

        gives_way = admit(batch, caller, services, events=6)
        assert gives_way is not None
        assert limits.refused(caller.profile_key, edge.now_ms) is None
        await gives_way

        assert limits.refused(caller.profile_key, edge.now_ms) is not None


async def test_a_call_that_waited_before_it_was_counted_sets_no_limit_back() -> None:
    async with running_edge(ordinary()) as edge:
        services = quick(edge, limits=Limits(visitor=Rate(per_s=1, burst=2)))
        waited = call_with(cookie_header(cookies_of(ECIDS[0])), msgspec.json.encode(page_view()))
        edge.now_ms = waited.now_ms + 100_000
        for _ in range(2):
            assert admit(waited, caller_of(waited), services) is None

        refused = admit(waited, caller_of(waited), services)
        assert refused is not None
        with pytest.raises(TooManyRequests):
            await refused


def test_as_many_wait_as_did_once_one_is_over() -> None:
    senders = HeavySenders()
    with suppress(asyncio.CancelledError), senders.waiting("a", 2):
        assert len(senders) == 1
        raise asyncio.CancelledError

    assert len(senders) == 0
