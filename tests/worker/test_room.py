"""Of many patches those that have no room are known before any is kept."""

from __future__ import annotations

from perso_core.engine.journal import ConsentChosen
from perso_core.errors import Overloaded, PersoError, RecordTooLarge
from perso_core.stores.memory import MemoryStore
from perso_core.worker.room import Said, refusals
from tests.worker.stack import running
from tests.worker.test_patching import CAPS, LARGE, MAIL, ONE, OTHER, graph_of, patching, said

TOO = {"other": "y" * 600}


async def refused(store: MemoryStore, *patches: Said) -> dict[int, type[PersoError]]:
    found = await refusals(patches, store, caps=CAPS, journal_limit=100)
    return {place: type(why) for place, why in found.items()}


async def test_a_patch_without_room_in_a_profile_that_its_key_leads_to_is_told_by_its_place() -> (
    None
):
    store = MemoryStore()
    async with running(store) as stack:
        await graph_of(stack).link((ONE, MAIL))
        await patching(stack).patch([ONE], TOO)

        found = await refused(store, ([OTHER], LARGE), ([ONE], {"a": 1}), ([OTHER, MAIL], LARGE))

        assert found == {2: RecordTooLarge}


async def test_what_an_earlier_patch_takes_a_later_one_of_the_person_has_not() -> None:
    store = MemoryStore()
    async with running(store) as stack:
        await graph_of(stack).link((ONE, MAIL))

        assert await refused(store, ([ONE], LARGE), ([MAIL], TOO)) == {1: RecordTooLarge}
        assert not await refused(store, ([ONE], LARGE), ([MAIL], {"note": None}), ([ONE], TOO))


async def test_whoever_refused_to_be_kept_needs_no_room() -> None:
    store = MemoryStore()
    async with running(store) as stack:
        await said(stack, ONE, ConsentChosen("out"))

        assert not await refused(store, ([ONE], LARGE), ([ONE], TOO))


async def test_a_patch_of_more_profiles_than_may_ever_wait_together_is_told() -> None:
    keys = [f"o one CRMID:{number}" for number in range(51)]

    assert await refused(MemoryStore(), ([ONE], LARGE), (keys, LARGE)) == {1: Overloaded}
