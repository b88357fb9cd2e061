"""A version token names the incarnation of the store that has the version: after a restore, or in a
database made anew, versions go back or begin again, and one of before is compared with none."""

from __future__ import annotations

import base64
import copy
import hmac
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest
from msgspec import Struct, field, structs

from perso_core import PageRequest
from perso_core.assembly import DATABASE, Perso, open_perso
from perso_core.decision.identity import Device, ecid_from
from perso_core.edge import version_token
from perso_core.edge.version_token import (
    MAX_AGE_S,
    of_another,
    presented,
    seen_in,
    token_cookies,
    tokens_to_hold,
)
from perso_core.engine.engine import NOTHING_SEEN, Seen
from perso_core.stores.incarnation import new_epoch
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.stores.sqlite_backup import copy_store, put_back
from tests.building import NOON_MS, ORG, definitions
from tests.edge.running import (
    KEYS,
    NAMES,
    Browser,
    RunningEdge,
    added_to_basket,
    cookie_header,
    page_view,
    running_edge,
)
from tests.edge.test_read_your_writes import alone, with_tokens
from tests.worker.stack import WatchedStore

KEY = Device(ecid_from(bytes(16))).profile_key
ONE, OTHER = 7, 8


def restore(database: MemoryDatabase, backup: MemoryDatabase) -> None:
    """Put the backup in its place, as `perso restore` does with a file."""
    for name, kept in structs.asdict(copy.deepcopy(backup)).items():
        setattr(database, name, kept)
    database.epoch = new_epoch()


async def started(stack: AsyncExitStack, database: MemoryDatabase) -> tuple[RunningEdge, list[str]]:
    """A process on the database, and the keys that it reads."""
    watched = WatchedStore(MemoryStore(database))
    edge = await stack.enter_async_context(
        running_edge(definitions(), store=watched, services=with_tokens)
    )
    edge.engine.following.follow(database.epoch)
    return edge, watched.loads


async def test_a_token_of_before_a_restore_is_answered_at_once_by_what_there_is() -> None:
    async with AsyncExitStack() as stack:
        database = MemoryDatabase()
        edge, _ = await started(stack, database)
        browser = Browser(edge)
        await browser.send()
        backup = copy.deepcopy(database)
        assert (await browser.send(body=added_to_basket())).audiences == ["basket"]
        restore(database, backup)

        browser.edge, loads = await started(stack, database)
        told = await browser.send()
        assert (told.errors, told.audiences) == ([], [])
        read = len(loads)
        await browser.send()
        assert len(loads) == read, "the token is one of this store"


async def test_a_token_of_after_a_restore_is_not_taken_for_an_older_one() -> None:
    """By a process that holds what was there before, and has not heard of it."""
    async with AsyncExitStack() as stack:
        database = MemoryDatabase()
        before, loads = await started(stack, database)
        browser = Browser(before)
        await browser.send()
        backup = copy.deepcopy(database)
        for number in range(5):
            await browser.send(body=page_view(_id=f"lost-{number}"))
        restore(database, backup)
        browser.edge, _ = await started(stack, database)
        await browser.send(body=added_to_basket())

        browser.edge = before
        read = len(loads)
        assert "basket" in await before.look(browser.cookies)
        assert len(loads) > read
        told = await browser.send(body=page_view(_id="kept"))

        profile = await browser.edge.profile(f"ECID:{told.ecid}")
        assert profile is not None
        assert {event.id for event in profile.events}.isdisjoint(f"lost-{n}" for n in range(5))
        assert profile.events[-1].id == "kept"


async def test_whoever_comes_first_tells_a_process_of_the_restore_for_all() -> None:
    async with AsyncExitStack() as stack:
        database = MemoryDatabase()
        edge, _ = await started(stack, database)
        anna, bert = Browser(edge), Browser(edge)
        await anna.send()
        backup = copy.deepcopy(database)
        await anna.send(body=added_to_basket())
        restore(database, backup)
        await bert.send()

        del anna.cookies[NAMES.version]
        assert (await anna.send()).audiences == []


