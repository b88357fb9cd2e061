"""Rules that were kept answer as those that were compiled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.pql.compiler import CompiledRule, compile_rule
from perso_core.pql.instants import instant_of
from perso_core.pql.kept import Packing
from perso_core.rules.kept import Prepared, UnreadableRules, kept_rules, rules_from
from perso_core.rules.ruleset import RuleSet
from tests.pql import making
from tests.rules.making_stories import Story
from tests.rules.test_vectors_together import PROFILES, RULES, SET

STEPS = 20


def kept_set(rules: RuleSet) -> RuleSet:
    """The set, written and read."""
    pairs = zip(rules.rules, rules.outlines, strict=True)
    known = rules_from(kept_rules(Prepared(rule, outline) for rule, outline in pairs))
    read = [known[rule.text, rule.event_window_ms] for rule in rules.rules]
    outlines = {one.rule: one.outline for one in known.values() if one.outline is not None}
    again = RuleSet(
        [(name, one.rule) for name, one in zip(rules.ids_by_position, read, strict=True)], outlines
    )
    assert all(one.rule in outlines for one in read if one.rule.reads.events), "none is read anew"
    return again


def kept(rule: CompiledRule) -> CompiledRule:
    (found,) = kept_set(RuleSet([("a", rule)])).rules
    return found


@given(st.integers(0, 2**32))
def test_a_visitor_stands_with_kept_rules_where_it_stands_with_compiled_ones(seed: int) -> None:
    story, again = Story(Random(seed)), Story(Random(seed))
    again.set = kept_set(story.set)
    again.standing = again.set.standing(again.view, now_ms=again.now_ms)

    for one, other in zip(story.told(STEPS), again.told(STEPS), strict=True):
        assert (other.members, other.until_ms) == (one.members, one.until_ms)
        assert (other.base, other.live & other.sensitive) == (one.base, one.live & one.sensitive)
        assert other.log == one.log


@given(making.rules, making.profiles, making.instants)
def test_a_kept_rule_answers_as_the_compiled_one(
    text: str, view: dict[str, object], now_ms: int
) -> None:
    rule = compile_rule(text)

    again = kept(rule)

    assert repr(again.evaluate(view, now_ms)) == repr(rule.evaluate(view, now_ms))
    assert repr(again.value(view, now_ms)) == repr(rule.value(view, now_ms))
    assert (again.reads, again.exact, again.node) == (rule.reads, rule.exact, rule.node)


def test_every_rule_of_the_vectors_can_be_kept_and_answers_as_before() -> None:
    again = kept_set(SET)

    assert again.ids_by_position == SET.ids_by_position
    for one in PROFILES:
        profile, now = json.loads(one)
        now_ms = instant_of(now)
        assert now_ms is not None
        before, after = (
            rules.standing(lambda profile=profile: profile, now_ms=now_ms)  # type: ignore[misc]  # called at once
            for rules in (SET, again)
        )
        assert (after.members, after.until_ms) == (before.members, before.until_ms)


# What the vectors may not have: each kind of constant, and texts that are no UTF-8.
ODD: Sequence[str] = (
    'tier = "\\ud800"',
    'xEvent[page = "\\udfff"].count() > 1',
    "points = 123456789012345678901234567890",
    "xEvent[points >= 123456789012345678901234567890].count() > 0",
    'page.matches("(?i)^s.le$") or page like "a%b_c"',
    'xEvent[page.matches("[a-c]+")].count() > 0',
    'page.matches("(s)(a)") and page.regexGroup("(s)(a)(l)", 3) = "l"',
    "xEvent[items.exists(q > 1 and sku = page)].count() > 0",
    'stringCompare("equals", tier, ["a", "b"], false)',
    "points in [1, 2.5, 3]",
    "xEvent[points in [9007199254740993, 2]].count() > 0",
    'CHAIN(xEvent, timestamp, [A: WHAT(a = 1), B: WHAT(b = "x") WHEN(<= 2 days after A)])',
)


@pytest.mark.parametrize("text", ODD)
def test_a_rule_that_cannot_be_kept_is_left_out_and_any_other_is_as_before(text: str) -> None:
    rule = compile_rule(text)
    rules = RuleSet([("gold", compile_rule('tier = "gold"')), ("odd", rule)])
    pairs = zip(rules.rules, rules.outlines, strict=True)

    known = rules_from(kept_rules(Prepared(one, outline) for one, outline in pairs))

    assert 'tier = "gold"' in {name for name, _ in known}
    found = known.get((text, rule.event_window_ms))
    if found is not None:
        assert repr(found.rule.reads) == repr(rule.reads)
        view = {"tier": "A", "page": "sale", "points": 2.5, "xEvent": []}
        assert found.rule.evaluate(view, 0) == rule.evaluate(view, 0)


def test_a_number_too_large_for_a_fraction_stays_the_number_it_is() -> None:
    rule = compile_rule("xEvent[points in [9007199254740993]].count() > 0")
    event = {"timestamp": 1, "points": 9_007_199_254_740_992}

    again = kept_set(RuleSet([("a", rule)]))

    assert again.standing(lambda: {"xEvent": [event]}, now_ms=2).members == 0


def test_where_the_callers_stack_has_no_room_left_rules_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_deep(*_: object) -> bytes:
        raise RecursionError

    monkeypatch.setattr(Packing, "packed", too_deep)

    assert rules_from(kept_rules([Prepared(compile_rule('tier = "gold"'), None)])) == {}


def test_code_that_many_rules_share_is_kept_once() -> None:
    texts = [f'tier = "t{number}"' for number in range(50)]
    packing = Packing(())

    for text in texts:
        packing.packed(compile_rule(text).linked.test)

    assert len(packing.code_bytes()) == 1


@given(st.binary(max_size=200))
def test_bytes_of_something_else_are_no_rules(content: bytes) -> None:
    with pytest.raises(UnreadableRules):
        rules_from(content)


def test_rules_together_are_the_vectors() -> None:
    assert len(RULES) > 100, "the law above is about something"
