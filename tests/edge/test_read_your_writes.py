"""P2: what a visitor was told by one process, every other process knows.

Two edges over one database, and nothing that announces what either wrote: the version token alone.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest
from msgspec import Struct
from multidict import CIMultiDict

from perso_core import PageRequest
from perso_core.assembly import open_perso
from perso_core.definitions.document import Definitions
from perso_core.edge.cookies import CookieKeys
from perso_core.edge.services import EdgeServices
from perso_core.edge.version_token import presented, seen_in, token_cookies
from perso_core.engine.engine import NOTHING_SEEN, Interaction, Seen
from perso_core.engine.journal import Forgotten
from perso_core.settings import Settings
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from tests.building import HOUR_MS, NOON_MS, ORG, definitions
from tests.edge.running import (
    KEYS,
    NAMES,
    Browser,
    RunningEdge,
    Told,
    added_to_basket,
    cookie_header,
    page_view,
    running_edge,
)
from tests.edge.servers import server_call, shown_key, telling, with_attributes
from tests.edge.test_identity_assertions import assertion, saying
from tests.edge.test_identity_assertions import defined as signing_in
from tests.worker.stack import WatchedStore


def choice(general: str) -> dict[str, object]:
    return {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": general}}]}


IN, OUT = choice("in"), choice("out")


ADDED = "commerce.productListAdds"


class Two(Struct):
    """Two processes. loads: keys that the second has read."""

    first: RunningEdge
    second: RunningEdge
    loads: list[str]


def with_tokens(edge: RunningEdge) -> EdgeServices:
    return edge.services(seen=edge.engine.seen)


async def two(stack: AsyncExitStack, defined: Definitions | None = None, **more: object) -> Two:
    database = MemoryDatabase()
    watched = WatchedStore(MemoryStore(database))
    defined = defined or definitions(**more)  # type: ignore[arg-type]  # passed on as they are
    first = await stack.enter_async_context(
        running_edge(defined, store=MemoryStore(database), services=with_tokens)
    )
    second = await stack.enter_async_context(
        running_edge(defined, store=watched, services=with_tokens)
    )
    return Two(first, second, watched.loads)


@pytest.fixture
async def processes() -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        yield await two(stack)


async def known_to_both(processes: Two) -> Browser:
    """A visitor whose profile both hold in memory."""
    browser = Browser(processes.first)
    await browser.send()
    browser.edge = processes.second
    await browser.send()
    browser.edge = processes.first
    return browser


async def test_what_one_process_kept_is_in_the_answer_of_the_next(processes: Two) -> None:
    browser = await known_to_both(processes)

    await browser.send(body=added_to_basket())
    browser.edge = processes.second

    assert (await browser.send()).audiences == ["basket"]


async def test_so_it_is_for_a_page_of_which_nothing_is_kept(processes: Two) -> None:
    browser = await known_to_both(processes)

    await browser.send(body=added_to_basket())

    assert "basket" in await processes.second.look(browser.cookies)
    del browser.cookies[NAMES.version]
    assert "basket" in await processes.second.look(browser.cookies), "by now it knows"


async def test_where_another_process_was_faster_the_answer_tells_what_was_stored(
    processes: Two,
) -> None:
    """As of two tabs at once: the second one's cookies are from before the first one's answer."""
    browser = await known_to_both(processes)
    before = dict(browser.cookies)
    await browser.send(body=added_to_basket())
    browser.cookies = before
    browser.edge = processes.second

    told = await browser.send()

    assert told.audiences == ["basket"]


async def test_so_is_a_server_told() -> None:
    async with AsyncExitStack() as stack:
        both = await two(stack, with_attributes())
        await server_call(both.second, telling("page", CRMID="1"), request_id="r1")
        await server_call(both.first, telling(ADDED, CRMID="1"), request_id="r2")

        told = await server_call(both.second, telling("page", CRMID="1"), request_id="r3")

    assert told.audiences == ["basket"]


async def test_and_a_device_whose_part_has_moved_to_the_customer_meanwhile() -> None:
    """It is not told what is somebody's by now, also where overlapping replies have set its token
    back (P3)."""
    async with AsyncExitStack() as stack:
        both = await two(stack, signing_in())
        browser = await known_to_both(both)
        await browser.send(body=added_to_basket())
        browser.edge = both.second
        ecid = (await browser.send()).ecid
        assert ecid
        before = dict(browser.cookies)
        browser.edge = both.first
        assert (await browser.send(body=saying(assertion(ecid)))).audiences == ["basket"]
        browser.cookies, browser.edge = before, both.second

        assert (await browser.send()).audiences == []


async def test_without_the_token_an_old_answer_is_given(processes: Two) -> None:
    """So that the test before says something."""
    browser = await known_to_both(processes)

    await browser.send(body=added_to_basket())
    del browser.cookies[NAMES.version]
    browser.edge = processes.second
    asked = Interaction(
        profile_key=f"ECID:{(await browser.send('identity/acquire')).ecid}", datastream_id="demo"
    )

    (found,) = (await processes.second.admission.decided(asked)).lookups
    assert found.destinations[0].audiences == ()


async def test_visits_that_go_back_and_forth_are_all_in_force_everywhere(processes: Two) -> None:
    browser = await known_to_both(processes)
    chance = Random(1)
    for number in range(30):
        browser.edge = chance.choice((processes.first, processes.second))
        told = await browser.send(body=page_view(_id=f"visit-{number}"))
        assert told.errors == []

    key = f"ECID:{told.ecid}"
    profile = await processes.first.profile(key)
    assert profile
    assert {f"visit-{number}" for number in range(30)} <= {event.id for event in profile.events}


async def test_a_token_that_matches_costs_no_read(processes: Two) -> None:
    browser = await known_to_both(processes)
    browser.edge = processes.second
    await browser.send()
    before = len(processes.loads)

    for _ in range(5):
        await browser.send(body=added_to_basket())

    assert len(processes.loads) == before


async def test_a_newer_token_costs_one_read(processes: Two) -> None:
    browser = await known_to_both(processes)
    await browser.send(body=added_to_basket())
    before = len(processes.loads)

    browser.edge = processes.second
    for _ in range(3):
        await browser.send("identity/acquire")

    assert len(processes.loads) == before + 1


async def test_a_choice_made_at_one_process_holds_at_the_next() -> None:
    async with AsyncExitStack() as stack:
        processes = await two(stack, default_consent="pending")
        browser = Browser(processes.first)
        await browser.send("privacy/set-consent", OUT)
        browser.cookies.pop(NAMES.consent)
        browser.edge = processes.second
        assert (await browser.send()).warnings == ["EXEG-0301-200"]

        browser.edge = processes.first
        processes.first.now_ms += 1
        await browser.send("privacy/set-consent", IN)
        browser.edge = processes.second

        assert (await browser.send()).warnings == []


async def test_a_refusal_made_at_one_process_holds_at_the_next(processes: Two) -> None:
    browser = await known_to_both(processes)
    await browser.send(body=added_to_basket())
    await browser.send("privacy/set-consent", OUT)
    browser.edge = processes.second

    assert (await browser.send()).warnings == ["EXEG-0301-200"]


@pytest.fixture
async def processes_with_servers() -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        yield await two(stack, with_attributes())


async def forwarded(edge: RunningEdge, browser: Browser, event: dict[str, object]) -> Told:
    """A server's call, with the cookies of its visitor."""
    cookie = cookie_header(browser.cookies)
    return await server_call(edge, {"event": event}, headers=shown_key(), cookie=cookie)


