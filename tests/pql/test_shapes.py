"""Rules that differ in their literals alone share what compiling one of them found out, and nobody
can tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perso_core.errors import RuleFaults
from perso_core.pql import shapes
from perso_core.pql.compiler import DEFAULT_EVENT_WINDOW_MS, compile_rule
from perso_core.pql.patterns import PLAINLY_FINE, regular, usable
from tests.pql import making
from tests.pql.cases import AUDIENCES, VECTORS

# Texts of the vectors and audiences, where each function of the language occurs.
WRITTEN = [case["pql"] for case in [*VECTORS, *AUDIENCES] if len(case["pql"]) < 1_000]

literals = st.one_of(
    st.sampled_from(["0", "1", "2", "3", "12", "13", "31", "40", "0.5", "1.0", "2.5", "9" * 16]),
    st.sampled_from(["", "true", "false", "gold", "view", "x%", "%x", "a_b", "%", "(", "[a-"]).map(
        lambda text: f'"{text}"'
    ),
    st.just('"\\"quoted\\""'),
)


def outcome(text: str, view: dict[str, Any], now_ms: int) -> object:
    """All that can be seen of a rule: what it reads and says, where its parts stand, its faults."""
    try:
        rule = compile_rule(text)
    except RuleFaults as raised:
        return [(type(f), f.detail, f.fix, f.line, f.column, f.end_column) for f in raised.faults]
    reads = rule.reads
    sets = sorted(reads.profile_paths), sorted(reads.audience_ids)
    answers = rule.evaluate(view, now_ms), rule.value(view, now_ms)
    # 2 and 2.0 are equal and not the same.
    return repr((*sets, reads.events, reads.now, rule.exact, *answers, rule.node))


def with_literals(text: str, draw: Any) -> str:
    pieces = shapes.LITERAL.split(text)
    pieces[1::2] = [draw(literals | st.just(piece)) for piece in pieces[1::2]]
    return "".join(pieces)


@given(st.data(), st.sampled_from(WRITTEN) | making.rules, making.profiles, making.instants)
def test_a_rule_is_the_same_whether_one_of_its_shape_was_compiled_before_or_not(
    data: st.DataObject, text: str, view: dict[str, Any], now_ms: int
) -> None:
    texts = [text, *(with_literals(text, data.draw) for _ in range(3))]

    shapes.forget()
    together = [outcome(text, view, now_ms) for text in texts]

    for text, seen in zip(texts, together, strict=True):
        shapes.forget()
        assert outcome(text, view, now_ms) == seen, text


def pair(one: str, other: str) -> tuple[Any, Any]:
    shapes.forget()
    return compile_rule(one), compile_rule(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('tier = "gold"', 'tier = "silver"'),
        ("points >= 1000", "points >= 250"),
        ('tier.equals("GOLD", false)', 'tier.equals("silver", false)'),
        ('country in ["DE", "AT"]', 'country in ["FR", "BE"]'),
        ('page like "sale%"', 'page like "news%"'),
        ('page.matches("^sale")', 'page.matches("^news")'),
        ('inSegment("one")', 'inSegment("two")'),
        ("born occurs <= 30 days before now", "born occurs <= 7 days before now"),
        ('xEvent[type = "view"].count() > 3', 'xEvent[type = "buy"].count() > 5'),
        (
            'CHAIN(xEvent, timestamp, [C0: WHAT(a = "x") WHEN(<= 2 hours before now) COUNT(3)])',
            'CHAIN(xEvent, timestamp, [C0: WHAT(a = "y") WHEN(<= 9 hours before now) COUNT(7)])',
        ),
        ('tier = "gold"', 'rank = "gold"'),
    ],
)
def test_rules_of_one_shape_have_one_code(one: str, other: str) -> None:
    first, second = pair(one, other)

    assert first.linked.test.__code__ is second.linked.test.__code__
    assert second.text == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('flag = "yes"', 'flag = "true"'),
        ("a = 2", "a = 1"),
        ('page like "x%"', 'page like "%x"'),
        ('stringCompare("equals", a, ["x"])', 'stringCompare("contains", a, ["x"])'),
    ],
)
def test_a_literal_with_a_meaning_of_its_own_makes_another_shape(one: str, other: str) -> None:
    first, second = pair(one, other)

    assert first.linked.test.__code__ is not second.linked.test.__code__


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("birthDate.getMonth() = 12", "birthDate.getMonth() = 13"),
        ("born occurs on date(2026, 2, 28)", "born occurs on date(2026, 2, 30)"),
        ('page.matches("a+")', 'page.matches("(a")'),
        ('stringCompare("equals", a, ["x"])', 'stringCompare("equal", a, ["x"])'),
        ('xEvent[type = "view"].count() = 2', 'xEvent[type = "view"].count() = 2.5'),
    ],
)
def test_a_fault_is_found_also_after_a_good_rule_of_its_shape(good: str, bad: str) -> None:
    shapes.forget()
    compile_rule(good)

    with pytest.raises(RuleFaults) as raised:
        compile_rule(bad)

    shapes.forget()
    with pytest.raises(RuleFaults) as fresh:
        compile_rule(bad)
    assert [(f.line, f.column, f.detail) for f in raised.value.faults] == [
        (f.line, f.column, f.detail) for f in fresh.value.faults
    ]


def test_the_nodes_of_a_rule_stand_where_its_own_text_has_them() -> None:
    first, second = pair('a = "x" and b = 20', 'a = "longer" and b = 3000')

    assert first.node.place == (0, 18)
    assert second.node.place == (0, 25)
    assert second.node.operands[1].place == (17, 25)


def test_a_rule_reads_what_its_own_literals_name() -> None:
    _, second = pair(
        'inSegment("one") and xEvent[type.equals("View", false)].count() > 2',
        'inSegment("two") and xEvent[type.equals("BUY", false)].count() > 2',
    )

    assert second.reads.audience_ids == {"two"}
    assert [guard.values for guard in second.reads.events] == [("buy",)]


def test_the_event_window_is_a_part_of_the_shape() -> None:
    shapes.forget()
    event = {"timestamp": 0, "a": 1}
    short = compile_rule("xEvent.exists(a = 1)", event_window_ms=10)
    long = compile_rule("xEvent.exists(a = 1)", event_window_ms=20)

    assert short.evaluate({"xEvent": [event]}, 15).holds is False
    assert long.evaluate({"xEvent": [event]}, 15).holds is True


def test_equal_literals_and_different_ones_are_one_shape() -> None:
    rule = 'x = "{}" or x = "{}" or x = "{}" or x = "{}" or y["{}"].a = 1 or y["{}"].a = 1'
    first, second = pair(rule.format(*"aaaabb"), rule.format(*"abcdef"))

    assert not first.evaluate({"x": "d"}, 0).holds
    assert second.evaluate({"x": "d"}, 0).holds
    assert second.evaluate({"y": {"f": {"a": 1}}}, 0).holds


def test_no_more_shapes_are_kept_than_said() -> None:
    shapes.forget()
    for number in range(shapes.KEPT + 10):
        shapes.taken_apart(f"a{number} = 2", 1)

    assert shapes._shape.cache_info().currsize == shapes.KEPT


def test_rules_joined_in_many_ways_do_not_drive_their_parts_out() -> None:
    shapes.forget()
    compile_rule("part = 2 and first = 2")
    for number in range(shapes.KEPT + 10):
        shapes.taken_apart(f"a{number} = 2 and part = 2", 1)

    assert shapes._shape_of_part("part = \x009\x01", DEFAULT_EVENT_WINDOW_MS).first is not None


@given(st.from_regex(PLAINLY_FINE, fullmatch=True))
def test_a_pattern_that_is_not_looked_at_closely_is_one_that_can_be_used(pattern: str) -> None:
    usable(pattern)

    assert regular(pattern) is not None


def test_of_one_shape_few_forms_are_kept() -> None:
    shapes.forget()
    for day in range(2, 28):
        compile_rule(f"born occurs on date(2026, 3, {day})")

    apart = shapes.taken_apart("born occurs on date(2026, 3, 2)", DEFAULT_EVENT_WINDOW_MS)
    assert apart is not None
    assert 0 < len(apart.shape.forms) <= shapes.KEPT_FORMS


@example("9" * 20)
@given(st.text(alphabet='ab1.$@_e"\\% +-', max_size=12))
def test_a_text_taken_apart_is_the_same_put_together(text: str) -> None:
    apart = shapes.taken_apart(text, 1)

    assert apart is not None
    assert apart.whole() == text
    assert [text[start:end] for (start, end), _ in apart.places()] == [*apart.literals]
