"""What was decided is decided again where another process was faster: who is answered is told what
came of it, above all where that is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from perso_core import PageRequest
from perso_core.assembly import open_perso
from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import Change, ConsentChosen, Forgotten
from tests.building import NOON_MS
from tests.edge.running import NAMES, Browser, RunningEdge, ordinary
from tests.edge.servers import asking, batch, server_call, telling, with_attributes
from tests.edge.test_identity_assertions import consenting, key, two_processes
from tests.edge.test_read_your_writes import alone

NO_CONSENT = "EXEG-0301-200"


async def said(edge: RunningEdge, profile_key: str, change: Change) -> None:
    """At this process; the other one does not hear of it."""
    asked = Interaction(profile_key=profile_key, datastream_id=OPERATOR, changes=(change,))
    await edge.drain.durable((await edge.admission.decided(asked)).sequence)


async def test_an_event_that_a_held_refusal_kept_out_is_kept_where_the_visitor_agreed() -> None:
    """The store's word counts. It was answered as if it were kept, and was not."""
    async with two_processes(ordinary()) as (one, other):
        browser = Browser(other)
        ecid = (await browser.send()).ecid
        assert ecid
        await said(one, f"ECID:{ecid}", ConsentChosen("in"))
        browser.cookies[NAMES.consent] = "general=out"

        told = await browser.send()

        assert (told.status, told.warnings) == (200, [])
        assert await other.events(ecid) == 2


async def test_a_batch_says_so_where_somebody_refuses_meanwhile() -> None:
    async with two_processes(with_attributes()) as (one, other):
        for edge in (one, other):
            await server_call(edge, telling(CRMID="1"), request_id="r1")
            await server_call(edge, asking(CRMID="2"))
        await said(one, key("1"), ConsentChosen("out"))

        people = batch(telling(CRMID="1"), telling(CRMID="2"))
        told = await server_call(other, people, "collect")

        assert await other.profile(key("1")) is None
        assert (told.status, told.warnings) == (202, [NO_CONSENT])


async def test_nothing_is_kept_by_a_consent_that_was_erased_meanwhile() -> None:
    """Where the page waits for a choice, whoever was forgotten has made none."""
    async with two_processes(ordinary(default_consent="pending")) as (one, other):
        browser = Browser(other)
        ecid = (await browser.send("privacy/set-consent", consenting("in"))).ecid
        assert ecid
        await browser.send()
        await said(one, f"ECID:{ecid}", Forgotten())
        other.now_ms += 1_000

        told = await browser.send()

        assert told.warnings == [NO_CONSENT]
        assert await other.events(ecid) == 0


@pytest.mark.parametrize("last", ["out", "in"])
async def test_a_choice_that_is_said_again_is_kept_where_another_process_kept_another_one_since(
    last: str,
) -> None:
    """Also of a browser that lost the version token: this process takes it for said already."""
    async with two_processes(ordinary()) as (one, other):
        browser = Browser(other)
        ecid = (await browser.send("privacy/set-consent", consenting(last))).ecid
        assert ecid
        await said(one, f"ECID:{ecid}", ConsentChosen("in" if last == "out" else "out"))
        del browser.cookies[NAMES.version]

        told = await browser.send("privacy/set-consent", consenting(last))

        consent = (await other.store.load(f"ECID:{ecid}")).consent
        assert told.status == 200
        assert consent is not None
        assert consent.general == last


async def test_so_is_one_that_a_rendered_page_says_again(tmp_path: Path) -> None:
    async with open_perso(alone(tmp_path), clock_ms=lambda: NOON_MS) as one:
        await one.apply(ordinary())
        async with open_perso(alone(tmp_path), clock_ms=lambda: NOON_MS) as other:
            visit = PageRequest(datastream_id="demo", xdm={"eventType": "view"}, wait_ms=10_000)
            visitor = await one.visit(visit)
            await one.choose_consent(visitor, "out")
            await other.choose_consent(visitor, "in")

            await one.choose_consent(visitor, "out")

            (kept,) = (await other.people.everything_under([visitor.profile_key])).values()
            consent = kept.stored.consent
            assert consent is not None
            assert consent.general == "out"
