"""match_1000/fastest_peer: which rules hold for one event, beside engines that know one event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

from bench.audiences_match import (
    ARRIVED_MS,
    EVENT,
    LATE_MINUTES,
    MINUTE_MS,
    OPENED,
    about_events,
    about_one_event,
)
from bench.audiences_parts import Happened, Rule
from bench.figures import record
from bench.one_event import Peer, seen
from bench.pql_peers import FLATTENED, peers
from bench.pql_rules import rule_set
from bench.timing import Spent, interleaved

SIZES = (100, 1_000, 10_000)
NOW_MS = ARRIVED_MS + LATE_MINUTES * MINUTE_MS
ROUNDS = 5
# A turn of one engine; one that takes longer for one event is asked once a turn.
TURN_MS = 20
# Events that differ in what rules read, so that no value was seen lately.
UNSEEN = 10_000

Ours = dict[str, Callable[[], object]]


def measure() -> None:
    """Raises MissingPeers."""
    for count in SIZES:
        of_one = about_one_event(count)
        _measure("match", of_one, _of_one_event(of_one))
    wide = about_events(1_000)
    _measure("match_wide", wide, _of_events(wide))


def _of_one_event(rules: Sequence[Rule]) -> Ours:
    """The ids for the event; bits alone; the ids for events with values never seen."""
    ours = rule_set(Rule(rule.id, Happened(rule.part)) for rule in rules)
    events = cycle([_with_new_values(number) for number in range(UNSEEN)])
    return {
        "ours": lambda: set(ours.ids(ours.matching(EVENT))),
        "ours_bits": lambda: ours.matching(EVENT),
        "ours_unseen": lambda: set(ours.ids(ours.matching(next(events)))),
    }


def _with_new_values(number: int) -> dict[str, Any]:
    page = {**EVENT["web"]["webPageDetails"], "name": f"p{number}", "URL": f"https://s/{number}"}
    order = {**EVENT["commerce"]["order"], "priceTotal": 100 + number / 100}
    return {
        **EVENT,
        "web": {**EVENT["web"], "webPageDetails": page},
        "commerce": {**EVENT["commerce"], "order": order},
    }


def _of_events(rules: Sequence[Rule]) -> Ours:
    """The ids after the event, with the instant until which they hold."""
    ours = rule_set(rules)
    opened, both = {"xEvent": [OPENED]}, {"xEvent": [OPENED, EVENT]}
    before = ours.standing(lambda: opened, now_ms=NOW_MS)

    def after() -> set[str]:
        return set(ours.ids(ours.after_event(before, EVENT, lambda: both, now_ms=NOW_MS).members))

    return {"ours": after}


def _measure(name: str, rules: Sequence[Rule], ours: Ours) -> None:
    beside = peers(rules, seen(EVENT, OPENED, NOW_MS))
    try:
        _agree(ours["ours"](), beside)
        works = {**ours, **{peer.name: peer.matching for peer in beside}}
        times = interleaved(works, rounds=ROUNDS, turn_ms=TURN_MS)
    finally:
        for peer in beside:
            peer.close()
    _record(f"{name}_{len(rules)}", times, beside, len(rules))


def _agree(matched: object, beside: Sequence[Peer]) -> None:
    assert isinstance(matched, set), "ours answers with ids"
    for peer in beside:
        found = peer.matching()
        assert found == matched & peer.known, f"{peer.name}: {sorted(found ^ matched)[:5]}"


def _record(name: str, times: dict[str, Spent], beside: Sequence[Peer], count: int) -> None:
    # Only an engine that can say every rule is compared; the others are told with their number.
    whole = [one.name for one in beside if len(one.known) == count and one.name != FLATTENED]
    fastest = min(whole, key=lambda peer: times[peer].median_us)
    record(
        f"{name}/fastest_peer",
        times["ours"].over(times[fastest]),
        unit="ratio",
        fastest_peer=fastest,
        us={one: spent.told() for one, spent in times.items()},
        said={peer.name: len(peer.known) for peer in beside},
        rounds=ROUNDS,
    )
    record(f"{name}/{FLATTENED}", times["ours"].over(times[FLATTENED]), unit="ratio")