@pytest.mark.parametrize("earlier", [True, False])
async def test_whoever_comes_with_a_token_of_before_the_upgrade_sees_what_he_was_told(
    earlier: bool,
) -> None:
    async with AsyncExitStack() as stack:
        database = MemoryDatabase()
        first, _ = await started(stack, database)
        second, loads = await started(stack, database)
        browser = Browser(second)
        await browser.send()
        browser.edge = first
        told = await browser.send(body=added_to_basket())
        if earlier:
            browser.cookies[NAMES.version] = token_of_before(
                seen_in(
                    presented({NAMES.version: (browser.cookies[NAMES.version],)}, ORG),
                    f"ECID:{told.ecid}",
                    org=ORG,
                    keys=KEYS,
                ),
                f"ECID:{told.ecid}",
            )

        browser.edge = second
        assert (await browser.send()).audiences == ["basket"]
        read = len(loads)
        await browser.send()
        assert len(loads) == read


# ---- rendered pages, on the real store -------------------------------------------


class Reader(Struct):
    """A browser whose pages the site's server renders, by one process or another."""

    cookies: dict[str, str] = field(default_factory=dict)

    async def reads(self, perso: Perso, event_type: str = "view") -> bool:
        """One page; whether the reader is told as somebody with something in the basket."""
        visitor = await perso.visit(
            PageRequest(
                datastream_id="demo",
                cookie_header=cookie_header(self.cookies),
                xdm={"eventType": event_type},
                wait_ms=10_000,
            )
        )
        assert visitor.state in ("new", "known")
        self.cookies |= {one.name: one.value for one in visitor.cookies}
        return "basket" in visitor


async def test_a_process_that_has_the_replaced_file_open_answers_by_what_is_there(
    tmp_path: Path,
) -> None:
    """Somebody puts an older database in its place and does not stop the servers."""
    path, reader = tmp_path / DATABASE, Reader()
    async with AsyncExitStack() as stack:
        left = await stack.enter_async_context(opened(tmp_path))
        await left.apply(definitions())
        await reader.reads(left)
        copy_store(path, tmp_path / "backup", lambda done, of: None)
        for _ in range(5):
            assert await reader.reads(left, "commerce.productListAdds")
        put_back(tmp_path / "backup", path, lambda done, of: None)
        restarted = await stack.enter_async_context(opened(tmp_path))

        assert not await reader.reads(restarted)
        assert not await reader.reads(left)
        assert await reader.reads(left, "commerce.productListAdds")
        assert await reader.reads(restarted)


async def test_in_a_database_made_anew_a_token_of_before_waits_for_nothing(tmp_path: Path) -> None:
    reader = Reader()
    for _ in range(2):
        async with opened(tmp_path) as perso:
            await perso.apply(definitions())
            assert not await reader.reads(perso)
            for _ in range(3):
                assert await reader.reads(perso, "commerce.productListAdds")
        remove(tmp_path)


def remove(directory: Path) -> None:
    for one in directory.glob(f"{DATABASE}*"):
        one.unlink()


def opened(directory: Path) -> AbstractAsyncContextManager[Perso]:
    return open_perso(alone(directory), clock_ms=lambda: NOON_MS)


# ---- the token itself ------------------------------------------------------------


def token_of_before(seen: Seen, key: str = KEY, *, version: int = 1) -> str:
    """As a Perso wrote them that had an earlier MAC; the first version knew no epochs."""
    numbers = [seen.version.to_bytes(8), seen.consent_ms.to_bytes(6)]
    if version > 1:
        numbers.append(seen.epoch.to_bytes(6))
    head = bytes((KEYS.current,)) + b"".join(numbers)
    parts = (b"perso version %d" % version, head, ORG.encode(), key.encode())
    message = b"".join(len(part).to_bytes(4) + part for part in parts)
    tag = hmac.digest(KEYS.keys[KEYS.current], message, "sha256")[:12]
    return base64.urlsafe_b64encode(head + tag).decode()


def token(seen: Seen) -> str:
    (cookie,) = token_cookies((), KEY, seen, org=ORG, keys=KEYS)
    return cookie.value


def read(*tokens: str) -> Seen:
    return seen_in(tokens, KEY, org=ORG, keys=KEYS)


@pytest.mark.parametrize("epoch", [1, ONE, (1 << 48) - 1])
def test_a_token_names_the_epoch(epoch: int) -> None:
    assert read(token(Seen(41, NOON_MS, epoch))) == Seen(41, NOON_MS, epoch)