async def test_a_server_that_forwards_the_cookies_is_told_what_their_page_was(
    processes_with_servers: Two,
) -> None:
    browser = await known_to_both(processes_with_servers)

    await browser.send(body=added_to_basket())

    told = await forwarded(processes_with_servers.second, browser, {})
    assert told.audiences == ["basket"]


async def test_a_refusal_on_a_page_holds_for_a_server_that_forwards_the_cookies(
    processes_with_servers: Two,
) -> None:
    browser = await known_to_both(processes_with_servers)
    await browser.send("privacy/set-consent", OUT)

    customer = telling(CRMID="4711")["event"]
    told = await forwarded(processes_with_servers.second, browser, customer)

    assert told.warnings == ["EXEG-0301-200"]


async def test_a_single_process_tells_no_token() -> None:
    async with running_edge(definitions()) as edge:
        told = await Browser(edge).send(body=added_to_basket())

    assert NAMES.version not in told.cookies


async def test_a_visitor_without_consent_gets_no_token() -> None:
    async with running_edge(definitions(default_consent="pending"), services=with_tokens) as edge:
        told = await Browser(edge).send(body=added_to_basket())

    assert NAMES.version not in told.cookies


async def test_a_beacon_of_the_sites_own_edge_sets_the_token_by_header(processes: Two) -> None:
    browser = await known_to_both(processes)
    own = processes.first.url

    told = await browser.send(
        "collect", added_to_basket(), origin=own, headers={"Sec-Fetch-Site": "same-origin"}
    )

    set_cookies = CIMultiDict(told.headers).getall("Set-Cookie", [])
    assert told.status == 204
    assert [one.partition("=")[0] for one in set_cookies] == [NAMES.version]


