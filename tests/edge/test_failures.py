"""No fault of ours breaks a page: a valid answer, in time, that says what failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from perso_core.decision.projection import Projection
from perso_core.edge.services import EdgeServices
from perso_core.edge.unstored import Deadline, finished, on_disk
from perso_core.engine.engine import Answer, Interaction
from perso_core.engine.journal import Entry
from perso_core.errors import Overloaded, StoreUnavailable, UnknownDatastream
from perso_core.stores.memory import MemoryStore
from perso_core.stores.protocol import Committed, Stored
from tests.building import definitions
from tests.edge.running import (
    PAGE,
    Browser,
    RunningEdge,
    Told,
    added_to_basket,
    ordinary,
    page_view,
    running_edge,
)
from tests.patience import PATIENT_MS

CONSENT = {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}]}
REFUSAL = {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "out"}}]}
SILENT = {"consent": [{"standard": "Adobe", "version": "2.0", "value": {"share": {"val": "p"}}}]}
WRITING: list[tuple[str, Any]] = [
    ("interact", page_view()),
    ("collect", page_view()),
    ("privacy/set-consent", CONSENT),
]
# What interact tells of an event that was decided, and of a visitor whose profile is not read.
DECIDED = ("identity:result", "activation:pull", "locationHint:result", "state:store")
UNREAD = ("identity:result", "locationHint:result")


class FailingStore(MemoryStore):
    """Takes nothing, or gives nothing, while told so. stuck: writes wait for this event."""

    refuses_writes = False
    refuses_reads = False
    stuck: asyncio.Event | None = None

    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        if self.refuses_reads:
            raise StoreUnavailable("the disk is gone.", fix="Bring it back.")
        return await super().load(key, projection)

    async def commit(self, entries: Sequence[Entry], *, announce: bool = False) -> Committed:
        if self.stuck:
            await self.stuck.wait()
        if self.refuses_writes:
            raise StoreUnavailable("the disk is full.", fix="Make room.")
        return await super().commit(entries, announce=announce)


def assert_not_stored(told: Told, *handles: str) -> None:
    """And told is what could be without the store."""
    assert (told.status, told.errors) == (207, ["EXEG-0201-503"])
    assert tuple(handle["type"] for handle in told.sent["handle"]) == handles
    assert told.sent["errors"][0]["status"] == 503


@pytest.mark.parametrize(("action", "body"), WRITING)
async def test_what_could_not_be_stored_is_a_207_that_says_so(action: str, body: object) -> None:
    store = FailingStore()
    async with running_edge(ordinary(), store=store) as edge:
        store.refuses_writes = True
        told = await edge.call(action, body, request_id="r-1", origin=PAGE)

        assert_not_stored(told, *(DECIDED if action == "interact" else ()))
        assert told.sent["requestId"] == "r-1"
        assert told.sent["errors"][0]["report"]["configId"] == "demo"
        assert told.headers["Access-Control-Allow-Origin"] == PAGE


async def test_the_edge_stores_again_once_the_store_does() -> None:
    store = FailingStore()
    async with running_edge(ordinary(), store=store) as edge:
        browser = Browser(edge)
        first = await browser.send()
        assert first.ecid is not None
        store.refuses_writes = True
        assert_not_stored(await browser.send(request_id="r-1"), *DECIDED)
        assert await edge.events(first.ecid) == 1
        store.refuses_writes = False

        told = await browser.send(request_id="r-1")

        assert told.status == 200
        assert await edge.events(first.ecid) == 2


@pytest.mark.parametrize("action", ["interact", "collect", "identity/acquire"])
async def test_a_profile_that_cannot_be_read_is_not_taken_for_none(action: str) -> None:
    store = FailingStore()
    async with running_edge(ordinary(), store=store) as before_the_restart:
        known = await before_the_restart.call()
    async with running_edge(ordinary(), store=store) as edge:
        store.refuses_reads = True
        browser = Browser(edge)
        browser.cookies.update(known.cookies)

        told = await browser.send(action)

        assert_not_stored(told, *(() if action == "collect" else UNREAD))
        assert told.ecid == (None if action == "collect" else known.ecid)


async def test_a_stuck_disk_is_not_waited_for() -> None:
    store = FailingStore()

    def hurried(edge: RunningEdge) -> EdgeServices:
        return edge.services(answer_within_ms=50)

    async with running_edge(ordinary(), store=store, services=hurried) as edge:
        store.stuck = asyncio.Event()
        answers = await asyncio.gather(*(edge.call() for _ in range(5)))
        store.stuck.set()

    for told in answers:
        assert_not_stored(told, *DECIDED)


async def test_of_what_is_stored_after_its_answer_nobody_was_told_that_it_is_not() -> None:
    """Time was up before the disk said either."""
    store = FailingStore()

    def hurried(edge: RunningEdge) -> EdgeServices:
        return edge.services(answer_within_ms=50)

    async with running_edge(ordinary(), store=store, services=hurried) as edge:
        store.stuck = asyncio.Event()
        told = await edge.call()
        store.stuck.set()
        await asyncio.wait_for(_waiting(edge, 0), PATIENT_MS / 1_000)

        assert told.ecid is not None
        assert await edge.events(told.ecid) == 1
    detail = "It is not known to be stored. Send the same request again later."
    assert [error["detail"] for error in told.sent["errors"]] == [detail]


def ahead_of_the_disk(edge: RunningEdge) -> EdgeServices:
    return edge.services(ahead=edge.drain.keeps_up)


async def test_a_site_may_have_events_answered_before_they_are_on_disk_and_choices_never() -> None:
    store = FailingStore()

    def hurried(edge: RunningEdge) -> EdgeServices:
        return replace(ahead_of_the_disk(edge), answer_within_ms=50)

    async with running_edge(definitions(), store=store, services=hurried) as edge:
        store.stuck = asyncio.Event()
        told = await edge.call(body=added_to_basket())
        chosen = await edge.call("privacy/set-consent", CONSENT)
        store.stuck.set()
        await edge.call("privacy/set-consent", CONSENT)  # waits for all that was before it

        assert (told.status, told.errors) == (200, [])
        assert told.audiences == ["basket"]
        assert_not_stored(chosen)
        assert told.ecid is not None
        assert await edge.events(told.ecid) == 1


async def test_a_refusal_is_not_told_before_it_is_on_disk_where_events_are_answered_ahead() -> None:
    store = FailingStore()

    def hurried(edge: RunningEdge) -> EdgeServices:
        return edge.services(ahead=edge.drain.keeps_up, answer_within_ms=50)

    async with running_edge(ordinary(), store=store, services=hurried) as edge:
        browser = Browser(edge)
        await browser.send("privacy/set-consent", CONSENT)
        store.stuck = asyncio.Event()
        refused = await browser.send("privacy/set-consent", REFUSAL)

        told = await browser.send()
        store.stuck.set()

    assert refused.status == told.status == 207
    assert told.cookies == {}


async def test_a_consent_cookie_says_nothing_that_is_not_on_disk() -> None:
    """An agreement waits for the disk while a call says nothing of collecting."""
    store = FailingStore()

    def hurried(edge: RunningEdge) -> EdgeServices:
        return edge.services(answer_within_ms=50)

    async with running_edge(
        ordinary(default_consent="pending"), store=store, services=hurried
    ) as edge:
        browser = Browser(edge)
        await browser.send("privacy/set-consent", CONSENT)
        await browser.send("privacy/set-consent", REFUSAL)
        store.stuck = asyncio.Event()
        await browser.send("privacy/set-consent", CONSENT)

        told = await browser.send("privacy/set-consent", SILENT)
        store.stuck.set()

    assert told.status == 207
    assert told.cookies == {}


async def test_events_that_come_faster_than_the_disk_takes_them_wait_and_none_is_refused() -> None:
    store = FailingStore()
    async with running_edge(definitions(), store=store, services=ahead_of_the_disk) as edge:
        limit = edge.engine.room
        store.stuck = asyncio.Event()
        for _ in range(limit // 2):
            assert (await edge.call()).status == 200
        later = [asyncio.create_task(edge.call()) for _ in range(limit // 4)]
        await asyncio.wait_for(_waiting(edge, limit // 2 + limit // 4), PATIENT_MS / 1_000)
        assert not any(call.done() for call in later)

        store.stuck.set()

        assert {(await call).status for call in later} == {200}


async def test_a_refusing_disk_is_told_of_also_where_answers_go_ahead_of_it() -> None:
    store = FailingStore()
    async with running_edge(definitions(), store=store, services=ahead_of_the_disk) as edge:
        store.refuses_writes = True
        assert (await edge.call()).status == 200, "nobody knows it yet"
        await asyncio.wait_for(_waiting(edge, 0), PATIENT_MS / 1_000)

        for _ in range(2):
            assert_not_stored(await edge.call(), *DECIDED)
        store.refuses_writes = False

        assert (await edge.call()).status == 200
        assert edge.drain.keeps_up()


async def _waiting(edge: RunningEdge, entries: int) -> None:
    while edge.engine.waiting != entries:  # noqa: ASYNC110 - the engine has no event to wait for
        await asyncio.sleep(0)


async def test_too_many_waiting_writes_are_a_207() -> None:
    async with running_edge(ordinary()) as edge:
        many = {"events": [{"xdm": {"eventType": "a", "n": n}} for n in range(51)]}

        assert_not_stored(await edge.call(body=many), "locationHint:result")


@pytest.mark.parametrize("error", [StoreUnavailable, Overloaded])
async def test_each_failure_to_store_is_told_alike(error: type[StoreUnavailable]) -> None:
    async with running_edge(ordinary(), services=failing(error("x", fix="y"))) as edge:
        assert_not_stored(await edge.call(), "locationHint:result")


async def test_the_audience_of_an_event_that_is_not_stored_is_told_with_its_answer_alone() -> None:
    store = FailingStore()
    async with running_edge(definitions(), store=store) as edge:
        browser = Browser(edge)
        assert (await browser.send()).audiences == []
        store.refuses_writes = True

        told = await browser.send(body=added_to_basket())

        assert_not_stored(told, *DECIDED)
        assert told.audiences == ["basket"]
        store.refuses_writes = False
        assert "basket" not in await edge.look(browser.cookies)
        assert (await browser.send()).audiences == []


async def test_a_stuck_disk_keeps_no_visitor_from_the_page_of_their_event() -> None:
    store = FailingStore()

    def hurried(edge: RunningEdge) -> EdgeServices:
        return edge.services(answer_within_ms=50)

    async with running_edge(definitions(), store=store, services=hurried) as edge:
        store.stuck = asyncio.Event()
        told = await edge.call(body=added_to_basket())
        store.stuck.set()

    assert_not_stored(told, *DECIDED)
    assert told.audiences == ["basket"]


async def test_a_refusal_that_is_not_stored_tells_nothing_but_that() -> None:
    """Not that it holds, and no destination."""
    store = FailingStore()
    async with running_edge(definitions(), store=store) as edge:
        browser = Browser(edge)
        await browser.send(body=added_to_basket())
        store.refuses_writes = True
        out = {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "out"}}]}

        assert_not_stored(await browser.send("privacy/set-consent", out))


async def test_whoever_is_stopped_is_not_answered_as_if_the_disk_were_slow() -> None:
    """A client that goes away cancels its call: that is no timeout."""

    async def durable(_: int) -> None:
        await asyncio.sleep(3_600)

    async with running_edge(ordinary()) as edge:
        services = replace(edge.services(), durable=durable)
        with Deadline(3_600_000):
            waiting = asyncio.create_task(on_disk(1, services))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting


async def test_a_call_with_two_things_to_store_waits_as_long_as_one_with_one() -> None:
    waited_for = []

    async def durable(sequence: int) -> None:
        waited_for.append(sequence)
        if sequence == 1:
            await asyncio.Event().wait()

    async with running_edge(ordinary()) as edge:
        services = replace(edge.services(), durable=durable)
        with Deadline(1):
            assert not await on_disk(1, services)
            assert not await on_disk(2, services)

    assert waited_for == [1]


async def test_what_is_on_disk_is_told_so_though_time_is_up_before_its_call_hears_of_it() -> None:
    async def durable(_: int) -> None:
        await asyncio.Event().wait()

    async with running_edge(ordinary()) as edge:
        services = replace(edge.services(), durable=durable, is_kept=lambda one: one < 3)
        with Deadline(1):
            assert await on_disk(1, services)
            assert await on_disk(2, services)
            assert not await on_disk(3, services)


async def test_a_call_that_is_stopped_as_its_time_is_up_stops() -> None:
    async def waits(deadline: Deadline) -> None:
        with deadline:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stopped.cancel()  # by somebody else
                raise

    stopped = asyncio.create_task(waits(Deadline(1)))
    with pytest.raises(asyncio.CancelledError):
        await stopped


async def test_a_call_that_is_stopped_as_its_time_is_up_is_not_answered_either() -> None:
    """It went on as if nobody had stopped it."""

    async def waits() -> None:
        with deadline:
            await finished(asyncio.Event().wait())

    deadline = Deadline(3_600_000)
    stopped = asyncio.create_task(waits())
    await asyncio.sleep(0)
    deadline.expire()
    stopped.cancel()

    with pytest.raises(asyncio.CancelledError):
        await stopped


async def test_what_takes_longer_than_a_deadline_is_ended_by_it_and_nothing_after_it_is() -> None:
    with pytest.raises(TimeoutError), Deadline(1):
        await asyncio.Event().wait()

    task = asyncio.current_task()
    assert task
    assert not task.cancelling()


@pytest.mark.parametrize(("action", "body"), [*WRITING, ("identity/acquire", {"meta": {}})])
async def test_an_error_of_ours_is_a_valid_answer_and_is_logged_once(
    action: str, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_edge(ordinary()) as edge:
        known = await edge.call()
    # With cookies, so that each action asks the engine.
    more = {"meta": {"state": {"entries": _entries(known)}}}
    with caplog.at_level(logging.WARNING):
        async with running_edge(ordinary(), services=failing(KeyError("canary"))) as edge:
            told = await edge.call(action, {**body, **more}, request_id="r-1", origin=PAGE)

    assert (told.status, told.errors) == (207, ["EXEG-0001-500"])
    assert told.sent["handle"] == []
    assert told.headers["Access-Control-Allow-Origin"] == PAGE
    assert b"canary" not in told.body
    assert [record.getMessage() for record in caplog.records] == ["request r-1 failed"]


async def test_a_datastream_taken_out_of_force_meanwhile_is_unknown() -> None:
    gone = UnknownDatastream("'demo'.", fix="x")
    async with running_edge(ordinary(), services=failing(gone)) as edge:
        told = await edge.call()

    assert (told.status, told.code) == (400, "EXEG-0003-400")


def failing(error: Exception) -> Any:
    """Services whose engine raises."""

    async def decide(interaction: Interaction) -> Answer:
        raise error

    return lambda edge: replace(edge.services(), decide=decide)


def _entries(told: Told) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in told.cookies.items()]
