"""Sentences a marketer reads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.pql.compiler import FOREVER_MS, CompiledRule, compile_rule
from perso_core.pql.explain import Explanation, explain_rule, reason
from perso_core.pql.lacking import lacking
from perso_core.pql.telling import Standing, headline
from perso_core.pql.telling import told as text_of
from tests.pql import making

NOW_MS = 1_773_577_845_000  # 2026-03-15 12:30:45 UTC


def told(rule: str, view: dict[str, Any], **names: str) -> str:
    return reason(explain_rule(compile_rule(rule), view, NOW_MS, names=names))


ADD = (
    'CHAIN(xEvent, timestamp, [C0: WHAT(eventType.equals("commerce.productListAdds", false))'
    " WHEN(<= 1 hour before now)])"
)
ADDED = {"xEvent": [{"timestamp": NOW_MS - 4 * 60_000, "eventType": "commerce.productListAdds"}]}


def some_time_ago(ms: int, **fields: Any) -> dict[str, Any]:
    return {"timestamp": NOW_MS - ms, **fields}


@pytest.mark.parametrize(
    ("rule", "found", "sentence"),
    [
        ("a = 500", "500", 'Not in: a is "500"; needs 500.'),
        ('a = "500"', 500, 'Not in: a is 500; the rule wants "500".'),
        ('a = "gold"', "", 'Not in: a is ""; the rule wants gold.'),
        ('a = "gold"', "yes", 'Not in: a is "yes"; the rule wants gold.'),
        ('a = "x"', ["y, z", "w"], 'Not in: a is "y, z" and w; the rule wants x.'),
        ('a = "Jack and Jill"', "gold", 'Not in: a is gold; the rule wants "Jack and Jill".'),
    ],
)
def test_a_text_that_would_read_as_something_else_stands_in_quotes(
    rule: str, found: Any, sentence: str
) -> None:
    assert told(rule, {"a": found}) == sentence


@pytest.mark.parametrize(
    ("number", "end"), [(20, "sku s19"), (21, "16 more"), (2_000, "1,995 more")]
)
def test_of_very_many_conditions_of_an_event_the_first_few_are_told(number: int, end: str) -> None:
    """Two thousand had made a sentence of 25,000 characters."""
    either = " or ".join(f'sku = "s{at}"' for at in range(number))
    rule = f"CHAIN(xEvent, timestamp, [C0: WHAT({either})])"

    sentence = told(rule, {"xEvent": [some_time_ago(60_000, sku="s0")]})

    assert sentence.startswith("Event with sku s0 or sku s1 or sku s2 or sku s3 or sku s4 or ")
    assert f" or {end}, 1 min ago" in sentence


@pytest.mark.parametrize(
    ("window", "words"),
    [
        ("<= 1 day before now", "in the last day"),
        ("<= 1 day after now", "in the next day"),
        ("< 2 days after now", "in the next 2 days"),
        ("<= 1 day before today", "in the day before today"),
        ("< 3 days before today", "in the 3 days before today"),
        ("<= 2 weeks after today", "in the 2 weeks from today"),
    ],
)
def test_days_before_today_are_not_told_as_the_last_days_up_to_now(window: str, words: str) -> None:
    sentence = told(f"a occurs {window}", {"a": NOW_MS - 90 * 86_400_000})

    assert sentence.endswith(f"; the rule wants it {words}.")


def test_how_long_ago_is_kept_apart_from_the_number_before_it() -> None:
    rule = "CHAIN(xEvent, timestamp, [A: WHAT(seats >= 2)])"

    sentence = told(rule, {"xEvent": [some_time_ago(3_000, seats=2)]})

    assert sentence.startswith("Event with seats at least 2, 3 s ago; counts until ")


def test_a_group_is_told_with_what_it_is_a_group_of() -> None:
    sentence = told("orders.groupBy(shop).get(5).count() > 1", {"orders": [{"shop": 5}]})

    assert sentence == "Not in: number of orders with shop 5 is 1; needs more than 1."


def test_several_events_are_called_events() -> None:
    rule = "CHAIN(xEvent, timestamp, [A: WHAT(seats = 2) COUNT(3) WHEN(<= 7 days before now)])"
    view = {"xEvent": [some_time_ago(ago, seats=2) for ago in (3_000, 2_000)]}

    assert told(rule, view) == (
        "Not in: 2 events with seats 2 in the last 7 days; needs at least 3."
    )


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("total > 9", "Orders with total over 9: found."),
        ("total > 90", "Not in: orders with total over 90: not found."),
        ("total > 9) COUNT(2", "Not in: orders with total over 9 (at least 2 needed): not found."),
    ],
)
def test_elements_of_another_list_are_not_called_events(rule: str, sentence: str) -> None:
    chain = f"CHAIN(orders, at, [A: WHAT({rule})])"

    assert told(chain, {"orders": [{"at": NOW_MS - 1_000, "total": 50}]}) == sentence


def test_what_is_excluded_of_another_list_is_told_so() -> None:
    view = {"orders": [{"at": NOW_MS - 1_000, "total": 50}]}

    for total, words in (
        (9, "found; the rule excludes it"),
        (90, "not found; the rule wants none"),
    ):
        rule = f"not CHAIN(orders, at, [A: WHAT(total > {total})])"
        sentence = explain_rule(compile_rule(rule), view, NOW_MS).says
        assert sentence == f"Orders with total over {total}: {words}."


@pytest.mark.parametrize(
    ("rule", "view", "sentence"),
    [
        (
            "loyalty.points >= 1000",
            {"loyalty": {"points": 1250}},
            "Loyalty points is 1,250; needs at least 1,000.",
        ),
        (
            'homeAddress.countryCode in ["DE", "AT", "CH"]',
            {"homeAddress": {"countryCode": "IT"}},
            "Not in: country code is IT; the rule wants DE, AT or CH.",
        ),
        (ADD, ADDED, "Basket addition 4 min ago; counts until 13:26:45 UTC."),
        (ADD, {}, "No basket addition in the last hour."),
        (
            "now occurs <= 12 hours after today",
            {},
            "Not in: now is 2026-03-15 12:30:45 UTC; the rule wants it at most 12 hours after"
            " midnight UTC.",
        ),
        (
            'xEvent.exists(a = 1) and loyalty.tier.equals("gold", false)',
            {"xEvent": [{"timestamp": NOW_MS, "a": 1}]},
            "Not in: loyalty tier is not known; the rule wants gold.",
        ),
        ("not(a.isNull())", {}, "Not in: a is not known; the rule wants a value."),
        (f"not({ADD})", {}, "No basket addition in the last hour; the rule wants none."),
        (
            'CHAIN(xEvent, timestamp, [C0: WHAT(eventType = "tent") WHEN(<= 7 days before now)'
            " COUNT(3)])",
            {"xEvent": [{"timestamp": NOW_MS, "eventType": "tent"}] * 2},
            "Not in: 2 tent in the last 7 days; needs at least 3.",
        ),
        (
            'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "view"), B: WHAT(eventType = "buy")])',
            {},
            "No view in the last 35 days; the rule wants view followed by buy.",
        ),
        (
            "born.getMonth() = currentMonth()",
            {"born": "1990-03-29"},
            "Month of born is 3; the rule wants the current month, which is 3.",
        ),
    ],
)
def test_the_reason_says_what_was_found_and_what_is_needed(
    rule: str, view: dict[str, Any], sentence: str
) -> None:
    assert told(rule, view) == sentence


def test_audiences_go_by_their_names() -> None:
    member = {"segmentMembership": {"ups": {"s1": {"status": "realized"}}}}

    assert told('inSegment("s1")', member, s1="Gold") == "In audience Gold."
    assert told('inSegment("s1")', {}, s1="Gold") == "Not in audience Gold."
    assert told('not(inSegment("s1"))', member, s1="Gold") == (
        "Not in: in audience Gold, which the rule excludes."
    )


def test_an_event_of_the_right_kind_that_fails_otherwise_is_mentioned() -> None:
    rule = 'CHAIN(xEvent, timestamp, [C0: WHAT(eventType = "add" and price >= 250) WHEN(today)])'
    view = {"xEvent": [{"timestamp": NOW_MS, "eventType": "add", "price": 99}]}

    assert told(rule, view) == "Not in: 1 add today, none with price at least 250."


def test_each_part_of_the_tree_has_its_place_and_text() -> None:
    explanation = explain_rule(compile_rule("a = 1 and (b = 2 or !(c = 3))"), {"a": 1}, NOW_MS)

    first, second = explanation.children
    assert (first.place, first.text, first.holds, first.got) == ("1:1", "a = 1", True, "1")
    assert (second.place, second.text) == ("1:12", "b = 2 or not(c = 3)")
    assert [part.holds for part in second.children] == [False, True]
    assert [part.decides for part in explanation.children] == [True, False]


@given(making.rules, making.profiles, making.instants)
def test_the_tree_says_what_the_rule_says(text: str, view: dict[str, Any], now_ms: int) -> None:
    rule = compile_rule(text)

    explanation = explain_rule(rule, view, now_ms)

    assert explanation.holds is rule.evaluate(view, now_ms).holds
    assert reason(explanation).endswith(".")


# ---- chains ------------------------------------------------------------------


def at(minutes_ago: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"timestamp": NOW_MS - minutes_ago * 60_000, "eventType": kind, **fields}


def explained(rule: str, *events: dict[str, Any], **attributes: Any) -> Explanation:
    view = {**attributes, "xEvent": list(events)}
    return explain_rule(compile_rule(rule), view, NOW_MS)


VIEW_BUY = (
    'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "view"), B: WHAT(eventType = "buy" and'
    " price > 9) WHEN(<= 30 minutes after A)])"
)


def test_each_step_of_a_chain_names_the_event_that_satisfied_it_and_what_it_read() -> None:
    explanation = explained(
        VIEW_BUY, at(300, "view"), at(20, "view"), at(9, "buy", price=3), at(5, "buy", price=12)
    )

    view, buy = explanation.steps
    assert [event.at_ms for event in view.events] == [NOW_MS - 20 * 60_000]
    assert [event.at_ms for event in buy.events] == [NOW_MS - 5 * 60_000]
    assert (buy.label, buy.holds, buy.found, buy.needs) == ("B", True, 1, "1")
    assert buy.events[0].values == {"price": "12"}
    assert buy.events[0].event_type == "buy"
    assert explanation.says.startswith("View 20 min ago followed by buy 5 min ago; counts until ")


def test_a_chain_that_fails_says_how_far_it_came() -> None:
    explanation = explained(VIEW_BUY, at(300, "view"), at(5, "buy", price=12))

    assert [step.holds for step in explanation.steps] == [True, False]
    assert explanation.says == ("View 5 h ago, and no buy at most 30 minutes after the view.")


def test_a_step_that_counts_tells_the_latest_of_its_events_and_how_many() -> None:
    rule = 'CHAIN(xEvent, timestamp, [C: WHAT(eventType = "view") COUNT(9)])'

    (step,) = explained(rule, *[at(minutes, "view") for minutes in range(70, 0, -10)]).steps

    assert (step.found, step.needs, step.holds) == (7, "at least 9", False)
    assert [event.at_ms for event in step.events] == [
        NOW_MS - minutes * 60_000 for minutes in range(10, 60, 10)
    ]


@given(making.chains, making.profiles, making.instants)
def test_the_events_told_for_a_chain_of_steps_satisfy_it(
    text: str, view: dict[str, Any], now_ms: int
) -> None:
    rule = compile_rule(text)
    explanation = explain_rule(rule, view, now_ms)
    taken = [event.at_ms for step in explanation.steps for event in step.events]
    kept = [event for event in view.get("xEvent", []) if event["timestamp"] in taken]

    if len(explanation.steps) > 1 and explanation.holds:
        assert rule.evaluate({**view, "xEvent": kept}, now_ms).holds
        assert taken == sorted(set(taken))


def test_a_chain_over_very_many_events_is_asked_a_few_times_and_not_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """5,000 events and three steps took 0.7 s of the server's event loop."""
    asked: list[CompiledRule] = []
    value = CompiledRule.value

    def counted(rule: CompiledRule, view: dict[str, Any], now_ms: int) -> Any:
        asked.append(rule)
        return value(rule, view, now_ms)

    monkeypatch.setattr(CompiledRule, "value", counted)
    kinds = ("view", "add", "buy")
    rule = "CHAIN(xEvent, timestamp, [{}])".format(
        ", ".join(f'{kind[0].upper()}: WHAT(eventType = "{kind}")' for kind in kinds)
    )

    steps = explained(rule, *[at(5_000 - n, kinds[n % 3]) for n in range(5_000)]).steps

    assert [step.found for step in steps] == [1, 1, 1]
    assert len(asked) < 100