async def test_a_visitor_who_was_forgotten_elsewhere_is_answered_by_what_is_left(
    processes: Two,
) -> None:
    browser = await known_to_both(processes)
    told = await browser.send(body=added_to_basket())
    gone = Interaction(
        profile_key=f"ECID:{told.ecid}", datastream_id="demo", changes=(Forgotten(),)
    )
    answer = await processes.first.admission.decided(gone)
    await processes.first.drain.durable(answer.sequence)

    browser.edge = processes.second
    assert (await browser.send()).audiences == []
    before = len(processes.loads)
    await browser.send()
    assert len(processes.loads) == before, "the token is that of what is left"


# ---- the token itself ------------------------------------------------------------

KEY = "ECID:" + "7" * 38
SEEN = Seen(41, NOON_MS)


def read(value: str, key: str = KEY, org: str = ORG) -> Seen:
    return seen_in(presented({NAMES.version: (value,)}, ORG), key, org=org, keys=KEYS)


def written(seen: Seen = SEEN) -> str:
    return set_to(seen, ())


def set_to(seen: Seen, held: tuple[str, ...], key: str = KEY) -> str:
    """What the cookie is set to where these tokens are held."""
    (cookie,) = token_cookies(held, key, seen, org=ORG, keys=KEYS)
    return cookie.value


@pytest.mark.parametrize("seen", [SEEN, Seen(1), Seen(0, 1), Seen((1 << 63) - 1)])
def test_a_token_says_what_it_was_made_of(seen: Seen) -> None:
    assert read(written(seen)) == seen


def test_a_token_of_another_profile_or_org_says_nothing() -> None:
    assert read(written(), "ECID:" + "8" * 38) == NOTHING_SEEN
    assert seen_in((written(),), KEY, org="X", keys=KEYS) == NOTHING_SEEN


def test_no_single_bit_of_a_token_can_change() -> None:
    raw = base64.urlsafe_b64decode(written())
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert read(base64.urlsafe_b64encode(flipped).decode()) == NOTHING_SEEN


@pytest.mark.parametrize(
    "value", ["", "x", "=", "é", "é" * 48, "A" * 35, "A" * 36, "A" * 48, "=" * 48, "A" * 5_000, " "]
)
def test_what_is_no_token_says_nothing(value: str) -> None:
    assert read(value) == NOTHING_SEEN


def test_a_key_may_be_longer_than_a_mac_takes() -> None:
    keys = CookieKeys(current=7, keys={7: bytes(range(200))})
    (cookie,) = token_cookies((), KEY, SEEN, org=ORG, keys=keys)

    assert seen_in((cookie.value,), KEY, org=ORG, keys=keys) == SEEN


def test_of_several_tokens_the_newest_counts() -> None:
    values = (written(Seen(3)), "junk", written(Seen(9)), written(Seen(5)))

    assert seen_in(values, KEY, org=ORG, keys=KEYS) == Seen(9)


def test_a_cookie_keeps_the_tokens_of_two_profiles_and_no_more() -> None:
    person, stranger = "org demo CRMID:1", "org demo CRMID:2"
    held: tuple[str, ...] = (set_to(Seen(1), ()),)
    held = tuple(set_to(Seen(2), held, person).split("."))
    assert (read(".".join(held)), read(".".join(held), person)) == (Seen(1), Seen(2))

    held = tuple(set_to(Seen(3), held).split("."))
    assert (read(".".join(held)), read(".".join(held), person)) == (Seen(3), Seen(2))
    held = tuple(set_to(Seen(4), held, stranger).split("."))
    assert len(held) == 2
    assert not token_cookies(held, stranger, Seen(4), org=ORG, keys=KEYS), "it says so already"


