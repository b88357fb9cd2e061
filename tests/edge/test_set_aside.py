"""Whoever asks of a profile whose record cannot be read is told so (P4), whatever they ask for and
in whichever step of it the record was read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from perso_core.decision.projection import Projection
from perso_core.engine.journal import Entry
from perso_core.errors import StoreUnavailable
from perso_core.stores.memory import MemoryStore
from perso_core.stores.protocol import Committed, Stored
from tests.edge.running import Browser, ordinary, page_view, running_edge
from tests.edge.servers import asking, batch, server_call, telling, with_attributes
from tests.edge.test_one_person import event

NOT_STORED = "https://ns.adobe.com/aep/errors/EXEG-0201-503"
SET_ASIDE = ["urn:perso:edge.profile-set-aside"]
IN = {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}]}
PENDING = {"consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "pending"}}]}


class DamagedStore(MemoryStore):
    """Each record is found unreadable once, and begins anew."""

    def __init__(self) -> None:
        super().__init__()
        self._set_aside = set[str]()

    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        if key in self._set_aside:
            return await super().load(key, projection)
        self._set_aside.add(key)
        return Stored(set_aside=True)


class BrokenStore(DamagedStore):
    async def commit(self, entries: Sequence[Entry], *, announce: bool = False) -> Committed:
        raise StoreUnavailable("the disk is full.", fix="Make room.")


@asynccontextmanager
async def whoever_returns(store: MemoryStore) -> AsyncIterator[Browser]:
    """A browser that is known from before the damage."""
    async with running_edge(ordinary()) as before_the_damage:
        known = await before_the_damage.call()
    async with running_edge(ordinary(), store=store) as edge:
        browser = Browser(edge)
        browser.cookies.update(known.cookies)
        yield browser


@pytest.mark.parametrize(
    ("action", "body", "well"),
    [
        ("interact", asking(CRMID="4711"), 200),
        ("interact", telling(CRMID="4711"), 200),
        ("interact", event("CRMID:4711", "Email:anna@shop.test"), 200),
        ("collect", batch(telling(CRMID="4711"), telling(CRMID="4712")), 202),
    ],
    ids=["asking", "an event", "two identities of one person", "a batch"],
)
async def test_a_server_is_told(action: str, body: Any, well: int) -> None:
    async with running_edge(with_attributes(), store=DamagedStore()) as edge:
        told = [await server_call(edge, body, action) for _ in range(2)]

        assert [one.status for one in told] == [207, well]
        assert [one["type"] for one in told[0].sent["errors"]] == SET_ASIDE


@pytest.mark.parametrize(
    ("action", "body", "well"),
    [
        ("interact", page_view(), 200),
        ("collect", page_view(), 204),
        ("identity/acquire", {}, 200),
        ("privacy/set-consent", IN, 200),
        ("privacy/set-consent", PENDING, 200),
    ],
    ids=["an event", "a beacon", "who it is", "a choice", "none yet"],
)
async def test_a_page_is_told(action: str, body: Any, well: int) -> None:
    async with whoever_returns(DamagedStore()) as browser:
        told = [await browser.send(action, body) for _ in range(2)]

        assert [one.status for one in told] == [207, well]
        assert [one["type"] for one in told[0].sent["errors"]] == SET_ASIDE


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("interact", telling(CRMID="4711")),
        ("collect", batch(telling(CRMID="4711"), telling(CRMID="4712"))),
    ],
    ids=["an event", "a batch"],
)
async def test_it_is_told_beside_a_failure_to_store(action: str, body: Any) -> None:
    """Whoever sends it again hears nothing of it any more."""
    async with running_edge(with_attributes(), store=BrokenStore()) as edge:
        told = await server_call(edge, body, action)

        assert [one["type"] for one in told.sent["errors"]] == [NOT_STORED, *SET_ASIDE]


async def test_it_is_told_beside_a_choice_that_is_not_stored() -> None:
    async with whoever_returns(BrokenStore()) as browser:
        told = await browser.send("privacy/set-consent", IN)

        assert [one["type"] for one in told.sent["errors"]] == [NOT_STORED, *SET_ASIDE]