# ---- audiences of audiences, and until when ----------------------------------


def test_an_audience_that_is_asked_for_is_explained_by_its_own_rule() -> None:
    rules = {"gold": compile_rule('tier = "gold"'), "both": compile_rule('inSegment("gold")')}

    explanation = explain_rule(rules["both"], {"tier": "tin"}, NOW_MS, {"gold": "Gold"}, rules)

    assert explanation.because is not None
    assert explanation.because.says == "Tier is tin; the rule wants gold."
    assert headline(explanation, Standing("Both")) == (
        "Not in “Both”. Not in audience Gold: tier is tin; the rule wants gold."
    )


def test_each_part_says_until_when_it_holds() -> None:
    explanation = explain_rule(compile_rule(f"{ADD} and a = 1"), {**ADDED, "a": 1}, NOW_MS)

    added, plain = explanation.children
    assert added.until_ms == explanation.until_ms == NOW_MS + 56 * 60_000 + 1
    assert plain.until_ms == FOREVER_MS


def test_a_part_that_asks_for_an_audience_says_until_when_it_is_in_it() -> None:
    """The part said "never" of an audience that ends within the hour."""
    asked = {"adds": compile_rule(ADD)}
    view = {**ADDED, "segmentMembership": {"ups": {"adds": {"status": "realized"}}}}
    rule = compile_rule('inSegment("adds") and a = 1')

    explanation = explain_rule(
        rule, view, NOW_MS, rules=asked, until=lambda part: NOW_MS + len(part.reads.audience_ids)
    )

    assert explanation.until_ms == explanation.children[0].until_ms == NOW_MS + 1
    assert explanation.children[1].until_ms == FOREVER_MS


