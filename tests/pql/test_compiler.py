"""What becomes of a rule."""

from __future__ import annotations

from typing import Any

import pytest

from perso_core.errors import RuleFaults, RuleTooLarge
from perso_core.pql.compiler import FOREVER_MS, Verdict, compile_condition, compile_rule
from perso_core.pql.nodes import Chain, Compare, Filter, Method, Node
from tests.pql.cases import AUDIENCES


@pytest.mark.parametrize("audience", AUDIENCES, ids=lambda audience: str(audience["name"]))
def test_the_same_rule_gives_the_same_code(audience: dict[str, Any]) -> None:
    one, other = compile_rule(audience["pql"]), compile_rule(audience["pql"])

    assert one.linked.test.__code__ == other.linked.test.__code__


def test_text_in_a_rule_stays_text() -> None:
    trap = '\\"] or __import__(\\"os\\").abort() #'

    rule = compile_rule(f'a."{trap}" = "{trap}"')

    key = trap.replace("\\", "")
    assert rule.evaluate({"a": {key: key}}, 0) == Verdict(True, FOREVER_MS)
    assert not rule.evaluate({}, 0).holds


def test_a_rule_just_within_the_depth_compiles_and_answers() -> None:
    assert compile_rule("!" * 190 + "a").evaluate({"a": 1}, 0).holds
    assert compile_rule("if(a, " * 60 + "1" + ", 2)" * 60).value({"a": 1}, 0) == 1
    nested = "b.exists(" * 90 + "a = 1" + ")" * 90
    assert compile_rule(nested).evaluate({}, 0).holds is False


def test_a_caller_deep_in_its_own_stack_gets_a_fault_and_no_crash() -> None:
    def deeper(levels: int) -> Any:
        return deeper(levels - 1) if levels else compile_rule("(" * 150 + "a" + ")" * 150)

    with pytest.raises(RuleFaults) as raised:
        deeper(750)

    assert type(raised.value.faults[0]) is RuleTooLarge


def test_what_time_cannot_change_is_asked_first() -> None:
    # The event is in its window, but without the tier no instant brings the visitor in.
    rule = compile_rule('xEvent.exists(a = 1) and tier = "gold"')

    assert rule.evaluate({"xEvent": [{"timestamp": 0, "a": 1}]}, 1) == Verdict(False, FOREVER_MS)


def test_a_rule_with_many_flips_before_its_answer_changes_reports_an_early_one() -> None:
    rule = compile_rule("currentDayOfMonth() % 2 = 5")

    verdict = rule.evaluate({}, 0)

    assert verdict.holds is False
    assert 0 < verdict.until_ms < FOREVER_MS


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("orders.groupBy(shop).map((K, G) => mapEntry(K, G.count()))", {"s": 2, "t": 1}),
        ("orders.map(o => o.price * 2)", [2, 4, 6]),
        ("orders.bottomN(price, 2).map(shop)", ["s", "t"]),
        ("let most = orders.max(price) in orders[price = most].map(shop)", ["s"]),
        ("orders.price", [1, 2, 3]),
        ("orders.filter(price > 9)", []),
        ("a.b.c", None),
        ("1e300 * 1e300", None),
        ('{"n": orders.count()}', {"n": 3}),
        ("orders.exists(shop = ^wanted)", True),
    ],
)
def test_an_expression_has_the_value_one_expects(rule: str, value: Any) -> None:
    profile = {
        "wanted": "t",
        "orders": [
            {"shop": "s", "price": 1},
            {"shop": "t", "price": 2},
            {"shop": "s", "price": 3},
        ],
    }

    assert compile_rule(rule).value(profile, 0) == value


def condition(rule: str) -> Node:
    """What stands inside `xEvent[...].count() > 0`, `xEvent.filter(...)…` or WHAT(...)."""
    node = compile_rule(rule).node
    if isinstance(node, Chain):
        return node.steps[0].conditions[0]
    assert isinstance(node, Compare)
    assert isinstance(node.left, Method)
    base = node.left.base
    assert isinstance(base, Filter | Method)
    return base.condition if isinstance(base, Filter) else base.args[0]


@pytest.mark.parametrize(
    ("event", "holds"),
    [
        ({"type": "view", "items": [{"price": 3}]}, True),
        ({"type": "view", "items": [{"price": 1}]}, False),
        ({"type": ["buy", "view"], "items": [{"price": 3}]}, True),
        ({"type": "view"}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize(
    "rule",
    [
        'xEvent[type = "view" and items.exists(price > 2)].count() > 0',
        'xEvent.filter(e => e.type = "view" and e.items.exists(price > 2)).count() > 0',
        'CHAIN(xEvent, timestamp, [C: WHAT(type = "view" and items.exists(price > 2))])',
    ],
)
def test_a_condition_of_events_can_be_asked_of_one_event(
    rule: str, event: dict[str, Any], holds: bool
) -> None:
    assert compile_condition(condition(rule))(event) is holds
    seen = {**event, "timestamp": 0}
    assert compile_rule(rule).evaluate({"xEvent": [seen]}, 0).holds is holds


@pytest.mark.parametrize(
    "rule",
    [
        "xEvent[type = ^wanted].count() > 0",
        "xEvent[due occurs today].count() > 0",
        'xEvent[inSegment("s")].count() > 0',
        "xEvent[^xEvent.count() > 1].count() > 0",
    ],
)
def test_a_condition_that_reads_more_than_the_event_is_no_function_of_it(rule: str) -> None:
    with pytest.raises(AssertionError):
        compile_condition(condition(rule))
