"""Who calls too often is told to wait, and nobody else notices."""

from __future__ import annotations

import gc
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.edge.abuse import MAX_KEPT_CHARS, Limits
from perso_core.edge.addresses import client_prefix, networks
from perso_core.edge.call import Call
from perso_core.edge.limits import Limiter, Rate
from perso_core.edge.problem import TooManyRequests
from tests.building import NOON_MS
from tests.decision.test_tcf import NO_PURPOSE_1
from tests.edge.running import NAMES, Browser, ordinary, page_view, running_edge
from tests.edge.test_consent_standards import tc, with_strings

# ---- a rate with a burst -----------------------------------------------------


def test_a_burst_is_taken_at_once_and_then_one_each_interval() -> None:
    limiter = Limiter(Rate(per_s=2, burst=3))

    assert [limiter.wait_ms("a", 0) for _ in range(4)] == [0, 0, 0, 500]
    assert limiter.wait_ms("a", 499) == 1
    assert limiter.wait_ms("a", 500) == 0
    assert limiter.wait_ms("a", 500) == 500


def test_after_a_pause_the_burst_is_there_again() -> None:
    limiter = Limiter(Rate(per_s=2, burst=3))
    for _ in range(3):
        limiter.wait_ms("a", 0)

    assert [limiter.wait_ms("a", 1_500) for _ in range(4)] == [0, 0, 0, 500]


def test_one_key_does_not_wait_for_another() -> None:
    limiter = Limiter(Rate(per_s=1, burst=1))

    assert (limiter.wait_ms("a", 0), limiter.wait_ms("b", 0)) == (0, 0)


def test_a_clock_that_went_back_locks_nobody_out() -> None:
    limiter = Limiter(Rate(per_s=1, burst=2))
    for _ in range(2):
        limiter.wait_ms("a", 3_600_000)

    assert limiter.wait_ms("a", 0) == 0


def test_a_flood_of_keys_takes_bounded_memory() -> None:
    limiter = Limiter(Rate(per_s=1, burst=1), max_keys=100)

    for number in range(10_000):
        limiter.wait_ms(f"key-{number}", 0)

    assert len(limiter) <= 200


def test_a_key_among_the_last_of_many_is_remembered() -> None:
    limiter = Limiter(Rate(per_s=1, burst=1), max_keys=100)
    limiter.wait_ms("a", 0)

    for number in range(99):
        limiter.wait_ms(f"key-{number}", 0)

    assert limiter.wait_ms("a", 0) == 1_000


def test_a_rate_that_leaves_no_whole_milliseconds_holds_at_every_instant() -> None:
    for now_ms in range(5_000):
        limiter = Limiter(Rate(per_s=3, burst=1))
        limiter.wait_ms("a", now_ms)

        assert limiter.wait_ms("a", now_ms) == 334


def test_what_counts_as_several_is_waited_for_as_long_as_so_many() -> None:
    limiter = Limiter(Rate(per_s=2, burst=10), at_once=100)
    limiter.wait_ms("a", 0)
    limiter.count("a", 5, 0)

    assert [limiter.wait_ms("a", 0) for _ in range(5)] == [0, 0, 0, 0, 500]
    limiter.wait_ms("a", 500)
    limiter.count("a", 99, 500)
    assert limiter.wait_ms("a", 500) == 50_000
    assert limiter.wait_ms("a", 50_500) == 0


@given(
    rate=st.builds(
        Rate,
        per_s=st.sampled_from([0.5, 1, 3, 20, 1_000]),
        burst=st.integers(min_value=1, max_value=50),
    ),
    gaps=st.lists(st.integers(min_value=0, max_value=3_000), max_size=80),
)
def test_no_more_pass_in_any_span_than_the_burst_and_the_rate_allow(
    rate: Rate, gaps: list[int]
) -> None:
    limiter = Limiter(rate)
    now_ms, passed = 0, []
    for gap in gaps:
        now_ms += gap
        wait_ms = limiter.wait_ms("a", now_ms)
        if wait_ms == 0:
            passed.append(now_ms)
        else:
            # Whoever waits as long as it was told gets in.
            now_ms += wait_ms
            assert limiter.wait_ms("a", now_ms) == 0
            passed.append(now_ms)

    for first in range(len(passed)):
        for last in range(first, len(passed)):
            span_s = (passed[last] - passed[first]) / 1_000
            assert last - first + 1 <= rate.burst + span_s * rate.per_s + 1e-6


