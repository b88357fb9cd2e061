"""What the checker knows of fields, and the comparisons that it refuses for never holding."""

from __future__ import annotations

import pytest
from hypothesis import given, note

from perso_core.definitions.schema import Field, Schema, field_types
from perso_core.errors import RuleError, RuleFaults, RuleNeverHolds, RuleTypeError, UnknownField
from perso_core.pql.compiler import compile_rule
from perso_core.pql.fields import KNOWN, FieldTypes
from tests.pql import making_typed
from tests.pql.faults import fault_of
from tests.pql.making import NOW_MS

LOYALTY = (
    Field(path="loyalty.tier", type="text", values=("bronze", "silver", "gold")),
    Field(path="loyalty.points", type="number"),
    Field(path="loyalty.member", type="boolean"),
    Field(path="person.birthDate", type="date"),
    Field(path="interests[]", type="text"),
    Field(path="orders[].price", type="number"),
    Field(path="orders[].items[].quantity", type="integer"),
    Field(path="plans.*.end", type="date"),
)
OPEN = field_types(Schema(profile=LOYALTY, event=(Field(path="page", type="text"),)))
CLOSED = field_types(Schema(profile=LOYALTY, event=(Field(path="page", type="text"),), closed=True))


def faults_of(text: str, schema: FieldTypes = CLOSED) -> tuple[RuleError, ...]:
    try:
        compile_rule(text, schema=schema)
    except RuleFaults as found:
        return found.faults
    return ()


def fault_with(text: str, schema: FieldTypes = CLOSED) -> RuleError:
    (fault,) = faults_of(text, schema)
    return fault


# The ends of what is told of conditions that are the same for every profile.
ALIKE = (
    "This is a value, not a condition.",
    "a list is there always, if an empty one.",
    "this one is there always.",
)

# ---- the law -----------------------------------------------------------------


@given(making_typed.rules)
def test_no_rule_is_refused_that_some_conforming_profile_satisfies(text: str) -> None:
    try:
        rule = compile_rule(text)
    except RuleFaults:  # a fault whatever the schema
        return
    faults = faults_of(text, making_typed.TYPES)
    note(str([fault.detail for fault in faults]))

    assert not any(type(fault) is UnknownField for fault in faults)
    # What is true of everyone is refused for that.
    faults = tuple([fault for fault in faults if not fault.detail.endswith(ALIKE)])
    if "not(" in text:  # a part that never holds is a fault below a not, too
        faults = tuple([fault for fault in faults if "together" in fault.detail])
    if faults:
        for profile in making_typed.PROFILES:
            assert not rule.evaluate(profile, NOW_MS).holds, profile


# ---- fields ------------------------------------------------------------------


def test_a_misspelt_field_is_told_with_the_one_that_was_meant() -> None:
    fault = fault_with('plans.a.isNull() or loyalty.teir = "gold"')

    assert type(fault) is UnknownField
    assert fault.place == "1:21"
    assert fault.excerpt.endswith("\n" + " " * 20 + "^" * len("loyalty.teir"))
    assert fault.detail == "The schema has no field loyalty.teir."
    assert fault.fix == "Write loyalty.tier, or add loyalty.teir to the schema."


def test_an_open_schema_does_not_forbid_other_fields() -> None:
    assert faults_of('loyalty.since = "2020" and brandNew and xEvent[other = 1]', OPEN) == ()


def test_a_closed_schema_forbids_them_at_every_depth() -> None:
    for text in ("brandNew", "loyalty.since", "orders[cost > 1]", "xEvent[pgae.isNull()]"):
        assert type(fault_with(text)) is UnknownField


def test_a_field_inside_a_scalar_is_unknown_also_in_an_open_schema() -> None:
    fault = fault_with('loyalty.tier.code = "g"', OPEN)

    assert type(fault) is UnknownField
    assert "loyalty.tier is a text" in fault.detail


def test_a_map_has_any_key() -> None:
    assert faults_of('plans.digital.end < today and plans.get("print").end.isNull()') == ()
    assert type(fault_with("plans.digital.edn < today")) is UnknownField


