"""What is asked of a value that has nothing to answer it is told when the rule is saved."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from perso_core.definitions.schema import Field, Schema, field_types
from perso_core.errors import RuleError, RuleFaults, RuleNeverHolds, RuleTypeError
from perso_core.pql.compiler import compile_rule
from perso_core.pql.fields import KNOWN
from tests.pql.making import DAY_MS, NOW_MS
from tests.pql.test_types import faults_of

SCHEMA = field_types(
    Schema(
        profile=(
            Field(path="born", type="date"),
            Field(path="email", type="text"),
            Field(path="member", type="boolean"),
            Field(path="rank", type="integer"),
            Field(path="points", type="number"),
            Field(path="interests[]", type="text"),
            Field(path="orders[].placed", type="datetime"),
            Field(path="orders[].store", type="text"),
            Field(path="plans.*.fee", type="number"),
        )
    )
)
KEYS = "Write values() after it for the lists, keys() for what they were grouped by."


def fault_with(text: str, schema: Any = KNOWN) -> RuleError:
    (fault,) = faults_of(text, schema)
    return fault


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a.distinct().getMonth() = 1", "1:14"),
        ("xEvent.getYear() = 2026", "1:8"),
        ("xEvent.timestamp.getMonth() = 1", "1:18"),
        ("xEvent[a = 1].getDayOfMonth() = 1", "1:15"),
        ('m.groupBy(x).get("k").getMonth() = 1', "1:23"),
        ("a.map(x).getMonth() = 1", "1:10"),
        ("[date(2026, 1, 1)].getMonth() = 1", "1:20"),
        ("(select O from orders where O.x = 1).getMonth() = 1", "1:38"),
    ],
)
def test_a_list_has_no_month(text: str, place: str) -> None:
    fault = fault_with(text)

    assert fault.place == place
    assert fault.detail.endswith("asks for one time; this is a list.")


def test_a_list_of_the_schema_has_no_month_but_its_elements_have() -> None:
    fault = fault_with("orders.placed.getMonth() = 12", SCHEMA)

    assert fault.fix == "Ask for its elements: exists(joined.getMonth() = 1), or head().getMonth()."
    assert faults_of("orders.exists(placed.getMonth() = 12) and born.getMonth() = 1", SCHEMA) == ()


@pytest.mark.parametrize(
    "base", ["orders.count()", "born.getMonth()", "currentYear()", "5", "orders.groupBy(store)"]
)
def test_what_is_no_time_has_no_month(base: str) -> None:
    assert type(fault_with(f"{base}.getMonth() = 1", SCHEMA)) is RuleTypeError


def test_the_latest_of_many_times_has_a_month() -> None:
    for text in ("xEvent.max(timestamp).getMonth() = 3", "today.getMonth() = 3"):
        assert faults_of(text, KNOWN) == ()


def test_a_group_of_a_pattern_is_found_in_one_text_alone() -> None:
    fault = fault_with('interests.regexGroup("(.)") = "s"', SCHEMA)

    assert (fault.place, fault.fix) == ("1:11", "Ask for one: head().")
    assert faults_of('interests.head().regexGroup("(.)") = "s"', SCHEMA) == ()


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ('xEvent[eventType = "buy"].isNull()', "Write count() = 0."),
        ('xEvent[eventType = "buy"].isNotNull()', "Write count() > 0."),
        ("xEvent.commerce.purchases.isNotNull()", "Write count() > 0."),
        ("orders.filter(a = 1).x.isNull()", "Write count() = 0."),
        ("a.distinct().isNull()", "Write count() = 0."),
        ("a.map(x).isNotNull()", "Write count() > 0."),
        ("orders.count().isNull()", "Compare it, or ask a field."),
        ("orders.sum(price).isNotNull()", "Compare it, or ask a field."),
        ("today.isNull()", "Compare it, or ask a field."),
        ("currentMonth().isNotNull()", "Compare it, or ask a field."),
        ("orders.groupBy(x).isNull()", "Compare it, or ask a field."),
    ],
)
def test_what_is_always_there_is_not_asked_whether_it_is(text: str, fix: str) -> None:
    """xEvent[...].isNull() was saved for visitors without such an event, and had no members."""
    assert fault_with(text).fix == fix


@pytest.mark.parametrize(
    "text",
    [
        "orders.isNull()",
        "orders.price.isNull()",
        "xEvent.head().isNull()",
        "a.intersection(b).isNull()",
        "orders.max(price).isNull()",
        'a.regexGroup("(.)").isNotNull()',
        "date(a, 2, 29).isNull()",
        "xEvent[page.isNull()]",
    ],
)
def test_what_may_be_missing_may_be_asked_for(text: str) -> None:
    assert faults_of(text, KNOWN) == ()


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("email.count() > 5", 'A text is one. matches("^.{3,}$") asks for its length.'),
        ("email.count() = 2", 'A text is one. matches("^.{3,}$") asks for its length.'),
        ("plans.count() > 1", "An object is one. keys().count() is the number of its keys."),
        ("born.count() > 1", "It is no list, so it is one: compare it itself."),
        ("member.count() > 1", "It is no list, so it is one: compare it itself."),
        ("orders.count().count() > 1", "It is no list, so it is one: compare it itself."),
    ],
)
def test_what_is_no_list_has_not_several_elements(text: str, fix: str) -> None:
    """email.count() > 5 was saved for a length."""
    fault = fault_with(text, SCHEMA)

    assert type(fault) is RuleNeverHolds
    assert (fault.place, fault.fix) == ("1:1", fix)


def test_what_is_no_list_may_be_counted_as_one() -> None:
    for text in ("email.count() = 1", "plans.count() = 0", "interests.count() > 5"):
        assert faults_of(text, SCHEMA) == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("orders.groupBy(store).count() > 1", "1:23"),
        ("orders.groupBy(store).head().count() > 1", "1:23"),
        ("orders.groupBy(store).exists(price > 1)", "1:23"),
        ("orders.groupBy(store)[price > 1]", "1:22"),
        ("exists G from orders.groupBy(store) where G.price > 1", "1:22"),
    ],
)
def test_groups_are_no_list(text: str, place: str) -> None:
    """orders.groupBy(store).count() > 1 was saved for how many stores; groups counted as one."""
    fault = fault_with(text)

    assert (fault.place, fault.fix) == (place, KEYS)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (
            "orders.groupBy(store).map(G => G.count()) > 1",
            "Name both: map((K, G) => G.count()).",
        ),
        ("orders.map((O, G) => G.price) > 1", "Write one name before =>: map(O => ...)."),
    ],
)
def test_groups_are_mapped_by_key_and_group_and_lists_by_element(text: str, fix: str) -> None:
    assert [fault.fix for fault in faults_of(text, SCHEMA)] == [fix]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('mapEntry("k", a)', "1:1"),
        ('mapEntry("k", a).distinct().count() > 1', "1:1"),
        ('orders.map(mapEntry(store, 1).get("x")) > 1', "1:12"),
        ("orders.filter(mapEntry(store, 1))", "1:15"),
    ],
)
def test_an_entry_stands_where_map_makes_a_map_of_it(text: str, place: str) -> None:
    """mapEntry("k", a).distinct() was saved, and failed at a visitor whose a is a list."""
    with pytest.raises(RuleFaults) as raised:
        compile_rule(text)

    assert raised.value.faults[0].place == place
    assert raised.value.faults[0].detail == "An entry is of a map, which map(...) makes."


def test_entries_may_be_chosen_and_what_is_no_entry_is_left_out_of_their_map() -> None:
    text = 'orders.map(O => let S = O.store in if(O.paid, mapEntry(S, 1), 2)).get("s")'
    profile = {"orders": [{"store": "s", "paid": True}, {"store": "t"}]}

    assert compile_rule(text).value(profile, NOW_MS) == 1


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('orders.topN("price", 1).price > 5', "1:13"),
        ('orders.groupBy("store").keys().count() > 1', "1:16"),
        ('orders.map("id") = "x"', "1:12"),
    ],
)
def test_a_field_in_quotes_is_the_same_for_every_element(text: str, place: str) -> None:
    """orders.topN("price", 1) was saved, and gave whichever order came first."""
    fault = fault_with(text)

    assert fault.place == place
    assert fault.fix.startswith("Write a field without quotes: ")


@pytest.mark.parametrize(
    "text", ["orders.groupBy(store)", "sum O.price over O from orders", "if(a = 1, 1, 2)"]
)
def test_what_is_there_for_everyone_is_no_condition(text: str) -> None:
    assert fault_with(text).detail == "This is a value, not a condition."


def test_a_date_is_never_a_text_that_is_none_whatever_compares_them() -> None:
    for text in ('born.equals("gold", false)', 'stringCompare("equals", born, ["gold"])'):
        fault = fault_with(text, SCHEMA)
        assert fault.fix == 'Compare it with date(year, month, day), or with "2026-12-31".'
    for text in ('born.equals("1990-03-20")', 'born.startsWith("1990-")', 'born.notEqualTo("x")'):
        assert faults_of(text, SCHEMA) == ()


def test_what_is_one_of_two_numbers_is_a_number() -> None:
    fault = fault_with('if(member, rank, points).startsWith("x")', SCHEMA)

    assert fault.detail == "A text is needed here; if(member, rank, points) is a number."
    assert faults_of("if(member, rank, points) > 2.5", SCHEMA) == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('exists E from xEvent where eventType = "view"', "1:28"),
        ('exists E from xEvent where not(eventType = "view" and a > 1)', "1:28"),
        ('(sum O.price over O from orders where store = "s1") > 5', "1:39"),
        ("orders[exists I from items where price > 1]", "1:34"),
        ("select O from orders, I from O.items where price > 1", "1:44"),
    ],
)
def test_a_name_without_its_variable_is_no_field_of_it(text: str, place: str) -> None:
    """exists E from xEvent where eventType = "view" was saved, and asked the profile."""
    fault = fault_with(text)

    assert fault.place == place
    assert fault.detail.endswith("a name alone is no field of it.")


@pytest.mark.parametrize(
    "text",
    [
        "exists O from orders where O.price > limit",
        "exists O from orders where a[price > O.price]",
        "exists O from orders, I from O.items where O.price > 1",
        "exists T from tags where T",
        "exists O from orders",
        "exists O from orders where true",
        "exists O from orders where (exists I from O.items where I.price > 1)",
    ],
)
def test_a_condition_may_ask_of_any_variable(text: str) -> None:
    assert faults_of(text, KNOWN) == ()


WINDOW = "CHAIN(xEvent, timestamp, [A: WHAT(a = 1), B: WHAT(b = 1) WHEN({})])"
EVENTS = [{"timestamp": NOW_MS - age, "a": 1, "b": 1} for age in (0, 1, 1_000, DAY_MS, 2 * DAY_MS)]


@pytest.mark.parametrize(
    "window",
    [
        *("<= 1 day before A", "> 0 days before A", "= 1 day before A", "before A", "on A"),
        *("<= 0 days after A", "<= 0 days from A", "between today and A"),
    ],
)
def test_a_step_is_never_before_the_one_that_it_is_measured_from(window: str) -> None:
    text = WINDOW.format(window)

    assert type(fault_with(text)) is RuleNeverHolds
    assert not compile_rule(text).evaluate({"xEvent": EVENTS}, NOW_MS).holds


@pytest.mark.parametrize(
    "window",
    [
        *("<= 1 day after A", "= 0 days before A", "<= 1 day from A", "between A and now"),
        *("after A", "!= 1 day before A", "> 0 days after A"),
    ],
)
def test_a_step_may_be_after_the_one_that_it_is_measured_from(window: str) -> None:
    text = WINDOW.format(window)

    assert faults_of(text, KNOWN) == ()
    assert compile_rule(text).evaluate({"xEvent": EVENTS}, NOW_MS).holds


@pytest.mark.parametrize("number", ["0", "-1", "1.5"])
def test_as_many_as_none_are_not_asked_for(number: str) -> None:
    fault = fault_with(f"orders.topN(price, {number}).price > 5")

    assert fault.place == "1:20"
    assert fault.fix == "Write topN(price, 1)."


# ---- the law -----------------------------------------------------------------

VALUES: list[Any] = [
    *(None, 0, 1, 3.5, NOW_MS, "x", "", "2026-03-15", True, [], [1], ["x", "y"], ["2026-03-15"]),
    *({"x": NOW_MS}, {"x": "y", "k": 1}, {"k": "x"}, {"k": {"k": 1}}, {"2026-03-15": 1}, [["x"]]),
    *([{"x": one}] for one in ("x", "k", NOW_MS, "2026-03-15", 1)),
]
EVENT = {"timestamp": NOW_MS - DAY_MS, "eventType": "x", "x": ["x", NOW_MS]}
PROFILES = [{"a": one, "b": other, "xEvent": [EVENT]} for one, other in product(VALUES, VALUES[:9])]
ASKED = [
    *("a", "a.count()", "a.sum()", "a.max(x)", "today", "a.distinct()", "a.keys()", "a.values()"),
    *("a.groupBy(x)", "a.map(x)", 'a.map({"k": x})', "b.getMonth()", "(a + b)", "xEvent"),
    *('a.regexGroup("(.*)")', "a.head()", "(let Z = a in Z)", "xEvent.x", "xEvent[x = 5]"),
]
ASKING = [
    *("{}.getMonth() > 0", '{}.startsWith("x")', '{} like "%"', '{}.matches("")', "{} + 1 != 0"),
    *('{}.regexGroup("(.*)").isNotNull()', "{}.isNull()", "{}.keys().count() > 0", "{} > 0"),
    *('{}["k"].isNotNull()', "{}.map((K, G) => K).count() > 0", "{} occurs after date(1970, 1, 1)"),
]
# What nobody could tell without looking into the events.
EMPTY = "xEvent[x = 5]"


@pytest.mark.parametrize("asking", ASKING)
def test_whatever_is_saved_holds_of_some_profile(asking: str) -> None:
    for asked in ASKED:
        text = asking.format(asked)
        if asked == EMPTY or faults_of(text, KNOWN):
            continue
        rule = compile_rule(text)
        assert any(rule.evaluate(profile, NOW_MS).holds for profile in PROFILES), text