def test_beside_a_persons_token_the_one_of_the_device_is_kept_whoever_held_it_before() -> None:
    before, person = "org demo CRMID:1", "org demo CRMID:2"
    device = set_to(Seen(1), ())
    for held in ((device, set_to(Seen(2), (), before)), (set_to(Seen(2), (), before), device)):
        (cookie,) = token_cookies(held, person, Seen(3), org=ORG, keys=KEYS, beside=KEY)
        assert (read(cookie.value), read(cookie.value, person)) == (Seen(1), Seen(3))


def test_a_clock_that_went_back_makes_nobody_see_less() -> None:
    older, newer = Seen(5, NOON_MS), Seen(6, NOON_MS - HOUR_MS)

    assert newer.beyond(older)
    assert older.beyond(newer), "each knows something that the other does not"


# ---- rendered pages, on the real store -------------------------------------------


def alone(directory: Path) -> Settings:
    """Two of these hear nothing of each other for ten seconds."""
    return Settings(data_dir=str(directory), workers=2, news_interval_ms=10_000)


async def test_a_page_rendered_by_one_process_knows_what_another_was_told(tmp_path: Path) -> None:
    async with open_perso(alone(tmp_path), clock_ms=lambda: NOON_MS) as first:
        await first.apply(definitions())
        async with open_perso(alone(tmp_path), clock_ms=lambda: NOON_MS) as second:
            cookies: dict[str, str] = {}
            for number in range(6):
                perso, event = ((first, "view"), (second, "commerce.productListAdds"))[number % 2]
                visitor = await perso.visit(
                    PageRequest(
                        datastream_id="demo",
                        cookie_header=cookie_header(cookies),
                        xdm={"eventType": event},
                        wait_ms=10_000,
                    )
                )
                cookies |= {one.name: one.value for one in visitor.cookies}
                assert ("basket" in visitor) is (number > 0)


async def test_a_rendered_page_tells_what_was_stored_where_another_process_was_faster(
    tmp_path: Path,
) -> None:
    def viewed(event: str, cookies: dict[str, str]) -> PageRequest:
        return PageRequest(
            datastream_id="demo",
            cookie_header=cookie_header(cookies),
            xdm={"eventType": event},
            wait_ms=10_000,
        )

    async with open_perso(alone(tmp_path), clock_ms=lambda: NOON_MS) as first:
        await first.apply(definitions())
        async with open_perso(alone(tmp_path), clock_ms=lambda: NOON_MS) as second:
            visitor = await first.visit(viewed("view", {}))
            cookies = {one.name: one.value for one in visitor.cookies}
            await second.visit(viewed("view", cookies))
            cookies |= {
                one.name: one.value for one in (await first.visit(viewed("view", cookies))).cookies
            }
            await second.visit(viewed("view", cookies))
            assert "basket" in await first.visit(viewed(ADDED, cookies))

            assert "basket" in await second.visit(viewed("view", cookies))


@pytest.mark.parametrize("says", ["gold", "out"])
async def test_what_a_page_said_of_its_visitor_every_process_knows_by_the_next_page(
    says: str, tmp_path: Path
) -> None:
    """An attribute, or a refusal: its cookies carry the version token, as those of a visit do."""
    rules = {"gold": 'loyalty.tier = "gold"'}

    def viewed(cookies: dict[str, str], event: str = "") -> PageRequest:
        """event: of the visit; "": it is not recorded."""
        return PageRequest(
            datastream_id="demo",
            cookie_header=cookie_header(cookies),
            xdm={"eventType": event} if event else None,
            wait_ms=10_000,
        )

    async with open_perso(alone(tmp_path), clock_ms=lambda: NOON_MS) as first:
        await first.apply(definitions(rules))
        async with open_perso(alone(tmp_path), clock_ms=lambda: NOON_MS) as second:
            cookies: dict[str, str] = {}
            for perso, event in ((first, "view"), (second, "view"), (first, "")):
                visitor = await perso.visit(viewed(cookies, event))
                cookies |= {one.name: one.value for one in visitor.cookies}
            visitor = await (
                visitor.choose_consent("out")
                if says == "out"
                else visitor.update({"loyalty": {"tier": "gold"}})
            )
            # All but the refusal's own cookie, which would be enough.
            set_now = {one.name: one.value for one in visitor.cookies}
            cookies |= {name: value for name, value in set_now.items() if name != NAMES.consent}

            told = await second.visit(viewed(cookies))

    assert told.state == ("no-consent" if says == "out" else "known")
    assert ("gold" in told) is (says == "gold")