@pytest.mark.parametrize(
    "text",
    [
        "timestamp > 5",
        'eventType = "view"',
        '_id.startsWith("x")',
        'identityMap.get("Email").id = "a@b"',
    ],
)
def test_events_have_their_own_fields_in_a_closed_schema(text: str) -> None:
    assert faults_of(f"xEvent[{text}]") == ()


def test_the_profiles_own_fields_are_known_in_a_closed_schema() -> None:
    text = 'identityMap.get("ECID").exists(id = "1") and segmentMembership.ups.s1.status = "exited"'

    assert faults_of(text) == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("xEvent[eventType > 5]", "1:8"),
        ("xEvent[timestamp = true]", "1:8"),
        ("CHAIN(xEvent, timestamp, [C0: WHAT(eventType = 1) WHEN(today)])", "1:36"),
        ('identityMap.get("ECID").exists(primary = "yes")', "1:32"),
        ("identityMap.ECID.id > 5", "1:1"),
    ],
)
def test_what_perso_writes_has_its_types_without_any_schema(text: str, place: str) -> None:
    fault = fault_with(text, KNOWN)

    assert type(fault) is RuleTypeError
    assert fault.place == place


@pytest.mark.parametrize(
    "text",
    [
        'segmentMembership.ups.a1.status = "realised"',
        'segmentMembership.ups.a1.status in ["realized", "realised"]',
        'segmentMembership.ups["a1"].status.equals("Realized")',
        'segmentMembership.ups.get("a1").status = "left"',
    ],
)
@pytest.mark.parametrize("schema", [OPEN, CLOSED, KNOWN])
def test_a_misspelt_status_of_a_membership_is_told(text: str, schema: FieldTypes) -> None:
    """The audience was saved, and had no members."""
    fault = fault_with(text, schema)

    assert type(fault) is RuleNeverHolds
    assert '"realized"' in fault.fix


@pytest.mark.parametrize(
    "text",
    [
        *[f'segmentMembership.ups.a1.status = "{one}"' for one in ("realized", "existing")],
        'segmentMembership.ups.a1.status = "exited"',
        'segmentMembership.ups.a1.status in ["realized", "existing"]',
        'segmentMembership.ups["a1"].status.equals("Realized", false)',
        'segmentMembership.ups.a1.status != "exited"',
        'segmentMembership.AAM.a1.status = "realized"',
    ],
)
@pytest.mark.parametrize("schema", [OPEN, CLOSED, KNOWN])
def test_each_status_that_a_membership_can_have_is_taken(text: str, schema: FieldTypes) -> None:
    assert faults_of(text, schema) == ()


def test_a_chain_is_ordered_by_a_field_that_exists() -> None:
    fault = fault_with("CHAIN(xEvent, timestmp, [C0: WHAT(page.isNotNull()) WHEN(today)])")

    assert type(fault) is UnknownField
    assert fault.fix.startswith("Write timestamp")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("orders.max(price).price > 1", "There is no field price: max() is a number."),
        ("orders.count().x = 1", "There is no field x: count() is a whole number."),
        ("(a + 1).x = 1", "There is no field x: this is a number."),
    ],
)
def test_what_is_read_of_a_number_is_told_with_what_made_it(text: str, detail: str) -> None:
    """It was told with an empty name."""
    assert fault_with(text, KNOWN).detail == detail


