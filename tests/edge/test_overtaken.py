"""What was decided is decided again where another process was faster: who is answered is told what
came of it, above all where that is nothing."""

from __future__ import annotations

from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import Change, ConsentChosen, Forgotten
from tests.edge.running import NAMES, Browser, RunningEdge, ordinary
from tests.edge.servers import asking, batch, server_call, telling, with_attributes
from tests.edge.test_identity_assertions import consenting, key, two_processes

NO_CONSENT = "EXEG-0301-200"


async def said(edge: RunningEdge, profile_key: str, change: Change) -> None:
    """At this process; the other one does not hear of it."""
    asked = Interaction(profile_key=profile_key, datastream_id=OPERATOR, changes=(change,))
    await edge.drain.durable((await edge.admission.decide(asked)).sequence)


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
