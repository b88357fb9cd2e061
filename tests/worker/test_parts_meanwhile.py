"""Whatever comes while events are decided in parts: each is kept once, and every rule agrees."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import Struct, field

from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.engine import Interaction
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    EventArrived,
    PrivacySignalled,
)
from perso_core.errors import PersoError
from perso_core.rules import ahead as ahead_module
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from perso_core.worker import parts
from tests.building import NOON_MS, event, snapshot
from tests.rules import making_stories as stories
from tests.soaking import times
from tests.worker.stack import ANNA, BERT, Stack, running
from tests.worker.test_identity_graph import graph_of
from tests.worker.test_parts import until
from tests.worker.test_parts_of_one import VIEW, audiences, of

STORIES = times(40, 1_000)
CLARA = "ECID:" + "3" * 38
EVERYBODY = (ANNA, BERT, CLARA)


def sums(least: int, count: int) -> Snapshot:
    """Each is run over all events for each view."""
    rules = range(least, least + count)
    return snapshot({f"s{n}": f'xEvent[eventType = "{VIEW}"].sum(price) > {n}' for n in rules})


DEFINITIONS = (sums(0, 25), sums(5, 35))
# What a process of little memory has, and one whose journal is full at once.
SMALL = {"hot_profiles": 3, "unparked_profiles": 1, "journal_limit": 2}


class Story(Struct):
    """Calls of some visitors at some processes on one store. sent, kept: ids of events, by key;
    kept: those of which a call was told so."""

    chance: Random
    stacks: list[Stack]
    linking: bool
    numbers: Iterator[int] = field(default_factory=itertools.count)
    sent: dict[str, set[str]] = field(default_factory=lambda: {key: set() for key in EVERYBODY})
    kept: dict[str, set[str]] = field(default_factory=lambda: {key: set() for key in EVERYBODY})

    def one(self) -> Stack:
        return self.chance.choice(self.stacks)

    def happens(self, share: float) -> bool:
        return self.chance.random() < share

    def changes(self, key: str) -> tuple[list[str], list[Change]]:
        """The ids of events, which may come again with more, and what a call says."""
        says: list[Change] = []
        if self.happens(0.3):
            says.append(PrivacySignalled())
        if self.happens(0.2):
            says.append(ConsentChosen("in", unless_chosen=True))
        ids = []
        for _ in range(self.chance.choice((1, 1, 1, 3))):
            again = self.sent[key] and self.happens(0.25)
            known = self.chance.choice(sorted(self.sent[key])) if again else ""
            ids.append(known or f"e{next(self.numbers)}")
            price = {"price": 1} if again or self.happens(0.7) else {}
            says.append(EventArrived(event=event(VIEW, event_id=ids[-1], at_ms=NOON_MS, **price)))
        if self.happens(0.15):
            says.append(AttributesPatched({"points": next(self.numbers)}))
        self.sent[key].update(ids)
        return ids, says

    async def call(self, key: str) -> None:
        stack = self.one()
        ids, says = self.changes(key)
        answer = await stack.admission.decided(of(*says, key=key))
        await stack.drain.durable(answer.sequence)
        if answer.permitted:
            self.kept[key].update(ids)

    def begin(self) -> asyncio.Task[Any] | None:
        """Something that comes; None: it is done at once."""
        key, what = self.chance.choice(EVERYBODY), self.chance.random()
        if what < 0.75:
            return asyncio.create_task(self.call(key))
        if what < 0.83:
            in_force = self.chance.choice(DEFINITIONS)
            for stack in self.stacks:
                stack.engine.swap(in_force)
            return None
        if what < 0.87 and len(self.stacks) > 1:
            for stack in self.stacks:
                stack.admission.heard(key)
            return None
        if what < 0.91 and self.linking:
            return asyncio.create_task(graph_of(self.one()).link([ANNA, CLARA]))
        asked = Interaction(profile_key=key, datastream_id="demo")
        return asyncio.create_task(self.one().admission.decided(asked))

    async def told(self) -> None:
        """All that comes, and until nothing is under way. What was refused, or given up, may be
        kept or not."""
        begun: list[asyncio.Task[Any]] = []
        for _ in range(self.chance.randint(3, 14)):
            if begun and self.happens(0.1):
                self.chance.choice(begun).cancel()
            if (task := self.begin()) is not None:
                begun.append(task)
            for _ in range(self.chance.choice((0, 1, 3, 20, 60))):
                await asyncio.sleep(0)
        for outcome in await asyncio.gather(*begun, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, PersoError):
                raise outcome
        for stack in self.stacks:
            await until(lambda stack=stack: not stack.admission.parts.working)  # type: ignore[misc]
            stack.drain.wake()
            await until(lambda stack=stack: not stack.engine.waiting)  # type: ignore[misc]
            assert not stack.admission.parts.under_way


@settings(max_examples=STORIES, deadline=None)
@given(stories.randoms)
async def test_each_event_is_kept_once_and_every_rule_agrees(chance: Random) -> None:
    database = MemoryDatabase()
    small = SMALL if chance.random() < 0.5 else {}

    def process() -> Any:
        """By its clock each rule takes longer than a part."""
        clock = itertools.count(0, 1).__next__
        store = MemoryStore(database)
        return running(store, in_force=DEFINITIONS[0], elapsed_s=clock, engine=small)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "OTHERS_AT_MOST_S", 0)
        patch.setattr(parts, "MOST_GOING_ON", chance.choice((1, 32)))
        patch.setattr(ahead_module, "PART_STEPS", chance.choice((0, 30, 10**6)))
        async with process() as one, process() as other:
            stacks = [one, other] if chance.random() < 0.5 else [one]
            story = Story(chance, stacks, chance.random() < 0.3)
            async with asyncio.timeout(60):
                await story.told()
                await assert_kept_once(database, story)


async def assert_kept_once(database: MemoryDatabase, story: Story) -> None:
    in_force = story.stacks[0].engine.snapshot
    async with running(MemoryStore(database), in_force=in_force) as fresh:
        profiles = {key: (await fresh.store.load(key)).profile for key in EVERYBODY}
        ids = {
            key: [e.id for e in found.events] if found else [] for key, found in profiles.items()
        }
        everywhere = {one for found in ids.values() for one in found}
        for key in EVERYBODY:
            assert len(ids[key]) == len(set(ids[key]))
            assert story.kept[key] <= (everywhere if story.linking else set(ids[key]))
            assert story.linking or set(ids[key]) <= story.sent[key]

            read_anew = audiences(await fresh.admission.decided(of(key=key)))
            for stack in story.stacks:
                await stack.admission.take_over(key)
                if stack.engine.snapshot is in_force:
                    assert audiences(await stack.admission.decided(of(key=key))) == read_anew