# ---- comparisons that never hold ----------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "detail", "fix"),
    [
        (
            'loyalty.points = "500"',
            "1:1",
            "loyalty.points is a number; it is never equal to a text.",
            "Compare it with a number, without quotes.",
        ),
        (
            "loyalty.tier > 5",
            "1:1",
            "Only numbers and times have an order; loyalty.tier is a text.",
            "Use =, startsWith(...) or in [...].",
        ),
        (
            'loyalty.member = "yes"',
            "1:1",
            "loyalty.member is true or false; it is never equal to a text.",
            "Compare it with true or false, without quotes.",
        ),
        (
            'loyalty.points.startsWith("5")',
            "1:1",
            "A text is needed here; loyalty.points is a number.",
            "Write a field that holds one.",
        ),
        (
            "loyalty occurs today",
            "1:1",
            "A time is needed here; loyalty is an object.",
            "Write a field that holds one.",
        ),
        (
            "orders.price * 2 > 5",
            "1:1",
            "A number is needed here; orders.price is a list.",
            "Write a field that holds one.",
        ),
        (
            "loyalty.points in loyalty.tier",
            "1:19",
            "in needs a list; loyalty.tier is a text.",
            'Write ["..."].',
        ),
        (
            "orders.sum(price) > 5 and interests.includes(7)",
            "1:46",
            "each of interests is a text; it is never equal to a number.",
            'Compare it with a text: "...".',
        ),
    ],
)
def test_values_of_two_types_are_told_in_the_words_of_the_author(
    text: str, place: str, detail: str, fix: str
) -> None:
    fault = fault_with(text)

    assert type(fault) is RuleTypeError
    assert (fault.place, fault.detail, fault.fix) == (place, detail, fix)


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        ('loyalty.tier = "glod"', "1:1", 'Write "gold".'),
        ('"GOLD" = loyalty.tier', "1:1", 'Write "gold".'),
        ('loyalty.tier = "platinum"', "1:1", 'It is one of "bronze", "silver", "gold".'),
        ('loyalty.tier in ["gold", "glod"]', "1:26", 'Write "gold".'),
        ('loyalty.tier.equals("Glod", false)', "1:21", 'Write "gold".'),
        ('loyalty.tier.equals("gold", "glod")', "1:29", 'Write "gold".'),
        ('stringCompare("equals", loyalty.tier, ["gold", "glod"], false)', "1:48", 'Write "gold".'),
        ('loyalty.tier.notEqualTo("gold", "silver", "bronze")', "1:25", "Exclude fewer of them."),
        ('loyalty.tier.startsWith("G")', "1:25", 'It is one of "bronze", "silver", "gold".'),
        ('loyalty.tier like "plat%"', "1:19", 'It is one of "bronze", "silver", "gold".'),
        ('person.birthDate = "3/29/90"', "1:1", "Compare it with date(year, month, day), or with"),
        ("person.birthDate.getMonth() = 13", "1:1", "It is 1 to 12."),
        ("orders.count() < 0", "1:1", "It is 0 or more, and whole."),
        ("orders.items.count() = 2.5", "1:1", "It is 0 or more, and whole."),
        ("loyalty.tier in []", "1:17", 'Write ["..."].'),
        ('stringCompare("equals", loyalty.tier, [], false)', "1:39", 'Write ["..."].'),
        ('stringCompare("doesNotContain", interests, [])', "1:44", 'Write ["..."].'),
        ("interests.intersects([])", "1:22", 'Write ["..."].'),
        ('loyalty.tier.regexGroup("(.)", 2) = "g"', "1:32", "Write 0 for all of it, or up to 1."),
        ('loyalty.tier.regexGroup(".", 1) = "g"', "1:30", "Write 0 for all of it."),
        ("person.birthDate occurs < 0 days before now", "1:27", "Write a longer time."),
        ("person.birthDate occurs <= 0 days before today", "1:28", "Write a longer time."),
    ],
)
def test_a_value_that_a_field_never_has_is_told_with_one_that_it_has(
    text: str, place: str, fix: str
) -> None:
    fault = fault_with(text)

    assert type(fault) is RuleNeverHolds
    assert fault.place == place
    assert fault.fix.startswith(fix)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('not(loyalty.tier = "glod")', "1:5"),
        ('not(loyalty.tier in ["gold", "glod"])', "1:30"),
        ('loyalty.tier = "gold" or loyalty.tier = "glod"', "1:26"),
        ("loyalty.member or orders.count() < 0", "1:19"),
    ],
)
def test_a_part_that_decides_nothing_is_a_fault_wherever_it_stands(text: str, place: str) -> None:
    """docs/pql.md promised to refuse nothing that some profile satisfies: these it does."""
    fault = fault_with(text)

    assert type(fault) is RuleNeverHolds
    assert fault.place == place


