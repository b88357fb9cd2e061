"""A site with audiences of the mix, in memory, and visitors whose events come as an SDK sends
them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from bench.audiences import DATASTREAM, ORG, on_one_destination
from bench.audiences_mixed import mixed
from bench.audiences_parts import Rule, pql
from bench.audiences_stream import Visitor, visitors
from bench.pql_rules import rule_set
from bench.visitor import interact_body
from perso_core.decision.identity import Device
from perso_core.definitions.audience import Audience
from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.edge import cookies
from perso_core.edge.call import Call, Reply
from perso_core.edge.interact import interact
from perso_core.edge.services import EdgeServices
from perso_core.engine.engine import Answer, Engine, Interaction
from perso_core.engine.journal import AttributesPatched, Change

KEYS = cookies.CookieKeys(1, {1: bytes(range(32))})
_ASKED = 60  # visitors who are asked which audiences are rare


def site(rules: Sequence[Rule]) -> Definitions:
    """One datastream, one destination with every audience."""
    audiences = tuple(Audience(id=rule.id, name=rule.id, pql=pql(rule.part)) for rule in rules)
    return on_one_destination(audiences)


def rare(count: int, share: float) -> tuple[Rule, ...]:
    """The first so many audiences of the mix that no more than this share of visitors is in."""
    rules = mixed(2 * count)
    asked, held = rule_set(rules), Counter[str]()
    for visitor in visitors(_ASKED):
        at_ms = visitor.events[-1]["timestamp"]
        standing = asked.standing(partial(visitor.view, len(visitor.events)), now_ms=at_ms)
        held.update(asked.ids(standing.members))
    found = [rule for rule in rules if held[rule.id] <= share * _ASKED]
    assert len(found) >= count, "half of the mix is rare"
    return tuple(found[:count])


class Sent(Struct, frozen=True):
    """One event as it arrives. at_ms: when."""

    call: Call
    at_ms: int


class Site:
    """Perso in memory with these audiences: no socket, no disk. unparked: how many visitors lie
    ready."""

    def __init__(self, rules: Sequence[Rule], *, unparked: int = 10_000) -> None:
        self.snapshot = compile_snapshot(site(rules))
        self.engine = Engine(self.snapshot, unparked_profiles=unparked)
        self.now_ms = 0
        self._datastream = self.snapshot.datastreams[DATASTREAM]
        self._services = EdgeServices(
            decide=self._decide,
            durable=self._durable,
            snapshot=lambda: self.snapshot,
            clock_ms=lambda: self.now_ms,
            entropy=bytes,
            keys=KEYS,
        )

    def key(self, number: int) -> str:
        return Device(f"{number:038d}").profile_key

    def welcome(self, number: int, visitor: Visitor) -> tuple[Sent, ...]:
        """A new visitor with the attributes of this one, and what its browser sends, in order."""
        self.now_ms = visitor.events[0]["timestamp"] - 1
        self._apply(self.key(number), AttributesPatched(visitor.attributes))
        told = cookies.identity_cookies(
            Device(f"{number:038d}"),
            org=ORG,
            keys=KEYS,
            now_ms=self.now_ms,
            source=0,
            created_ms=self.now_ms,
        )
        jar = {cookie.name: cookie.value for cookie in told}
        return tuple(
            Sent(self._call(place, event, jar), event["timestamp"])
            for place, event in enumerate(visitor.events)
        )

    def answer(self, sent: Sent) -> Reply:
        """From the body's bytes to the answer's, decided and kept in memory."""
        self.now_ms = sent.at_ms
        answering = interact(sent.call, self._services)
        try:
            answering.send(None)
        except StopIteration as done:
            reply: Reply = done.value
            return reply
        raise AssertionError("nothing here waits")

    def _call(self, place: int, event: dict[str, object], jar: dict[str, str]) -> Call:
        body = interact_body(f"event-{place}", jar)
        (sent,) = body["events"]
        xdm = {name: value for name, value in event.items() if name not in ("_id", "timestamp")}
        sent["xdm"] = {**xdm, "_id": f"event-{place}"}
        return Call(
            request_id=f"request-{place}",
            datastream=self._datastream,
            org=ORG,
            body=json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
            cookie_header="",
            same_site_none=False,
            now_ms=int(str(event["timestamp"])),
        )

    def _apply(self, key: str, change: Change) -> None:
        asked = Interaction(profile_key=key, datastream_id=DATASTREAM, changes=(change,), new=True)
        answer = self.engine.decide(asked, now_ms=self.now_ms)
        assert isinstance(answer, Answer), "the profile is new"
        self.engine.committed(answer.sequence)

    async def _decide(self, interaction: Interaction) -> Answer:
        answer = self.engine.decide(interaction, now_ms=self.now_ms)
        assert isinstance(answer, Answer), "every profile is in memory"
        return answer

    async def _durable(self, sequence: int) -> None:
        self.engine.committed(sequence)
