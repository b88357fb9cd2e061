"""A rule is compiled from the operands of its and, or and not, and nobody can tell."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perso_core.pql import compiler, shapes
from perso_core.pql.compiler import compile_rule
from perso_core.pql.operands import join_of
from perso_core.pql.shapes import taken_apart
from tests.pql import making
from tests.pql.test_shapes import WRITTEN, outcome

# What is easily taken for something else.
odd = st.sampled_from(
    [
        'tier = "a and b"',
        "born occurs between yesterday and now",
        "exists X from orders where X.price > 1 and X.price < 3",
        "let N = 2 in orders.count() > N and flag",
        "sum X.price over X from orders where X.price > 1 or true",
        "orders.exists(price > 1 and price < 3)",
        "a.and.or = 1",
        "a. and = 1",
        "from = 1",
        "max > min",
        "true",
        '"text"',
        "5",
        "tags",
        "!flag",
        "NOT not flag",
        "!! tags",
        "a and or",
        "(a",
        "",
        "x => x.a",
        'a in ["and", "or"]',
        "tier = 1 or tier = 2 or tier = 3 or tier = 4",
        '"quoted \\" and "',
        "a\u0000b",
    ]
)
joined = st.recursive(
    odd | making.event_uses | making.profile_atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map(" and ".join),
        st.lists(inner, min_size=2, max_size=4).map("  OR\n".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"not({text})"),
        inner.map(lambda text: f"!{text}"),
        inner.map(lambda text: f"not {text}"),
    ),
    max_leaves=6,
)


def whole(text: str, view: dict[str, Any], now_ms: int) -> object:
    shapes.forget()
    with patch.object(compiler, "join_of", return_value=None):
        return outcome(text, view, now_ms)


@given(joined | st.sampled_from(WRITTEN) | making.rules, making.profiles, making.instants)
@example('a = 1 and "x"', {}, 0)
@example("xEvent.exists(a = 1) and xEvent.exists(b = 1)", {}, 0)
@example('a = 1 and (b or c) and not(inSegment("s"))', {"a": 1, "b": 1}, 0)
def test_a_rule_of_parts_is_the_rule_compiled_as_a_whole(
    text: str, view: dict[str, Any], now_ms: int
) -> None:
    expected = whole(text, view, now_ms)

    shapes.forget()
    assert outcome(text, view, now_ms) == expected
    assert outcome(text, view, now_ms) == expected


def parts(text: str) -> list[str]:
    apart = taken_apart(text, 1)
    assert apart is not None
    join = join_of(apart.skeleton)
    texts = None if join is None else apart.parts(join.parts)
    return [part.whole() for part in texts or ()]


@pytest.mark.parametrize(
    ("rule", "operands"),
    [
        ('a = "x" and b > 2', ['a = "x"', "b > 2"]),
        ("not(a or b) and c", ["a", "b", "c"]),
        ("!a", ["a"]),
        ("a.exists(b = 1 and c = 2) or d", ["a.exists(b = 1 and c = 2)", "d"]),
        ("(a or b or c or d) and e", ["(a or b or c or d)", "e"]),
        ("(t occurs between x and y) and e", ["(t occurs between x and y)", "e"]),
        ("a", []),
        ("a or b or c or d", []),
        ("t occurs between x and y", []),
        ("let n = 1 in a and b", []),
        ("a and (b", []),
    ],
)
def test_only_what_is_certain_is_taken_apart(rule: str, operands: list[str]) -> None:
    assert parts(rule) == operands


def test_rules_joined_alike_have_one_code_whatever_their_parts_are() -> None:
    shapes.forget()
    one = compile_rule('tier = "gold" and points > 5')
    other = compile_rule('page.startsWith("x") and inSegment("s")')
    third = compile_rule('page.startsWith("x") or inSegment("s")')

    assert one.linked.test.__code__ is other.linked.test.__code__
    assert one.linked.test.__code__ is not third.linked.test.__code__


class Untouched(list[Any]):
    """Events that nobody may look at."""

    def __iter__(self) -> Any:
        raise AssertionError("an event was looked at")

    __reversed__ = __iter__


@pytest.mark.parametrize(
    "rule",
    [
        'xEvent.exists(a = 1) and tier = "gold"',
        '(xEvent.exists(a = 1) or xEvent.exists(b = 1)) and tier = "gold"',
        'xEvent.exists(a = 1) or tier != "gold"',
    ],
)
def test_no_event_is_looked_at_where_the_profile_decides(rule: str) -> None:
    compile_rule(rule).evaluate({"tier": "none", "xEvent": Untouched()}, 0)


def test_the_functions_of_a_rule_are_made_when_it_is_first_asked() -> None:
    rule = compile_rule('tier = "gold" and points > 5')

    assert rule._linked is None
    assert rule.evaluate({"tier": "gold", "points": 6}, 0).holds
    assert rule._linked is rule.linked
