"""`perso apply` while events come in: when it returns, the next event is answered by the new
definitions; no event is refused, delayed beyond its time, or lost."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import Struct, field

from perso_core.assembly import DATABASE
from perso_core.definitions.export import definitions_to_toml
from perso_core.stores.sqlite import open_sqlite
from tests.building import BASKET_RULE, definitions
from tests.cli.test_commands import COMMAND_LIMIT_S, environment
from tests.journeys.server import Visitor, prepare, serving, session

CLIENTS = 4
OTHERS = 120  # so many more audiences, whose rules change each time: compiling them takes a while
ADDS = 'CHAIN(xEvent, timestamp, [C0: WHAT(eventType.equals("commerce.productListAdds", false))])'
VIEWS = ADDS.replace("productListAdds", "productViews")
# What is applied, one after the other: the rules that may hold for our visitors' events, which
# all are product list adds, and the audiences that their answers name.
STEPS: tuple[tuple[dict[str, str], set[str]], ...] = (
    ({"basket": BASKET_RULE, "adds": ADDS}, {"basket", "adds"}),  # one is added,
    ({"basket": BASKET_RULE, "adds": VIEWS}, {"basket"}),  # its rule is changed,
    ({"basket": BASKET_RULE, "adds": ADDS}, {"basket", "adds"}),  # and changed back;
    ({"adds": ADDS}, {"adds"}),  # another is removed;
    ({"adds": ADDS, "more": f"not {VIEWS}"}, {"adds", "more"}),
)
FIRST = {"basket": BASKET_RULE}, {"basket"}


class Answered(Struct, frozen=True):
    """An event: who sent it, when, and the audiences that its answer names."""

    visitor: str
    sent_s: float
    audiences: set[str]


class Applied(Struct, frozen=True):
    """A run of `perso apply`: when it began and when it had returned."""

    began_s: float
    returned_s: float


class Clients(Struct):
    """They send one event after the other until they are stopped."""

    url: str
    visitors: list[Visitor] = field(
        default_factory=lambda: [Visitor(f"client-{number}") for number in range(CLIENTS)]
    )
    answers: list[Answered] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: bool = False

    async def visit(self, visitor: Visitor, http: aiohttp.ClientSession) -> None:
        while not self.stopped:
            sent_s = time.monotonic()
            told = await visitor.send(http, self.url)
            self.answers.append(Answered(visitor.name, sent_s, _audiences(told)))
            self.answered.set()

    async def each_answered(self, *, since_s: float) -> None:
        """Until each has had an answer to an event sent since."""
        while len({one.visitor for one in self.answers if one.sent_s > since_s}) < CLIENTS:
            self.answered.clear()
            await self.answered.wait()


@pytest.mark.alone
async def test_what_is_applied_answers_the_next_event_and_no_event_is_refused_or_lost(
    tmp_path: Path,
) -> None:
    files = [_file(tmp_path, number, rules) for number, (rules, _) in enumerate(STEPS)]
    data_dir = tmp_path / "data"
    await asyncio.to_thread(prepare, data_dir, definitions({**_others(0), **FIRST[0]}))
    with serving(data_dir) as server:
        clients = Clients(server.url)
        applied = await _applied_under_load(clients, files, data_dir)

    told = [FIRST[1], *(names for _, names in STEPS)]
    for number, (before, after) in enumerate(pairwise(told)):
        _check_answers(clients.answers, applied, number, before, after)
    for visitor in clients.visitors:
        assert visitor.acknowledged == visitor.sent, "an event was refused or came too late"
    await _check_kept(data_dir, clients.visitors)


async def _applied_under_load(clients: Clients, files: list[Path], data_dir: Path) -> list[Applied]:
    applied = []
    async with session() as http, asyncio.TaskGroup() as visits:
        for visitor in clients.visitors:
            visits.create_task(clients.visit(visitor, http))
        await clients.each_answered(since_s=0)
        for file in files:
            applied.append(await _apply(file, data_dir))
            await clients.each_answered(since_s=applied[-1].returned_s)
        clients.stopped = True
    return applied


def _check_answers(
    answers: list[Answered],
    applied: list[Applied],
    number: int,
    before: set[str],
    after: set[str],
) -> None:
    """Of the events sent from the start of one apply to the start of the next."""
    this = applied[number]
    until_s = applied[number + 1].began_s if number + 1 < len(applied) else float("inf")
    sent = [one for one in answers if this.began_s <= one.sent_s < until_s]
    meanwhile = [one for one in sent if one.sent_s < this.returned_s]
    assert {one.visitor for one in meanwhile} == {f"client-{n}" for n in range(CLIENTS)}
    assert all(one.audiences in (before, after) for one in meanwhile), f"apply {number}"
    wrong = [one for one in sent if one.sent_s >= this.returned_s and one.audiences != after]
    assert wrong == [], f"after apply {number} there have to be {after}"


async def _check_kept(data_dir: Path, visitors: list[Visitor]) -> None:
    store = await open_sqlite(data_dir / DATABASE)
    try:
        for visitor in visitors:
            profile = (await store.load(visitor.profile_key)).profile
            assert profile is not None
            assert sorted(event.id for event in profile.events) == sorted(visitor.acknowledged)
    finally:
        await store.close()


async def _apply(file: Path, data_dir: Path) -> Applied:
    began_s = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "perso_core", "apply", str(file), "--data-dir", str(data_dir)),
        env=environment(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), COMMAND_LIMIT_S)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, said.decode()
    return Applied(began_s, time.monotonic())


def _file(directory: Path, number: int, rules: dict[str, str]) -> Path:
    path = directory / f"{number}.toml"
    path.write_text(definitions_to_toml(definitions({**_others(number + 1), **rules})), "utf-8")
    return path


def _others(turn: int) -> dict[str, str]:
    """Audiences that none of our visitors is in, with rules of this turn's own."""
    return {
        f"other-{number}": f"loyalty.points >= {number} and (exchange.turn{turn} = {number} or "
        'CHAIN(xEvent, timestamp, [C0: WHAT(eventType.equals("commerce.purchases", false) and '
        f"commerce.order.turn{turn} > {number}) WHEN(<= {number % 30 + 1} days before now)]))"
        for number in range(OTHERS)
    }


def _audiences(told: dict[str, Any]) -> set[str]:
    return set(_segments(told))


def _segments(told: dict[str, Any]) -> Iterator[str]:
    for handle in told["handle"]:
        if handle["type"] == "activation:pull":
            for destination in handle["payload"]:
                yield from (one["id"] for one in destination["segments"])


def test_a_server_that_begins_with_a_rule_that_is_refused_now_has_the_others_in_force(
    tmp_path: Path,
) -> None:
    """As after an upgrade to a Perso that refuses more."""
    prepare(tmp_path, definitions({"refused": "loyalty.tier.equals(", "basket": BASKET_RULE}))

    async def visited(url: str) -> list[str]:
        async with session() as http:
            told = await Visitor("anna").send(http, url)
        (pull,) = [h for h in told["handle"] if h["type"] == "activation:pull"]
        return [segment["id"] for segment in pull["payload"][0]["segments"]]

    with serving(tmp_path) as server:
        assert asyncio.run(visited(server.url)) == ["basket"]