# ---- what marketers could not read -------------------------------------------

VIEWS = [at(50, "commerce.productViews"), at(20, "commerce.productViews", price=9)]
VIEWED = 'WHAT(eventType = "commerce.productViews")'
SHOPPER = {
    "interests": ["sport", "food"],
    "joined": "2026-02-01",
    "optOut": True,
    "orders": [{"price": 10}, {"price": 30}],
    "xEvent": VIEWS,
}


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (
            f"CHAIN(xEvent, timestamp, [V: {VIEWED} COUNT(= 1)])",
            "Not in: 2 product views in the last 35 days; needs exactly 1.",
        ),
        (
            f"not(CHAIN(xEvent, timestamp, [V: {VIEWED} COUNT(2)]))",
            "Not in: 2 product views in the last 35 days; the rule excludes 2 or more.",
        ),
        (
            f'CHAIN(xEvent, timestamp, [V: {VIEWED}, B: WHAT(eventType = "buy") COUNT(3)])',
            "Not in: product view 50 min ago, and fewer than 3 buy after it.",
        ),
        (
            f'CHAIN(xEvent, timestamp, [B: WHAT(eventType = "buy"), V: {VIEWED}])',
            "No buy in the last 35 days; the rule wants buy followed by product view.",
        ),
        ("joined < today", "Joined is 2026-02-01; the rule wants it before today."),
        (
            "not(joined occurs <= 60 days before now)",
            "Not in: joined is 2026-02-01; the rule excludes whoever has it in the last 60 days.",
        ),
        ("optOut", "Opt out is yes; the rule wants yes."),
        ("not(optOut)", "Not in: opt out is yes; the rule wants no."),
        ("tier", "Not in: tier is not known; the rule wants a value."),
        (
            'interests notIn ["food", "art"]',
            "Not in: interests are sport and food; the rule wants anything but food or art.",
        ),
        ("orders.count() > 2", "Not in: number of orders is 2; needs more than 2."),
        (
            "orders.exists(price > 50)",
            "Not in: of 2 orders, none with price over 50; the rule wants at least one.",
        ),
        (
            "not(orders.exists(price > 5))",
            "Not in: of 2 orders, 2 with price over 5; the rule wants none.",
        ),
        (
            'xEvent.exists(eventType = "commerce.purchases")',
            "Not in: of 2 events, none with event type purchase; the rule wants at least one.",
        ),
    ],
)
def test_what_a_marketer_reads_is_a_sentence(rule: str, sentence: str) -> None:
    assert told(rule, SHOPPER) == sentence