@pytest.mark.parametrize(
    "text",
    [
        'loyalty.tier.equals("GOLD", false)',
        'loyalty.tier != "glod"',
        'loyalty.tier.notEqualTo("glod")',
        'loyalty.tier.notEqualTo("gold", "glod")',
        'loyalty.tier notIn ["glod"]',
        'loyalty.member = "true"',
        'person.birthDate = "1990-03-29"',
        "person.birthDate < today and person.birthDate occurs before now",
        "loyalty.points occurs today",
        "orders.price > 5 and orders.price < 3",
        'interests = "a" and interests = "b"',
        "orders.items.quantity > 5",
        "orders[items.exists(^price > 5 and ^^loyalty.points > 5)]",
        "loyalty.points >= 5 and loyalty.points <= 5",
        'xEvent[page.equals("gold", false) and page.startsWith("G")]',
        "currentMonth() = person.birthDate.getMonth()",
        "loyalty.points > 5 or loyalty.points < 3",
        "not(loyalty.points > 5) and not(loyalty.points <= 5)",
        "loyalty.member.isNull() and not(loyalty.member)",
        "loyalty.member = false and not(loyalty.member)",
        # A time that is a text is neither.
        "xEvent[timestamp.isNotNull() and not(timestamp > 5) and not(timestamp <= 5)]",
        "person.birthDate < date(1990, 1, 2) and person.birthDate >= date(1990, 1, 1)",
        "person.birthDate occurs before today and person.birthDate occurs after last month",
        "person.birthDate != date(1990, 1, 1) and person.birthDate occurs this month",
        'loyalty.member = "true" and loyalty.member = true',
        "CHAIN(xEvent, timestamp, [C: WHAT(page.isNotNull()) WHEN(after date(2026, 1, 1))"
        " WHEN(before date(2026, 2, 1))])",
        "orders.count() >= 0",
        "1 = 1",
    ],
)
def test_what_some_profile_could_satisfy_is_no_fault(text: str) -> None:
    assert faults_of(text) == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('loyalty.tier = "gold" and loyalty.tier = "silver"', "1:27"),
        ("loyalty.points > 5 and loyalty.member and loyalty.points < 3", "1:43"),
        ("loyalty.points > 5 and loyalty.points <= 5", "1:24"),
        ('loyalty.tier = "gold" and loyalty.tier in ["silver", "bronze"]', "1:27"),
        ('loyalty.tier.equals("GOLD", false) and loyalty.tier.equals("silver", false)', "1:53"),
        ('xEvent[page = "a" and page = "b"]', "1:23"),
        ('xEvent[page.equals("a", false) and page.equals("b", false)]', "1:41"),
        ('xEvent[eventType = "a" and eventType.startsWith("b")]', "1:38"),
        ("orders[price > 5 and price < 3]", "1:22"),
        ("exists X from orders where X.price > 5 and X.price < 3", "1:44"),
        ("orders.items[quantity > 1 and quantity < 2]", "1:31"),
        ("orders.count() > 5 and orders.count() < 3", "1:24"),
        ("currentMonth() = 1 and currentMonth() = 2", "1:24"),
        ("loyalty.points.isNull() and loyalty.points > 5", "1:29"),
        ("loyalty.member = true and loyalty.member = false", "1:27"),
        ("let P = loyalty.points in P > 5 and P < 3", "1:37"),
        ("loyalty.member and loyalty.member = false", "1:20"),
        ("loyalty.member and not(loyalty.member)", "1:20"),
        ('loyalty.member = "true" and loyalty.member = "false"', "1:29"),
        ("loyalty.member = true and loyalty.member != true", "1:27"),
        ("loyalty.points > 5 and not(loyalty.points > 3)", "1:24"),
        ('loyalty.tier = "gold" and not(loyalty.tier in ["gold", "silver"])', "1:27"),
        ("person.birthDate < date(1990, 1, 1) and person.birthDate > date(1999, 1, 1)", "1:41"),
        ("date(1990, 1, 1) > person.birthDate and person.birthDate = date(1990, 1, 1)", "1:41"),
        (
            "person.birthDate occurs before date(1990, 1, 1)"
            " and person.birthDate occurs between date(1990, 1, 1) and date(1999, 1, 1)",
            "1:53",
        ),
        (
            'person.birthDate = "1990-03-29"'
            " and person.birthDate occurs <= 3 days before date(1990, 3, 29)",
            "1:37",
        ),
        (
            "xEvent[timestamp occurs on date(2026, 1, 1) and timestamp > date(2026, 1, 1)]",
            "1:49",
        ),
        ('CHAIN(xEvent, timestamp, [C: WHAT(page = "a") WHERE(page = "b")])', "1:53"),
        (
            "CHAIN(xEvent, timestamp, [C: WHAT(page.isNotNull())"
            " WHEN(before date(2026, 1, 1)) WHEN(after date(2026, 1, 1))])",
            "1:88",
        ),
    ],
)
def test_conditions_that_one_value_cannot_meet_together_are_told_at_the_last(
    text: str, place: str
) -> None:
    fault = fault_with(text)

    assert type(fault) is RuleNeverHolds
    assert fault.place == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('$1.loyalty.tier = "glod"', "1:1"),
        ('P => P.loyalty.tier = "glod"', "1:6"),
        ('orders[price = "x"]', "1:8"),
        ('orders.filter(o => o.price = "x")', "1:20"),
        ('orders.exists(items.exists(quantity = "x"))', "1:28"),
        ('orders[items.exists(^price = "x")]', "1:21"),
        ('xEvent[^loyalty.points = "x"]', "1:8"),
        ('exists X from orders where X.price = "x"', "1:28"),
        ('exists X from orders, I from X.items where I.quantity = "x"', "1:44"),
        ('(select X from orders where X.price > 1).price = "x"', "1:1"),
        ('let T = loyalty.tier in T = "glod"', "1:25"),
        ('orders.topN(price, 1).head().price = "x"', "1:1"),
        ('orders.map(price) = "x"', "1:1"),
        ('orders.map(o => o.price) = "x"', "1:1"),
        ('orders.groupBy(price).get(1).price = "x"', "1:1"),
        ('orders.groupBy(price).get("1").count() > 1', "1:27"),
        ('orders.groupBy(price).keys() = "x"', "1:1"),
        ('plans.values().end = "x"', "1:1"),
        ('plans["x"].end = "y"', "1:1"),
        ('(sum X.price over X from orders where X.price = "a") > 1', "1:39"),
    ],
)
def test_the_type_of_a_field_is_known_wherever_it_is_reached_from(text: str, place: str) -> None:
    assert fault_with(text).place == place


