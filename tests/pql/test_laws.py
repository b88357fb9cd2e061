"""What holds for every rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from perso_core.pql.compiler import DEFAULT_EVENT_WINDOW_MS, FOREVER_MS, compile_rule
from perso_core.pql.nodes import Node, fingerprint
from perso_core.pql.parser import parse
from perso_core.pql.printer import print_rule
from perso_core.rules.ruleset import RuleSet
from tests.pql import making
from tests.pql.making import DAY_MS, HOUR_MS


@given(making.nodes)
def test_reading_a_printed_rule_gives_the_rule(node: Node) -> None:
    text = print_rule(node)
    note(text)

    again = parse(text)

    assert again == node
    assert print_rule(again) == text


@given(making.nodes, making.nodes)
def test_nodes_that_say_the_same_and_no_others_have_one_fingerprint(one: Node, other: Node) -> None:
    again = parse(print_rule(one))

    assert fingerprint(again) == fingerprint(one)
    assert (fingerprint(one) == fingerprint(other)) is (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a = 1", "a = 1.0"), ("a = 1", 'a = "1"'), ("a = true", 'a = "true"'), ("a = b", "b = a")],
)
def test_nodes_that_differ_in_a_kind_alone_have_two_fingerprints(one: str, other: str) -> None:
    assert fingerprint(parse(one)) != fingerprint(parse(other))


def instants_between(start: int, end: int, view: dict[str, Any]) -> set[int]:
    """Where an answer might change: near everything the profile dates, and days and months on."""
    dated = [event["timestamp"] for event in view["xEvent"]]
    dated += [event["due"] for event in view["xEvent"] if "due" in event]
    dated += [start, start // DAY_MS * DAY_MS, end]
    lengths = [0, DEFAULT_EVENT_WINDOW_MS, *(n * DAY_MS for n in range(-1, 45, 3)), 20 * HOUR_MS]
    found = {at + length + step for at in dated for length in lengths for step in (-1, 0, 1)}
    return {at for at in found if start <= at < end} | {(start + end) // 2, end - 1}


@given(making.rules, making.profiles, making.instants)
def test_an_answer_holds_until_its_instant_and_changes_there(
    text: str, view: dict[str, Any], now_ms: int
) -> None:
    rule = compile_rule(text)

    verdict = rule.evaluate(view, now_ms)

    assert verdict.until_ms > now_ms
    for at in instants_between(now_ms, min(verdict.until_ms, now_ms + 500 * DAY_MS), view):
        assert rule.evaluate(view, at).holds is verdict.holds, at - now_ms
    # An answer with many flips of its parts on the way may be asked for again before it changes.
    if verdict.until_ms - now_ms < 400 * DAY_MS:
        assert rule.evaluate(view, verdict.until_ms).holds is not verdict.holds


@given(
    st.lists(making.rules, min_size=1, max_size=6),
    making.profiles,
    making.events,
    making.instants,
)
def test_rules_the_index_passes_over_keep_their_verdict_when_an_event_arrives(
    texts: list[str], before: dict[str, Any], event: dict[str, Any], now_ms: int
) -> None:
    rules = {str(number): compile_rule(text) for number, text in enumerate(texts)}
    after = {**before, "xEvent": [*before["xEvent"], event]}

    touched = RuleSet(list(rules.items())).reached_by(event)

    assert touched == sorted(touched, key=int)
    for rule_id, rule in rules.items():
        if rule_id not in touched:
            assert rule.evaluate(before, now_ms) == rule.evaluate(after, now_ms), rule.text


@given(
    st.lists(making.rules, min_size=1, max_size=6),
    making.profiles,
    making.profiles,
    making.instants,
)
def test_rules_the_index_passes_over_keep_their_verdict_when_attributes_change(
    texts: list[str], before: dict[str, Any], other: dict[str, Any], now_ms: int
) -> None:
    rules = {str(number): compile_rule(text) for number, text in enumerate(texts)}
    index = RuleSet(list(rules.items())).index
    kept = ("xEvent", "segmentMembership")
    after = {
        **{name: value for name, value in before.items() if name in kept},
        **{name: value for name, value in other.items() if name not in kept},
    }
    names = [n for n in {*before, *after} if before.get(n) != after.get(n)]

    touched = index.reading(names)

    for place, rule in enumerate(rules.values()):
        if place not in touched:
            assert rule.evaluate(before, now_ms) == rule.evaluate(after, now_ms), rule.text


@given(making.rules, making.profiles, making.instants)
def test_a_membership_changes_only_rules_that_ask_for_it(
    text: str, view: dict[str, Any], now_ms: int
) -> None:
    rule = compile_rule(text)
    rules = RuleSet([("s1", compile_rule("vip = true")), ("r", rule)])
    statuses = [{**view, "segmentMembership": {"ups": {"s1": {"status": s}}}} for s in STATUSES]

    if not rules.index.dependents(0):
        verdicts = {rule.evaluate(status, now_ms) for status in statuses}
        assert verdicts == {rule.evaluate(view, now_ms)}


STATUSES = ("realized", "existing", "exited")


@given(making.rules, making.profiles, making.instants)
def test_a_rule_that_does_not_read_time_holds_for_good(
    text: str, view: dict[str, Any], now_ms: int
) -> None:
    rule = compile_rule(text)

    if not rule.reads.now:
        assert rule.evaluate(view, now_ms).until_ms == FOREVER_MS


@given(making.rules, making.profiles, making.instants, st.randoms())
def test_the_order_in_which_events_arrived_does_not_matter(
    text: str, view: dict[str, Any], now_ms: int, random: Any
) -> None:
    rule = compile_rule(text)
    shuffled = list(view["xEvent"])
    random.shuffle(shuffled)
    if "topN" in text:  # ties keep the order of arrival
        return

    assert rule.evaluate({**view, "xEvent": shuffled}, now_ms) == rule.evaluate(view, now_ms)


@given(making.rules)
def test_a_printed_rule_reads_the_same(text: str) -> None:
    rule = compile_rule(text)

    assert compile_rule(print_rule(rule.node)).reads == rule.reads