# ---- the smallest failing set ------------------------------------------------

LETTERS = ["a", "b", "c", "d", "e"]
truths = st.recursive(
    st.sampled_from(LETTERS).map(lambda letter: f"{letter} = 1"),
    lambda inner: st.one_of(
        st.builds(lambda one, other: f"({one} and {other})", inner, inner),
        st.builds(lambda one, other: f"({one} or {other})", inner, inner),
        inner.map(lambda one: f"not({one})"),
    ),
    max_leaves=9,
)


@given(truths, st.fixed_dictionaries(dict.fromkeys(LETTERS, st.integers(0, 1))))
def test_the_parts_told_to_be_lacking_are_enough_and_no_fewer_would_do(
    text: str, view: dict[str, int]
) -> None:
    rule = compile_rule(text)
    found = lacking(explain_rule(rule, view, NOW_MS))

    def after(letters: Sequence[str]) -> bool:
        changed = {**view, **{letter: 1 - view[letter] for letter in letters}}
        return rule.evaluate(changed, NOW_MS).holds

    smallest = next(
        (
            number
            for number in range(len(LETTERS) + 1)
            if any(after(letters) for letters in combinations(LETTERS, number))
        ),
        None,
    )
    if smallest is None:
        assert found.parts == ()
    else:
        assert len(found.parts) == smallest
        assert after([part.text[0] for part in found.parts])