def test_a_token_of_before_the_mac_became_another_one_counts_as_those_of_now() -> None:
    """A worker of an earlier Perso runs beside, in a rolling restart."""
    seen = Seen(41, NOON_MS, ONE)
    (cookie,) = token_cookies(
        (token_of_before(seen, version=2),), KEY, Seen(42, NOON_MS, ONE), org=ORG, keys=KEYS
    )

    assert read(token_of_before(seen, version=2)) == seen
    assert read(token_of_before(seen, "ECID:other", version=2)) == NOTHING_SEEN
    assert cookie.value == token(Seen(42, NOON_MS, ONE)), "it is replaced"


def test_whatever_another_epoch_told_is_beyond_what_there_is() -> None:
    for version in (1, 41, 1_000):
        assert read(token(Seen(version, 0, ONE))).beyond(Seen(41, NOON_MS, OTHER))


def test_tokens_of_two_epochs_are_beyond_what_either_has() -> None:
    both = read(token(Seen(3, 0, ONE)), token(Seen(9, 0, OTHER)))

    assert both.beyond(Seen(99, NOON_MS, ONE))
    assert both.beyond(Seen(99, NOON_MS, OTHER))


def test_of_two_tokens_of_one_epoch_what_either_says_counts() -> None:
    assert read(token(Seen(3, 5, ONE)), token(Seen(9, 2, ONE))) == Seen(9, 5, ONE)


def test_a_token_of_before_there_were_epochs_is_beyond_what_there_is() -> None:
    seen = read(token_of_before(Seen(41, NOON_MS)))

    assert seen == Seen(41, NOON_MS)
    assert seen.beyond(Seen(99, NOON_MS, ONE))


def test_it_is_replaced_and_one_of_another_profile_beside_it_stays() -> None:
    person = "org demo CRMID:1"
    held = (token_of_before(Seen(41)), token_of_before(Seen(2), person))

    (cookie,) = token_cookies(held, KEY, Seen(41, 0, ONE), org=ORG, keys=KEYS)

    tokens = cookie.value.split(".")
    assert (read(*tokens), seen_in(tokens, person, org=ORG, keys=KEYS)) == (
        Seen(41, 0, ONE),
        Seen(2),
    )
    assert cookie.max_age_s == MAX_AGE_S


def test_a_token_of_before_with_another_mac_says_nothing() -> None:
    """Nor does one of today's that was cut to its length."""
    raw = base64.urlsafe_b64decode(token_of_before(Seen(41)))
    cut = base64.urlsafe_b64decode(token(Seen(41, NOON_MS, ONE)))
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert read(base64.urlsafe_b64encode(flipped).decode()) is NOTHING_SEEN
    for short in (cut[:27], cut[:15] + cut[21:]):
        assert read(base64.urlsafe_b64encode(short).decode()) is NOTHING_SEEN


def test_a_token_of_before_that_is_of_another_profile_is_seen_to_be() -> None:
    other = token_of_before(Seen(41), "ECID:" + "8" * 38)

    assert of_another((other,), (KEY,), org=ORG, keys=KEYS)
    assert not of_another((token_of_before(Seen(41)),), (KEY,), org=ORG, keys=KEYS)


def test_of_nobody_of_whom_something_is_kept_no_token_is_told() -> None:
    assert token_cookies((), KEY, Seen(0, 0, ONE), org=ORG, keys=KEYS) == ()


def test_a_token_stands_where_the_profile_is_no_longer_in_memory() -> None:
    def seen(key: str) -> Seen:
        return NOTHING_SEEN

    held = (token(Seen(41, NOON_MS, ONE)),)

    assert tokens_to_hold(held, KEY, seen, org=ORG, keys=KEYS) == ()
    assert tokens_to_hold(held, "o demo CRMID:1", seen, org=ORG, keys=KEYS, beside=KEY) == ()


def test_of_a_text_that_is_too_long_for_a_token_nothing_is_kept() -> None:
    version_token._seen.cache_clear()
    sent = ("c" * 60_000,)

    assert seen_in(sent, KEY, org=ORG, keys=KEYS) == NOTHING_SEEN
    assert not of_another(sent, [KEY], org=ORG, keys=KEYS)
    assert token_cookies(sent, KEY, NOTHING_SEEN, org=ORG, keys=KEYS, beside=KEY) == ()
    assert not version_token._seen.cache_info().currsize