def test_every_fault_is_told_at_once_in_the_order_of_the_text() -> None:
    faults = faults_of('loyalty.teir = 1 and loyalty.tier = "glod" and orders[price = "x"]')

    assert [type(fault) for fault in faults] == [UnknownField, RuleNeverHolds, RuleTypeError]
    assert [fault.place for fault in faults] == ["1:1", "1:22", "1:55"]


def test_a_long_list_of_wrong_values_is_told_by_its_first_twenty() -> None:
    wrong = ", ".join(f'"x{at}"' for at in range(1_000))

    assert len(faults_of(f"loyalty.tier in [{wrong}]")) == 20


# ---- without a schema --------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["currentMonth() = 13", "a.getDayOfMonth() > 31", "a.count() < 0", "a.count() = 0.5"]
)
def test_what_holds_of_no_value_is_a_fault_without_a_schema(text: str) -> None:
    assert type(fault_of(text)) is RuleNeverHolds


@pytest.mark.parametrize(
    "text",
    [
        'a = 1 and a = "x"',
        "a > 5 and a < 3",
        "a in []",
        'eventType = "a" and eventType = "b"',
        "a.count() >= 0",
        "a.getMonth() = currentMonth() + 12",
    ],
)
def test_without_a_schema_a_field_may_be_anything_also_a_list(text: str) -> None:
    assert compile_rule(text).text == text


def test_a_schema_does_not_change_what_a_rule_answers() -> None:
    text = 'loyalty.tier = "gold" and orders[price > 2].count() = 1'
    view = {"loyalty": {"tier": "gold"}, "orders": [{"price": 3}, {"price": 1}]}

    assert compile_rule(text, schema=CLOSED).evaluate(view, 0) == compile_rule(text).evaluate(
        view, 0
    )
