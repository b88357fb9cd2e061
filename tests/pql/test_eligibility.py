"""Which rules an edge takes. The project's 19 cases about it run with the other vectors."""

from __future__ import annotations

import pytest

from perso_core.errors import RuleNotEligible
from perso_core.pql.compiler import compile_rule
from perso_core.pql.eligibility import EdgeRule, ineligible
from perso_core.pql.instants import DAY_MS
from perso_core.pql.origins import fields_of
from tests.pql.cases import AUDIENCES


def refused(text: str, edge: EdgeRule, days: int = 35, **others: str) -> list[RuleNotEligible]:
    rules = {name: compile_rule(other).node for name, other in others.items()}
    node = compile_rule(text).node
    return ineligible(text, node, edge=edge, event_window_ms=days * DAY_MS, rules=rules)


def step(what: str = 'eventType = "x"', rest: str = "WHEN(today)") -> str:
    return f"CHAIN(xEvent, timestamp, [C0: WHAT({what}) {rest}])"


def sequence(first: str, second: str) -> str:
    steps = f'A: WHAT(eventType = "x") {first}, B: WHAT(eventType = "y") {second}'
    return f"CHAIN(xEvent, timestamp, [{steps}])"


ONE = step()
# A rule, and whether edge-2025 and edge-classic take it.
TABLE = [
    ("loyalty.points >= 1000 and not(a.isNull())", True, True),
    (f"a = 1 and {ONE}", True, True),
    (f"a = 1 or {ONE}", True, True),
    (step(rest=""), False, True),
    (step(rest="WHEN(< 8 days before now)"), False, True),
    (f"not({ONE})", False, True),
    (f"!(!({ONE}))", True, True),
    (step(rest="WHEN(today) COUNT(5)"), False, True),
    (step(rest="WHEN(<= 8 days before now) COUNT(5)"), False, False),
    (step(rest="COUNT(5)"), False, False),
    (f"{ONE} and {ONE}", False, True),
    (f"{ONE} or {step(rest='WHEN(<= 2 days before now)')}", False, False),
    (sequence("WHEN(today)", "WHEN(today)"), False, True),
    (sequence("WHEN(today)", "WHEN(<= 30 minutes after A)"), False, True),
    (sequence("", "WHEN(<= 30 minutes after A)"), False, False),
    (step('m.values().exists(stringProperty = "active")', ""), False, True),
    ("select E from xEvent where E.a = 1 and E.timestamp occurs today", True, True),
    ("xEvent.exists(e => e.a = 1 and e.timestamp occurs this hour)", True, True),
    ("xEvent[a = 1]", False, True),
    ("xEvent.a = 1", False, False),
    (step("a = 1 and ^xEvent.count() > 2"), False, False),
    ("CHAIN(orders, placed, [C0: WHAT(price > 9)])", True, True),
]


@pytest.mark.parametrize(("rule", "now_taken", "once_taken"), TABLE)
def test_adobes_edges_take_what_their_pages_say(
    rule: str, now_taken: bool, once_taken: bool
) -> None:
    assert (not refused(rule, "edge-2025"), not refused(rule, "edge-classic")) == (
        now_taken,
        once_taken,
    )
    assert refused(rule, "local") == []


@pytest.mark.parametrize("edge", ["edge-2025", "edge-classic"])
def test_an_event_goes_with_an_audience_only_where_that_reads_the_profile_alone(
    edge: EdgeRule,
) -> None:
    rule = f'inSegment("s") and {ONE}'

    assert refused(rule, edge, s="a = 1") == []
    assert refused(rule, edge, s='inSegment("t")', t="a = 1") == []
    assert len(refused(rule, edge, s=ONE)) == 1
    assert len(refused(rule, edge, s='inSegment("t")', t=ONE)) == 1
    assert "not known here" in refused(rule, edge)[0].detail
    assert refused('inSegment("s") and a = 1', edge) == []


def test_every_reason_is_told_at_its_place_with_a_fix() -> None:
    rule = f"{step(rest='')} and\nnot({step(rest='WHEN(yesterday)')})"

    found = refused(rule, "edge-2025")

    assert [(reason.place, reason.code) for reason in found] == [
        ("1:27", "pql.not-eligible"),
        ("2:5", "pql.not-eligible"),
        ("2:31", "pql.not-eligible"),
        ("2:62", "pql.not-eligible"),
    ]
    assert found[0].fix == 'Add WHEN(<= 24 hours before now), or choose edge = "local".'
    assert found[0].excerpt.split("\n")[1].index("^") == 26
    assert "2 days back" in found[3].detail


@pytest.mark.parametrize("edge", ["edge-2025", "edge-classic", "local"])
def test_each_edge_takes_the_forty_audiences(edge: EdgeRule) -> None:
    rules = {audience["id"]: audience["pql"] for audience in AUDIENCES}

    assert all(refused(rule, edge, **rules) == [] for rule in rules.values())


# ---- local -------------------------------------------------------------------


def test_a_window_beyond_the_audiences_events_is_refused_with_the_days_to_write() -> None:
    (reason,) = refused(step(rest="WHEN(<= 90 days before now)"), "local")

    assert reason.fix.startswith("Write event_window_days = 90 ")
    assert reason.place == "1:58"
    assert refused(step(rest="WHEN(<= 90 days before now)"), "local", days=90) == []


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        (step(rest="WHEN(last month)"), 62),
        (f"not({step(rest='WHEN(<= 50 days before today)')})", 51),
        ("xEvent[timestamp occurs <= 60 days before now].count() = 0", 60),
        ("exists E from xEvent where E.timestamp occurs <= 2 months before now", 62),
        ("xEvent.topN(timestamp, 1).head().timestamp occurs <= 40 days before now", 40),
        ("xEvent.timestamp occurs <= 1000 hours before now", 42),
    ],
)
def test_any_way_to_ask_for_older_events_is_found(rule: str, days: int) -> None:
    (reason,) = refused(rule, "local")

    assert f"event_window_days = {days} " in reason.fix
    assert refused(rule, "local", days=days) == []
    assert refused(rule, "local", days=days - 1)


def test_a_later_step_reaches_no_further_than_the_step_before_it() -> None:
    assert refused(sequence("WHEN(today)", "WHEN(<= 90 days before now)"), "local") == []
    assert refused(sequence("WHEN(<= 90 days before now)", "WHEN(today)"), "local")


def test_a_window_beyond_the_last_event_that_counts_can_never_be_true() -> None:
    (reason,) = refused(step(rest="WHEN(> 40 days before now)"), "local")

    assert "can never be true" in reason.detail
    assert refused(step(rest="WHEN(> 30 days before now)"), "local") == []


def test_what_no_event_window_can_hold_is_sent_to_the_attributes() -> None:
    (reason,) = refused(step(rest="WHEN(<= 20 years before now)"), "local")

    assert "attribute" in reason.fix


def test_a_window_on_an_attribute_may_reach_as_far_as_it_likes() -> None:
    assert refused("joined occurs <= 20 years before now", "local") == []
    assert refused("orders[timestamp occurs <= 20 years before now].count() > 1", "local") == []


def test_a_field_of_thirty_thousand_names_is_listed_at_once() -> None:
    fields = fields_of(compile_rule("a" + ".b" * 30_000 + " = 1 and a.c = 2 and d = 3").node)

    assert fields.profile == ("a" + ".b" * 30_000, "a.c", "d")
