"""What gives way at a cap by a server's call is told to that server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from perso_core.decision.caps import Caps
from perso_core.decision.dropped import NOTHING_DROPPED, Dropped
from perso_core.edge.made_room import made_room as warnings_of
from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import AttributesPatched
from perso_core.stores.memory import MemoryStore
from tests.edge.running import Browser, RunningEdge, Told, added_to_basket, page_view, running_edge
from tests.edge.servers import batch, server_call, telling
from tests.edge.test_identity_assertions import defined
from tests.edge.test_one_person import event, key

TYPE = "urn:perso:edge.made-room"


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    """A profile holds three events, three identities and 1,000 bytes."""
    caps = Caps(3, 3, 1_000)
    store = MemoryStore(max_events=caps.events)
    async with running_edge(defined(), store=store, caps=caps) as running:
        yield running


def made_room(told: Told) -> list[str]:
    """What gave way, by the first words."""
    found = [one for one in told.sent.get("warnings", ()) if one["type"] == TYPE]
    assert all(one["status"] == 200 for one in found)
    return [" ".join(one["detail"].split()[:5]) for one in found]


EVENTS = "1 of the profile's oldest"


async def test_the_events_that_make_room_are_told(edge: RunningEdge) -> None:
    told = [await server_call(edge, telling(CRMID="1")) for _ in range(4)]

    assert [made_room(one) for one in told] == [[], [], [], [EVENTS]]
    assert [one.status for one in told] == [200] * 4


async def test_so_they_are_of_a_batch_and_once(edge: RunningEdge) -> None:
    told = await server_call(edge, batch(*(telling(CRMID="1") for _ in range(5))), "collect")

    assert told.status == 202
    assert made_room(told) == ["2 of the profile's oldest"]
    stored = (await edge.store.load(key("CRMID", "1"))).profile
    assert stored is not None
    assert (len(stored.events), stored.dropped_events) == (3, 2)


async def test_a_second_report_of_an_event_pushes_none_out(edge: RunningEdge) -> None:
    for number in range(3):
        await server_call(edge, telling(CRMID="1"), request_id=f"r{number}")

    assert made_room(await server_call(edge, telling(CRMID="1"), request_id="r2")) == []


async def test_the_identities_that_make_room_are_told(edge: RunningEdge) -> None:
    told = []
    for number in range(4):
        edge.now_ms += 1
        told.append(await server_call(edge, event("CRMID:1", f"Email:{number}")))

    assert [made_room(one) for one in told[:2]] == [[], []]
    # A link, and a claim.
    assert made_room(told[2]) == ["2 of the profile's identities"]
    assert [one.split()[-1] for one in made_room(told[3])] == ["oldest", "identities"]


async def test_identities_that_are_too_many_in_one_call_are_told_each_time(
    edge: RunningEdge,
) -> None:
    for _ in range(2):
        told = await server_call(edge, event("CRMID:1", *(f"Email:{n}" for n in range(5))))
        assert "3 of the identities are" in made_room(told)


async def test_attributes_that_find_no_room_in_the_person_are_told(edge: RunningEdge) -> None:
    for namespace in ("Email", "Phone"):
        asked = Interaction(
            profile_key=key(namespace, "1"),
            datastream_id=OPERATOR,
            changes=(AttributesPatched({f"note{namespace}": "x" * 600}),),
        )
        await edge.drain.durable((await edge.admission.decided(asked)).sequence)

    told = await server_call(edge, event("CRMID:1", "Email:1", "Phone:1"))

    assert made_room(told) == ["1 attributes of what became"]


async def test_events_that_a_device_brings_and_that_have_no_room_are_told(
    edge: RunningEdge,
) -> None:
    browser = Browser(edge)
    for _ in range(2):
        told = await browser.send(body=added_to_basket())
    for _ in range(2):
        await server_call(edge, telling(CRMID="1"))

    body: dict[str, Any] = event("CRMID:1")
    body["event"]["xdm"]["identityMap"]["ECID"] = [{"id": told.ecid}]
    told = await server_call(edge, body)

    assert made_room(told) == ["2 of the profile's oldest"]


async def test_a_page_is_told_nothing_of_it(edge: RunningEdge) -> None:
    browser = Browser(edge)
    for _ in range(5):
        told = await browser.send(body=page_view())
        assert "warnings" not in told.sent


def test_of_nothing_there_is_no_warning_and_of_each_cap_one() -> None:
    assert warnings_of(NOTHING_DROPPED) == ()
    assert len(warnings_of(Dropped(1, 2, 3, 4))) == 4
