"""Which events a rule waits for."""

from __future__ import annotations

import pytest

from perso_core.pql.compiler import compile_rule
from perso_core.pql.types import EventGuard
from perso_core.rules.ruleset import RuleSet


def guards(text: str) -> tuple[EventGuard, ...]:
    return compile_rule(text).reads.events


def test_the_type_of_the_event_is_the_guard_that_is_preferred() -> None:
    rule = 'CHAIN(xEvent, timestamp, [C0: WHAT(page = "x" and eventType.equals("Buy", false))])'

    assert guards(rule) == (EventGuard("folded", ("eventType",), ("buy",)),)


@pytest.mark.parametrize(
    ("condition", "guard"),
    [
        ('page like "sale/%"', EventGuard("prefix", ("page",), ("sale/",))),
        ('page.startsWith("Sale", false)', EventGuard("folded-prefix", ("page",), ("sale",))),
        ("a in [1, 2]", EventGuard("equal", ("a",), (1, 2))),
        ('flag = "true"', EventGuard("equal", ("flag",), ("true", True))),
        ("amount > 5", EventGuard("present", ("amount",))),
        ("items.exists(a = 1)", EventGuard("present", ("items",))),
        ("page.isNull()", EventGuard("any")),
        ("not(page = 1)", EventGuard("any")),
        ("items.count() = 0", EventGuard("any")),
        ("items.sum(price) >= 0", EventGuard("any")),
    ],
)
def test_an_event_has_to_satisfy_what_the_condition_cannot_do_without(
    condition: str, guard: EventGuard
) -> None:
    assert guards(f"xEvent.exists({condition})") == (guard,)
    assert guards(f"not(xEvent[{condition}].count() = 0)") == (guard,)


def test_alternatives_wait_for_any_of_them() -> None:
    assert guards('xEvent.exists(a = 1 or b = "x")') == (
        EventGuard("equal", ("a",), (1,)),
        EventGuard("equal", ("b",), ("x",)),
    )


@pytest.mark.parametrize("rule", ["xEvent.count() > 1", "xEvent.forall(a = 1)", "xEvent.isNull()"])
def test_a_rule_about_all_events_waits_for_every_event(rule: str) -> None:
    assert guards(rule) == (EventGuard("any"),)


def test_a_rule_without_events_is_touched_by_none() -> None:
    rules = RuleSet([("r", compile_rule("loyalty.points > 1"))])

    assert rules.reached_by({"eventType": "x"}) == []
    assert rules.silent == {0}
    assert rules.index.reading(["loyalty", "other"]) == {0}


def test_a_rule_that_looks_through_the_memberships_hangs_on_every_audience_before_it() -> None:
    through = compile_rule('segmentMembership.get("ups").get("s").status = "realized"')
    rules = RuleSet([("s", compile_rule("vip = true")), ("r", through)])

    standing = rules.standing(lambda: {"vip": True}, now_ms=1)

    assert rules.index.dependents(0) == (1,)
    assert rules.ids(standing.members) == ["s", "r"]


def test_what_a_rule_reads() -> None:
    reads = compile_rule(
        'P => P.loyalty.tier = "x" and inSegment("s") and $1.born occurs before today'
        " and orders[^person.vip = true and price > 1].count() > 0"
    ).reads

    assert reads.profile_paths == {"loyalty.tier", "born", "orders", "person.vip"}
    assert reads.audience_ids == {"s"}
    assert reads.events == ()
    assert reads.now


@pytest.mark.parametrize(
    ("text", "again"),
    [
        (
            '(a.get("b").status = "x") and ((not(xEvent.due occurs today))'
            " and (born occurs = 0 milliseconds from now))",
            'a.get("b").status = "x" and not(xEvent.due occurs today)'
            " and born occurs = 0 milliseconds from now",
        ),
        ("(xEvent.a.b > 1) and ((xEvent.a > 1))", "xEvent.a.b > 1 and xEvent.a > 1"),
    ],
)
def test_brackets_around_conditions_change_nothing_of_what_a_rule_reads(
    text: str, again: str
) -> None:
    """Compiled as a whole a rule kept a field of its profile's of each event, too; compiled part by
    part it did not."""
    assert compile_rule(text).reads == compile_rule(again).reads
