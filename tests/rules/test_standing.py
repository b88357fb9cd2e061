"""A standing carried on by events, attributes and time is what running every rule gives."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from random import Random
from typing import Any

import pytest
from hypothesis import given

from perso_core.pql.compiler import compile_rule
from perso_core.pql.nodes import Node
from perso_core.pql.windows import FOREVER_MS
from perso_core.rules import recount
from perso_core.rules.bits import bits_of
from perso_core.rules.conditions import condition_of
from perso_core.rules.formula import Happened, formula_of
from perso_core.rules.layered import entry_at, everything
from perso_core.rules.matcher import Matcher
from perso_core.rules.recount import counted, exchanged, placed
from perso_core.rules.ruleset import RuleSet, Standing
from perso_core.rules.standing import (
    CHUNK,
    TIME,
    Log,
    entry_position,
    log_of,
    newest_first,
    time_at,
)
from tests.rules.making_stories import (
    DAY_MS,
    HOUR_MS,
    START_MS,
    TYPES,
    Story,
    compiled_or_not,
    condition,
    event,
    randoms,
    run_all,
)

STEPS = 20


@given(randoms)
def test_the_members_after_every_step_are_those_of_running_every_rule(chance: Random) -> None:
    story = Story(chance)

    for standing in story.told(STEPS):
        members, _ = run_all(story.rules, story.view(), story.now_ms)
        assert story.set.ids(standing.members) == story.set.ids(members)


@given(randoms)
def test_members_stay_until_the_instant_and_change_there(chance: Random) -> None:
    story = Story(chance)

    for standing in story.told(STEPS):
        until_ms = min(standing.until_ms, story.now_ms + 60 * DAY_MS)
        for at_ms in instants(story, until_ms):
            assert run_all(story.rules, story.view(), at_ms)[0] == standing.members
        if standing.until_ms == until_ms:
            assert run_all(story.rules, story.view(), until_ms)[0] != standing.members


def instants(story: Story, until_ms: int) -> set[int]:
    """Where something might change before until_ms: around events, attributes and midnights."""
    lengths = (0, 30 * 60_000, HOUR_MS, 2 * HOUR_MS, DAY_MS, 3 * DAY_MS, 2 * DAY_MS, 35 * DAY_MS)
    dated = [int(one["timestamp"]) for one in story.events[-4:]]
    dated += [story.attributes[name] for name in ("born", "renews") if name in story.attributes]
    near = {at + length + 1 for at in dated for length in lengths}
    return {at for at in near if story.now_ms <= at < until_ms} | {until_ms - 1}


@given(randoms)
def test_a_standing_from_the_events_alone_is_the_one_that_was_carried_on(chance: Random) -> None:
    story = Story(chance)

    for standing in story.told(STEPS):
        anew = story.set.standing(story.view, now_ms=story.now_ms)
        assert anew.members == standing.members
        assert anew.until_ms == standing.until_ms
        if not standing.plain:  # the event of the future may have come meanwhile
            assert anew.live & anew.sensitive == standing.live & standing.sensitive
            assert (anew.base, anew.sensitive) == (standing.base, standing.sensitive)


@given(randoms)
def test_late_events_leave_what_the_same_events_in_order_leave(chance: Random) -> None:
    story = Story(chance, ordered=True)
    sent = [event(chance, story.now_ms - chance.randrange(3 * DAY_MS)) for _ in range(6)]

    for one in sent:
        story.arrive(one)
    kept = list(story.events)
    ordered = story.set.standing(lambda: {"xEvent": []}, now_ms=story.now_ms)
    for number, one in enumerate(kept, 1):
        view = {"xEvent": kept[:number]}
        ordered = story.set.after_event(ordered, one, partial(dict, view), now_ms=story.now_ms)

    if len(kept) == len(sent):
        assert ordered.members == story.standing.members
        assert ordered.until_ms == story.standing.until_ms


@given(randoms)
def test_what_is_known_after_late_and_second_reports_is_what_all_events_say(
    chance: Random,
) -> None:
    story = Story(chance, on_time=0.3, again=0.3)

    for standing in story.told(2 * STEPS):
        anew = story.set.standing(story.view, now_ms=story.now_ms)
        assert (anew.members, anew.until_ms) == (standing.members, standing.until_ms)
        if standing.plain:
            continue
        assert anew.live & anew.sensitive == standing.live & standing.sensitive
        if standing.log is None or standing.log[1] < story.arrived:
            continue  # of what counts no more, more may be known than is logged
        times, runs = counted(story.set, standing.log)
        for number, one in enumerate(story.set.effects):
            if one.kept:
                assert entry_at(standing.times, number) == entry_at(times, number)
        assert everything(standing.runs) == everything(runs)


@given(randoms)
def test_late_events_carry_chains_on_as_all_events_in_order_do(chance: Random) -> None:
    """Of few kinds and instants: many lie at one instant, and steps ask for the same."""
    kinds = [chance.choice(TYPES) for _ in range(chance.randrange(2, 6))]
    steps = ", ".join(f'S{place}: WHAT(eventType = "{kind}")' for place, kind in enumerate(kinds))
    one = compile_rule(f"CHAIN(xEvent, timestamp, [{steps}])", event_window_ms=DAY_MS)
    rules = RuleSet([("s0", one)])
    standing = rules.standing(dict, now_ms=START_MS)

    for _ in range(40):
        sent = {"eventType": chance.choice(TYPES), "timestamp": START_MS - chance.randrange(12)}
        standing = rules.after_event(standing, sent, dict, now_ms=START_MS)
        _, runs = counted(rules, standing.log)
        assert everything(standing.runs) == everything(runs)


def test_a_late_event_that_no_run_takes_has_nobody_walk_over_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walked = 0

    def walking(log: Log | None) -> Iterator[tuple[int, int]]:
        nonlocal walked
        for one in newest_first(log):
            walked += 1
            yield one

    text = 'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "add"), B: WHAT(eventType = "view")])'
    rules = RuleSet([("s0", compile_rule(text, event_window_ms=DAY_MS))])
    view = {"xEvent": [{"eventType": "view", "timestamp": START_MS - at} for at in range(400)]}
    standing = rules.standing(partial(dict, view), now_ms=START_MS)
    monkeypatch.setattr(recount, "newest_first", walking)
    for late in range(1_000, 1_099):
        sent = {"eventType": "view", "timestamp": START_MS - late}
        standing = rules.after_event(standing, sent, dict, now_ms=START_MS)

    assert (standing.log is not None and standing.log[1], walked) == (499, 0)


def test_a_late_event_that_counts_for_no_rule_is_not_looked_at() -> None:
    text = 'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "add"), B: WHAT(eventType = "view")])'
    rules = RuleSet([("s0", compile_rule(text, event_window_ms=DAY_MS))])
    view = {"xEvent": [{"eventType": "view", "timestamp": START_MS - at} for at in range(400)]}
    before = rules.standing(partial(dict, view), now_ms=START_MS)

    sent = {"eventType": "add", "timestamp": START_MS - DAY_MS - 1}
    after = rules.after_event(before, sent, dict, now_ms=START_MS)

    assert after.log is before.log
    assert (after.members, after.until_ms) == (before.members, before.until_ms)


@given(randoms)
def test_an_event_takes_its_place_among_those_that_are_logged(chance: Random) -> None:
    events = sorted((chance.randrange(40), chance.randrange(8)) for _ in range(200))
    log = log_of(events)
    for number in range(60):
        assert log is not None
        if number % 3:
            late = chance.randrange(-1, events[-1][0] + 1), chance.randrange(8)
            log = placed(log, *late)
            events.insert(bisect_right(events, late[0], key=itemgetter(0)), late)
        else:
            place = chance.randrange(len(events))
            at_ms, before = events[place]
            log = exchanged(log, len(events) - 1 - place, at_ms, before, 9)
            events[place] = at_ms, 9
        assert log is not None
        assert [*newest_first(log)] == events[::-1]
        chunk: Log | None = log
        while chunk is not None:
            newest_ms, length, times, known, older = chunk
            assert len(known) * TIME == len(times) <= CHUNK * TIME
            assert newest_ms == time_at(times, len(known) - 1)
            assert length == len(known) + (older[1] if older else 0)
            chunk = older
    (at_ms, before), newer = events[7], len(events) - 8
    assert exchanged(log, newer, at_ms + 1, before, 1) is None
    assert exchanged(log, newer, at_ms, before + 1, 1) is None
    assert exchanged(log, len(events), at_ms, before, 1) is None


@given(randoms)
def test_a_clock_that_went_back_changes_nothing(chance: Random) -> None:
    story = Story(chance)

    for standing in story.told(STEPS):
        earlier = standing.now_ms - chance.randrange(1, 2 * DAY_MS)
        assert story.set.advance(standing, story.view, now_ms=earlier) is standing


@given(randoms)
def test_what_is_kept_of_simple_rules_is_no_more_than_what_decides(chance: Random) -> None:
    story = Story(chance, ordered=True)

    for standing in story.told(STEPS):
        if standing.plain:
            continue
        alone = story.set.alone
        assert (
            standing.members & alone
            == (standing.base ^ (standing.live & standing.sensitive)) & alone
        )
        firsts = [FOREVER_MS]
        ends = zip(standing.holders, standing.ends_ms, strict=True)
        for one, (holders, end_ms) in zip(story.set.classes, ends, strict=True):
            deciding = standing.live & standing.sensitive & one.bits
            assert bool(holders) == bool(deciding)
            if deciding:
                firsts.append(first_end(standing, deciding, one.lasting.end))
                assert end_ms <= firsts[-1]
        assert standing.simple_until_ms == min(firsts)


@given(randoms)
def test_a_series_that_holds_and_matters_has_one_entry_in_the_order(chance: Random) -> None:
    story = Story(chance)

    for standing in story.told(STEPS):
        if standing.plain:
            continue
        series, deciding = story.set.series, standing.live & standing.sensitive
        entries = [
            position for position in map(entry_position, standing.order) if position in series
        ]
        assert sorted(entries) == [position for position in series if deciding >> position & 1]


def first_end(standing: Standing, bits: int, end: Callable[[int], int]) -> int:
    """When the first of the bits ends, each by the last event that satisfied it."""
    last = {
        bit: max(at for at, matched in newest_first(standing.log) if matched >> bit & 1)
        for bit in bits_of(bits)
    }
    return min(end(at) for at in last.values())


@given(randoms)
def test_a_judged_rule_watches_whatever_could_change_its_answer(chance: Random) -> None:
    story = Story(chance, ordered=True)

    for standing in story.told(STEPS):
        if standing.plain:
            continue
        sent = event(chance, story.now_ms)
        view = {**story.view(), "xEvent": [*story.events, sent]}
        after = story.set.after_event(standing, sent, partial(dict, view), now_ms=story.now_ms)
        members, _ = run_all(story.rules, view, story.now_ms)
        assert after.members == members


@given(randoms)
def test_what_the_matcher_remembers_changes_no_answer(chance: Random) -> None:
    texts = [condition(chance) for _ in range(8)]
    known = [condition_of(condition_node(text)) for text in texts]
    matcher = Matcher(known)

    for _ in range(6):
        sent = event(chance, START_MS)
        assert matcher.matching(sent) == Matcher(known).matching(sent)
        for bit, text in enumerate(texts):
            alone = compiled_or_not(f"xEvent.exists({text})", DAY_MS)
            assert alone is not None
            holds = alone.evaluate({"xEvent": [sent]}, START_MS).holds
            assert bool(matcher.matching(sent) >> bit & 1) is holds, text


def condition_node(text: str) -> Node | None:
    alone = compiled_or_not(f"xEvent.exists({text})", DAY_MS)
    assert alone is not None
    formula = formula_of(alone.node, event_window_ms=DAY_MS)
    assert formula is not None
    (found,) = formula.literals
    assert isinstance(found, Happened)
    return found.condition


# ---- the cases a story rarely meets -----------------------------------------


def standing_of(text: str, *at_ms: int, now_ms: int) -> tuple[RuleSet, Standing]:
    rules = RuleSet([("a", compile_rule(text))])
    events = [{"eventType": "buy", "timestamp": at} for at in at_ms]
    return rules, rules.standing(lambda: {"xEvent": events}, now_ms=now_ms)


def test_a_count_ends_when_the_oldest_event_it_needs_leaves_the_window() -> None:
    text = (
        'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "buy") WHEN(<= 1 hour before now)'
        " COUNT(>= 2)])"
    )

    _, standing = standing_of(text, 0, 1_000, 2_000, now_ms=3_000)

    assert standing.members == 1
    assert standing.until_ms == 1_000 + HOUR_MS + 1


def test_a_large_count_is_carried_on_by_events_as_it_is_counted_anew() -> None:
    """Up to 1,000 its times are kept; the last of the counts is beyond that."""
    texts = [
        f'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "buy") WHEN(<= 1 hour before now)'
        f" COUNT({op} {count})])"
        for op in (">=", "=")
        for count in (101, 400, 1_000, 1_001)
    ]
    compiled = [(text, compile_rule(text)) for text in texts]
    rules = RuleSet(compiled)
    events: list[dict[str, Any]] = []
    standing = rules.standing(lambda: {"xEvent": events}, now_ms=0)
    kept = [formula_of(rule.node, event_window_ms=DAY_MS) is not None for _, rule in compiled]
    assert kept == [True, True, True, False] * 2

    for number in range(1, 1_004):
        now_ms = number // 2 * 1_000
        one = {"eventType": "buy", "timestamp": now_ms}
        events.append(one)
        standing = rules.after_event(standing, one, lambda: {"xEvent": events}, now_ms=now_ms)
        if number in (100, 101, 102, 399, 400, 401, 999, 1_000, 1_001, 1_002):
            anew = rules.standing(lambda: {"xEvent": events}, now_ms=now_ms)
            assert standing.members == run_all(compiled, {"xEvent": events}, now_ms)[0]
            assert (anew.members, anew.until_ms) == (standing.members, standing.until_ms)


def test_the_second_step_has_to_be_strictly_later() -> None:
    text = 'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "buy"), B: WHAT(eventType = "buy")])'

    assert standing_of(text, 5, 5, now_ms=9)[1].members == 0
    assert standing_of(text, 5, 6, now_ms=9)[1].members == 1


def test_an_event_of_the_future_counts_from_its_own_instant() -> None:
    text = 'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "buy") WHEN(<= 1 hour before now)])'
    rules, standing = standing_of(text, 5_000, now_ms=1_000)
    view = {"xEvent": [{"eventType": "buy", "timestamp": 5_000}]}

    begun = rules.advance(standing, lambda: view, now_ms=5_000)

    assert (standing.members, standing.until_ms) == (0, 5_000)
    assert (begun.members, begun.until_ms) == (1, 5_000 + HOUR_MS + 1)
    assert standing.plain
    assert not begun.plain


def test_a_rule_that_changes_nothing_costs_no_look_at_the_profile() -> None:
    rules, standing = standing_of('xEvent.exists(eventType = "view")', now_ms=1_000)

    def unseen() -> dict[str, Any]:
        raise AssertionError("nobody needs the profile")

    after = rules.after_event(standing, {"eventType": "buy", "timestamp": 5}, unseen, now_ms=1_000)

    assert after.members == 0


def test_all_rules_together_look_at_a_visitor_once() -> None:
    """Of many large events each look is as much memory again."""
    looks = []

    def view() -> dict[str, Any]:
        looks.append(1)
        return {"xEvent": [{"timestamp": START_MS, "items": [{"sku": "x"}]}], "tier": "gold"}

    rules = ['xEvent.exists(items.exists(i => i.sku = "x"))', "xEvent.items.distinct().count() > 0"]
    told = [(text, compile_rule(text)) for text in (*rules, 'tier = "gold"')]

    standing = RuleSet(told).standing(view, now_ms=START_MS)

    assert standing.members == 0b111
    assert looks == [1]


@pytest.mark.parametrize(
    "asks",
    [
        "items.q.isNotNull()",
        'items.sku notIn ["a"]',
        'items.sku.subsetOf(["a"])',
        'items.sku != ["a"]',
    ],
)
@pytest.mark.parametrize("items", [[], [{"price": 3}]])
def test_a_rule_that_is_run_is_asked_of_an_event_with_an_empty_list(
    asks: str, items: list[Any]
) -> None:
    text = f"CHAIN(xEvent, timestamp, [A: WHAT({asks}) WHEN(!= 1 hour before now)])"
    rules = RuleSet([("a", compile_rule(text, event_window_ms=DAY_MS))])
    arrived = {"eventType": "buy", "timestamp": START_MS, "items": items}
    nothing = rules.standing(lambda: {"xEvent": []}, now_ms=START_MS)

    found = rules.after_event(nothing, arrived, lambda: {"xEvent": [arrived]}, now_ms=START_MS)

    assert not [*rules.ids(nothing.members)]
    assert [*rules.ids(found.members)] == ["a"]