# ---- whose address it is -----------------------------------------------------

PROXIES = networks(["10.0.0.0/8", "127.0.0.1", "::1"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "prefix"),
    [
        ("203.0.113.7", [], "203.0.113.0/24"),
        ("2001:db8:1:2::7", [], "2001:db8:1::/48"),
        ("::ffff:203.0.113.7", [], "203.0.113.0/24"),
        ("fe80::1%eth0", [], "fe80::/48"),
        (None, ["203.0.113.7"], None),
        # A stranger may write what it likes: only our own proxies are believed.
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.0/24"),
        ("10.1.2.3", ["198.51.100.1"], "198.51.100.0/24"),
        ("10.1.2.3", ["192.0.2.1, 198.51.100.1"], "198.51.100.0/24"),
        ("10.1.2.3", ["192.0.2.1, 198.51.100.1, 10.9.9.9"], "198.51.100.0/24"),
        ("10.1.2.3", ["192.0.2.1", "198.51.100.1"], "198.51.100.0/24"),
        ("::1", ["[2001:db8:1::5]:443"], "2001:db8:1::/48"),
        ("10.1.2.3", ["198.51.100.1:5050"], "198.51.100.0/24"),
        ("10.1.2.3", ["unknown"], "10.1.2.0/24"),
        ("10.1.2.3", [""], "10.1.2.0/24"),
        ("10.1.2.3", ["10.4.4.4"], "10.4.4.0/24"),
        # This machine itself is a proxy, or whoever operates it.
        ("127.0.0.1", [], None),
        ("::1", [], None),
        ("127.0.0.1", ["127.0.0.1"], None),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.0/24"),
    ],
)
def test_the_network_of_a_call_is_the_last_one_that_is_not_ours(
    peer: str | None, forwarded: list[str], prefix: str | None
) -> None:
    assert client_prefix(peer, forwarded, PROXIES) == prefix


def test_without_trusted_proxies_nobody_can_name_another_address() -> None:
    assert client_prefix("203.0.113.7", ["198.51.100.1"], ()) == "203.0.113.0/24"


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=4))
def test_any_header_gives_a_network_or_none(peer: str, forwarded: list[str]) -> None:
    found = client_prefix(peer, forwarded, PROXIES)

    assert found is None or not ip_network(found).is_loopback


# ---- over HTTP ----------------------------------------------------------------


async def test_a_visitor_who_floods_is_told_when_to_come_back_and_others_are_served() -> None:
    limits = Limits(visitor=Rate(per_s=1, burst=3))
    async with running_edge(ordinary(), services=lambda edge: edge.services(limits=limits)) as edge:
        flooder, other = Browser(edge), Browser(edge)
        await flooder.send()
        await other.send()

        answers = [await flooder.send(origin="https://www.shop.test") for _ in range(5)]
        calm = await other.send()

        assert [told.status for told in answers] == [200, 200, 200, 429, 429]
        assert calm.status == 200
        refused = answers[-1]
        assert refused.headers["Retry-After"] == "1"
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.sent["type"] == "urn:perso:edge.too-many-requests"
        # alloy waits as long as it is told, if it can read the header.
        assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]

        edge.now_ms = NOON_MS + 1_000
        assert (await flooder.send()).status == 200


