"""After a start the rules' functions are made before anybody waits for them."""

from __future__ import annotations

import asyncio

from perso_core.definitions.snapshot import compile_snapshot
from perso_core.worker.warm import AT_ONCE, warming
from tests.building import definitions

RULES = {f"a{n}": f'loyalty.tier = "t{n}"' for n in range(3 * AT_ONCE)}
WITH_EVENTS = {
    "viewed": 'loyalty.tier = "gold" and xEvent[page = "a"].count() > 1',
    "run": "xEvent.sum(price) > 9",
}


async def test_what_a_new_visitor_needs_is_made_in_the_background() -> None:
    snapshot = compile_snapshot(definitions({**RULES, **WITH_EVENTS}))

    async with warming(snapshot) as task:
        await asyncio.wait_for(task, 10)

    made = list(snapshot.rules.run_for_a_visitor())
    assert len(made) == len(RULES) + len(WITH_EVENTS)
    assert all(rule._linked is not None for rule in made)


async def test_others_have_their_turn_in_between() -> None:
    snapshot = compile_snapshot(definitions(RULES))
    rules = snapshot.rules.rules

    async with warming(snapshot):
        await asyncio.sleep(0)
        assert 0 < sum(rule._linked is not None for rule in rules) < len(rules)


async def test_a_process_that_stops_does_not_wait_for_it() -> None:
    snapshot = compile_snapshot(definitions(RULES))

    async with warming(snapshot) as task:
        pass

    assert task.cancelled()