def test_one_part_that_stands_in_two_places_is_lacking_once() -> None:
    explanation = explain_rule(compile_rule("(a = 1 and b = 1) or (a = 1 and c = 1)"), {}, NOW_MS)

    assert [part.text for part in lacking(explanation).parts] == ["a = 1", "b = 1"]


def test_of_alternatives_that_all_fail_the_reason_names_what_is_nearest() -> None:
    assert told("(a = 1 and b = 1) or c = 1", {}) == "Not in: c is not known; needs 1."


def test_a_list_of_very_many_alternatives_is_told_as_one() -> None:
    rule = " or ".join(f"a{number} = 1" for number in range(2_000))

    assert (
        told(rule, {}) == "Not in: none of 2,000 alternatives holds; the rule wants one at least."
    )


# ---- as text -----------------------------------------------------------------


def test_an_explanation_is_told_as_sentences() -> None:
    rule = compile_rule(f"{ADD} and loyalty.points >= 1000")

    told_in = text_of(
        explain_rule(rule, {**ADDED, "loyalty": {"points": 1250}}, NOW_MS),
        Standing("Gold basket", NOW_MS - 240_000),
    )
    told_out = text_of(explain_rule(rule, ADDED, NOW_MS), Standing("Gold basket", NOW_MS - 60_000))

    assert told_in.split("\n")[:2] == [
        "In “Gold basket” since 2026-03-15 12:26:45 UTC. Basket addition 4 min ago; counts until"
        " 13:26:45 UTC.",
        "If nothing else happens, this ends at 2026-03-15 13:26:45 UTC.",
    ]
    assert told_out.split("\n")[0] == (
        "Not in “Gold basket”, which it left at 2026-03-15 12:29:45 UTC. Loyalty points is not"
        " known; needs at least 1,000."
    )
    assert "To be in, at least one thing has to be otherwise:" in told_out
    assert "- 2026-03-15 12:26:45 UTC: basket addition" in told_out
