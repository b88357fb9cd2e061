"""What a rule reads, and what it costs, in its author's words."""

from __future__ import annotations

import pytest

from perso_core.pql.compiler import compile_rule
from perso_core.pql.cost import Cost, cost_of, warnings_of
from perso_core.pql.origins import fields_of


def cost(text: str) -> Cost:
    rule = compile_rule(text)
    return cost_of(rule.node, rule.reads)


@pytest.mark.parametrize(
    ("rule", "profile", "event"),
    [
        ("a.b = 1 and $1.c = 2", "a.b c", ""),
        ("(P) => P.a.b = 1", "a.b", ""),
        (
            'orders[price > ^limit and lines.exists(sku = "A")]',
            "limit orders.lines.sku orders.price",
            "",
        ),
        (
            "CHAIN(xEvent, timestamp, [C0: WHAT(eventType = ^k and items.exists(sku = ^^.sku))])",
            "k sku",
            "eventType items.sku timestamp",
        ),
        ("select X from xEvent where X.a = 1, I from X.items where I.b = vip", "vip", "a items.b"),
        ("let N = xEvent[a = 1] in N.sum(b) > 1", "", "a b"),
        ("xEvent.topN(timestamp, 1).head().a = 1", "", "a timestamp"),
        ('identityMap.get("ECID").exists(id = "1")', "identityMap.ECID.id", ""),
        ("xEvent.count() > 1", "", "xEvent"),
        ("xEvent.groupBy(kind).map((K, G) => mapEntry(K, G.sum(price)))", "", "kind price"),
    ],
)
def test_the_fields_of_a_rule_are_those_of_the_profile_and_those_of_events(
    rule: str, profile: str, event: str
) -> None:
    found = fields_of(compile_rule(rule).node)

    assert (" ".join(found.profile), " ".join(found.event)) == (profile, event)


def test_the_events_that_cause_a_look_are_told_as_the_rule_names_them() -> None:
    rule = 'xEvent.exists(eventType = "a" or page.startsWith("Sale", false) or price > 3)'

    assert cost(rule).events == (
        "whose eventType is a",
        "whose page starts with sale in any letter case",
        "that have price",
    )
    assert not cost(rule).any_event
    assert cost("xEvent.count() > 1").any_event
    assert cost("a = 1").events == ()


def test_loops_are_counted_and_so_is_how_deep_they_stand_in_one_another() -> None:
    flat = cost("orders.count() > 1 and tags.includes(a)")
    deep = cost("xEvent[items[tags.exists(name = 1)]]")

    assert (flat.loops, flat.depth) == (1, 0)
    assert (deep.loops, deep.depth) == (3, 3)


@pytest.mark.parametrize(
    ("rule", "warning"),
    [
        ("xEvent[items[tags.exists(name = 1)]]", "elements within elements go 3 deep"),
        ("a.sum() + b.sum() + c.min() > d.max()", "it has 4 aggregations"),
        (f"a in [{', '.join(map(str, range(101)))}]", "a list has 101 values"),
    ],
)
def test_what_is_beyond_adobes_limits_is_a_warning(rule: str, warning: str) -> None:
    (told,) = warnings_of(compile_rule(rule).node)

    assert told.startswith(warning)


def test_a_rule_within_adobes_limits_has_no_warning() -> None:
    assert (
        warnings_of(compile_rule("xEvent[items[a = 1]] and b.sum() > c.sum() + d.sum()").node) == []
    )
