"""What reads as arithmetic, a place or a rule of its own here, and was meant as something else."""

from __future__ import annotations

import pytest

from perso_core.definitions.schema import Field, Schema, field_types
from perso_core.errors import RuleFaults
from perso_core.pql.compiler import compile_rule
from perso_core.pql.fields import KNOWN, FieldTypes
from tests.pql.faults import fault_of

REMARK = "Take it out: a rule has no remarks. To subtract a negative number, leave a blank: 1 - -b."


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1 -- comment", "1:7"),
        ("a = 1 --comment", "1:7"),
        ("a = 1 --5", "1:7"),
        ("a = 1 -- only gold customers", "1:7"),
        ("a = 1 -- it's so\nand b = 2", "1:7"),
        ("a = 1 and\nb > 2 -- more\nand c = 1", "2:7"),
        ("orders.sum(price) --total > 5", "1:19"),
    ],
)
def test_two_dashes_begin_no_remark(text: str, place: str) -> None:
    """a = 1 -- comment was saved, and meant 1 - -comment."""
    fault = fault_of(text)

    assert (fault.place, fault.fix) == (place, REMARK)


def test_minus_a_negative_number_is_written_with_a_blank() -> None:
    assert compile_rule("a = 1 - -b").evaluate({"a": 3, "b": 2}, 0).holds
    assert compile_rule("a = --b").evaluate({"a": 2, "b": 2}, 0).holds


@pytest.mark.parametrize("schema", [None, KNOWN])
@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        ("joined = 2026-01-01", "1:10", "Write date(2026, 1, 1)."),
        ("joined >= 2026-12-31 and a = 1", "1:11", "Write date(2026, 12, 31)."),
        ("joined in [2026-02-03]", "1:12", "Write date(2026, 2, 3)."),
    ],
)
def test_a_day_is_no_subtraction(
    text: str, place: str, fix: str, schema: FieldTypes | None
) -> None:
    """joined = 2026-01-01 was saved, and asked for 2024. It is told whatever was read before."""
    compile_rule(text.replace("2026", "20"))
    with pytest.raises(RuleFaults) as raised:
        compile_rule(text, schema=schema)

    fault = raised.value.faults[0]
    assert (fault.place, fault.fix) == (place, fix)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("joined occurs after 2026-1-5", "1:21"),
        ("joined occurs between 2026-1-5 and now", "1:23"),
        ("CHAIN(xEvent, timestamp, [C0: WHAT(a = 1) WHEN(on 2026-01-05)])", "1:51"),
    ],
)
def test_a_window_is_measured_from_a_day_that_is_written_as_one(text: str, place: str) -> None:
    fault = fault_of(text)

    assert (fault.place, fault.fix) == (place, "Write date(2026, 1, 5).")


@pytest.mark.parametrize("text", ["a = 2026 - 1 - 1", "a = 10-1-1", "a = 2026-1", "a = 2026-b-1"])
def test_other_subtractions_are_what_they_say(text: str) -> None:
    assert compile_rule(text)


@pytest.mark.parametrize("number", ["0", "-1", "1.5"])
def test_elements_have_no_numbered_places_from_the_end_either(number: str) -> None:
    """orders[-1].price > 5 was saved, and took every order: -1 is a value."""
    fault = fault_of(f"orders[{number}].price > 5")

    assert fault.detail == "Elements have no numbered places."


def test_a_group_may_be_asked_for_by_a_negative_key() -> None:
    assert fault_of("orders.groupBy(n)[-5].count() = 1").fix == "Write .get(-5)."


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("points => limit", "Write points >= limit."),
        ("points => loyalty.limit", "Write points >= loyalty.limit."),
        ("points => -5", "Write points >= -5."),
        ("points => 5", "Write points >= 5."),
    ],
)
def test_greater_or_equal_the_wrong_way_round_is_told_of_fields_too(text: str, fix: str) -> None:
    """points => limit was saved, and everyone with a limit was in it."""
    assert fault_of(text).fix == fix


def test_a_profile_by_name_is_one() -> None:
    for text in ("P => P.a", "P => P.a = 1", "(P) => P.a >= P.b", "P => P"):
        assert compile_rule(text, schema=KNOWN)


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        ('joined >= "2026-01-01"', "1:11", "Write date(2026, 1, 1)."),
        ('"2026-12-31" < joined', "1:1", "Write date(2026, 12, 31)."),
        (
            'joined >= "2026-01-01T10:00:00Z"',
            "1:11",
            'Write occurs: joined occurs after "2026-01-01T10:00:00Z".',
        ),
        ('joined >= "soon"', "1:11", "Use =, startsWith(...) or in [...] for texts."),
        ('joined >= "2026-02-30"', "1:11", "Use =, startsWith(...) or in [...] for texts."),
    ],
)
def test_a_time_in_quotes_is_told_as_a_time(text: str, place: str, fix: str) -> None:
    fault = fault_of(text)

    assert (fault.place, fault.fix) == (place, fix)