@pytest.mark.parametrize("action", ["interact", "collect"])
async def test_a_visitor_s_batch_counts_as_many_as_it_brings_events(action: str) -> None:
    limits = Limits(visitor=Rate(per_s=1, burst=6))
    batch = {"events": page_view()["events"] * 5}
    async with running_edge(ordinary(), services=lambda edge: edge.services(limits=limits)) as edge:
        browser = Browser(edge)
        await browser.send()

        statuses = [(await browser.send(action, batch)).status for _ in range(3)]

        assert statuses[1:] == [statuses[0], 429], "5, and more than the 1 that was left"
        assert statuses[0] in (200, 204)
        edge.now_ms += 4_000
        assert (await browser.send(action, batch)).status == 429
        edge.now_ms += 1_000
        assert (await browser.send(action, batch)).status == statuses[0]


async def test_what_is_refused_is_not_recorded_and_may_be_sent_again() -> None:
    limits = Limits(visitor=Rate(per_s=1, burst=1))
    async with running_edge(ordinary(), services=lambda edge: edge.services(limits=limits)) as edge:
        browser = Browser(edge)
        first = await browser.send()
        assert first.ecid is not None
        assert (await browser.send(request_id="r-1")).status == 200
        refused = await browser.send(request_id="r-2")

        edge.now_ms += 1_000
        again = await browser.send(request_id="r-2")

        assert (refused.status, again.status) == (429, 200)
        assert await edge.events(first.ecid) == 3


async def test_what_was_refused_is_gone_once_it_is_told() -> None:
    """Whatever is left in a circle then, a full collection that comes by leaves alone for good."""
    limits = Limits(visitor=Rate(per_s=1, burst=1))
    async with running_edge(ordinary(), services=lambda edge: edge.services(limits=limits)) as edge:
        browser = Browser(edge)
        await browser.send()
        await browser.send()
        gc.collect()
        gc.disable()
        try:
            statuses = {(await browser.send()).status for _ in range(10)}
            left = [one for one in gc.get_objects() if isinstance(one, (TooManyRequests, Call))]
        finally:
            gc.enable()

    assert (statuses, left) == ({429}, [])


async def test_a_refusal_is_heard_from_whoever_calls_too_often() -> None:
    limits = Limits(visitor=Rate(per_s=1, burst=1))
    async with running_edge(ordinary(), services=lambda edge: edge.services(limits=limits)) as edge:
        browser = Browser(edge)
        await browser.send()
        await browser.send()

        told = await browser.send(body=with_strings(tc(NO_PURPOSE_1)))

        assert (told.status, told.cookies[NAMES.consent]) == (200, "general=out")
        edge.now_ms += 1_000
        assert (await browser.send()).handles("activation:pull") == []


async def test_a_network_without_cookies_is_limited_before_its_bodies_are_read() -> None:
    limits = Limits(address=Rate(per_s=1, burst=2), trusted=PROXIES)
    async with running_edge(ordinary(), services=lambda edge: edge.services(limits=limits)) as edge:
        home = {"X-Forwarded-For": "198.51.100.7"}
        answers = [(await edge.call(body=b"{", headers=home)).status for _ in range(3)]
        neighbour = await edge.call(headers={"X-Forwarded-For": "198.51.101.7"})

        assert answers == [400, 400, 429]
        assert neighbour.status == 200


@pytest.mark.parametrize("written", ["198.51.100.7", "198.51.100.7" + " " * MAX_KEPT_CHARS])
def test_a_network_is_limited_by_what_its_proxy_says_and_by_nobody_else_s_word(
    written: str,
) -> None:
    limits = Limits(address=Rate(per_s=1, burst=2), trusted=PROXIES)

    def refused(peer: str) -> bool:
        try:
            limits.count_call(peer, [written], "demo", NOON_MS)
        except TooManyRequests:
            return True
        return False

    assert [refused("10.0.0.1") for _ in range(3)] == [False, False, True]
    assert not refused("203.0.113.9"), "no proxy of ours: it counts for itself"
    assert refused("10.0.0.2"), "another proxy of ours"


async def test_a_datastream_has_a_limit_of_its_own() -> None:
    limits = Limits(datastream=Rate(per_s=1, burst=1))
    async with running_edge(ordinary(), services=lambda edge: edge.services(limits=limits)) as edge:
        assert [(await edge.call()).status for _ in range(2)] == [200, 429]