# ---- what a function is called with -----------------------------------------------

SWITCH = (
    'Write false for any letter case: equals("gold", false). For either text: in ["gold", "i"].'
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('tier.equals("gold", "i")', "1:21"),
        ('tier.equals("gold", "ignoreCase")', "1:21"),
        ('tier.equals("gold", ignoreCase)', "1:21"),
        ('tier.notEqualTo("gold", caseInsensitive)', "1:25"),
    ],
)
def test_any_letter_case_is_asked_for_by_false(text: str, place: str) -> None:
    """equals("gold", "i") was saved, and asked for the text i, too."""
    compile_rule('tier.equals("gold", "x")')
    with pytest.raises(RuleFaults) as raised:
        compile_rule(text, schema=KNOWN)

    (fault,) = raised.value.faults
    assert (fault.place, fault.fix) == (place, SWITCH)


def test_several_texts_may_be_any_others() -> None:
    for text in (
        'a.equals("gold", "x")',
        'a.equals("i")',
        'a.equals("h", "i", "j")',
        "a.equals(b, c)",
    ):
        assert compile_rule(text)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("orders.topN(5, price).price > 1", "Write topN(price, 5)."),
        ("orders.bottomN(1, paid.at).price > 1", "Write bottomN(paid.at, 1)."),
        ("orders.topN(5, 5).price > 1", "Write topN(price, 5)."),
    ],
)
def test_the_key_comes_before_the_number(text: str, fix: str) -> None:
    """topN(5, price) was saved: by one value for all, as many as some price says."""
    assert fault_of(text).fix == fix


# ---- brackets that are missing -----------------------------------------------------

ORDERS = field_types(
    Schema(
        profile=(
            Field(path="orders[].price", type="number"),
            Field(path="box.count", type="number"),
        )
    )
)


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        ("xEvent.count > 3", "1:8", "Write xEvent.count() with brackets."),
        ("a = 1 and xEvent.length > 3", "1:18", "Write xEvent.count() with brackets."),
        ("orders.length > 1", "1:8", "Write orders.count() with brackets."),
        ("orders.size > 1", "1:8", "Write orders.count() with brackets."),
        ("tier.isNotNull", "1:6", "Write tier.isNotNull() with brackets."),
        ("not(loyalty.tier.isNull)", "1:18", "Write loyalty.tier.isNull() with brackets."),
        ("birthDate.getMonth = 3", "1:11", "Write birthDate.getMonth() with brackets."),
        ("xEvent[tier.isNull]", "1:13", "Write tier.isNull() with brackets."),
    ],
)
def test_a_function_without_brackets_is_no_field(text: str, place: str, fix: str) -> None:
    """xEvent.count > 3 was saved, and had no members."""
    with pytest.raises(RuleFaults) as raised:
        compile_rule(text, schema=ORDERS)

    (fault,) = raised.value.faults
    assert (fault.place, fault.fix) == (place, fix)


LENGTH = 'Write {}.count() with brackets. A field of that name: "{}".'


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        ("orders.length > 1", "1:8", LENGTH.format("orders", "length")),
        ("_acme.productList.size > 1", "1:19", LENGTH.format("_acme.productList", "size")),
        ("orders[items.size > 2]", "1:14", LENGTH.format("items", "size")),
        (
            "exists O from orders where O.items.length > 2",
            "1:36",
            LENGTH.format("O.items", "length"),
        ),
    ],
)
def test_the_length_of_what_is_called_like_a_list_is_meant_as_its_count(
    text: str, place: str, fix: str
) -> None:
    """Without a schema orders.length > 1 was taken for a field, and had no members."""
    with pytest.raises(RuleFaults) as raised:
        compile_rule(text, schema=KNOWN)

    (fault,) = raised.value.faults
    assert (fault.place, fault.fix) == (place, fix)


def test_a_length_may_be_a_field_of_one_thing_or_of_the_schema() -> None:
    fields = (Field(path="orders.length", type="number"),)
    for text in ("mediaCollection.sessionDetails.length > 60", "shoe.size > 42"):
        assert compile_rule(text, schema=KNOWN)
    assert compile_rule('orders."length" > 1', schema=KNOWN)
    assert compile_rule("orders.length > 1", schema=field_types(Schema(profile=fields)))


@pytest.mark.parametrize(
    "text",
    [
        "box.count > 1",
        "stock.count > 1",
        "orders.stock.count > 1",
        "xEvent[count > 1]",
        "xEvent.cart.length > 1",
        "topN > 5",
        'a."isNull" = 1',
    ],
)
def test_a_field_may_be_called_as_a_function(text: str) -> None:
    assert compile_rule(text, schema=ORDERS)
    assert compile_rule(text)
