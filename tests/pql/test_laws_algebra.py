"""Two ways to say one thing have one answer, and it holds equally long."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from perso_core.pql.compiler import FOREVER_MS, Verdict
from tests.pql import making_focused
from tests.pql.admitted import admitted
from tests.pql.making_focused import Author
from tests.pql.making_profiles import DAY_MS, situations
from tests.pql.plain_time import CYCLE_MS, time_of

Situation = tuple[dict[str, Any], int, int]
rules = making_focused.rules
fields = making_focused.written(lambda author: author.field())
lists = making_focused.written(lambda author: author.one(author.field, '["a", 1]', "[]"))
literals = making_focused.written(lambda author: author.literal())
kinds = making_focused.written(lambda author: author.one(author.kind, author.atom))
windows = making_focused.written(lambda author: author.window(lambda: moving_time(author)))
numbers = st.integers(0, 3)
# Past it an answer may be asked for again before it changes: 64 flips are looked at, and some
# rules flip three times a day.
LOOKED_AT_MS = 20 * DAY_MS


def moving_time(author: Author) -> str:
    return author.one("now", "now", "today", "yesterday", "this month", "last week", "next year")


def verdict(text: str, situation: Situation) -> Verdict:
    view, now_ms, event_window_ms = situation
    return admitted(text, event_window_ms).evaluate(view, now_ms)


def same_verdict(one: str, other: str, situation: Situation) -> None:
    first, second = verdict(one, situation), verdict(other, situation)
    assert first.holds is second.holds
    if min(first.until_ms, second.until_ms) - situation[1] < LOOKED_AT_MS:
        assert first.until_ms == second.until_ms


# ---- conditions -------------------------------------------------------------


@given(rules, situations())
def test_denied_twice_is_said_once(text: str, situation: Situation) -> None:
    same_verdict(f"not(not({text}))", f"({text}) and true", situation)


@given(rules, rules, situations())
def test_not_both_is_one_of_them_not(one: str, other: str, situation: Situation) -> None:
    same_verdict(f"not(({one}) and ({other}))", f"not({one}) or not({other})", situation)


@given(rules, rules, situations())
def test_not_one_of_them_is_neither(one: str, other: str, situation: Situation) -> None:
    same_verdict(f"not(({one}) or ({other}))", f"not({other}) and not({one})", situation)


@given(rules, rules, rules, situations())
def test_a_choice_is_one_way_or_the_other(
    test: str, one: str, other: str, situation: Situation
) -> None:
    same_verdict(
        f"if({test}, ({one}) and true, ({other}) and true)",
        f"(({test}) and ({one})) or (not({test}) and ({other}))",
        situation,
    )


@given(fields, lists, situations())
def test_not_in_a_list_needs_both_to_be_there(field: str, items: str, situation: Situation) -> None:
    both = f"{field}.isNotNull() and {items}.isNotNull()"
    same_verdict(f"{field} notIn {items}", f"not({field} in {items}) and {both}", situation)


@given(st.sampled_from(["b", "n", "u", "m.k"]), literals, situations())
def test_unequal_is_present_and_not_equal(field: str, literal: str, situation: Situation) -> None:
    same_verdict(
        f"{field} != {literal}", f"not({field} = {literal}) and {field}.isNotNull()", situation
    )


@given(fields, fields, situations())
def test_less_one_way_is_greater_the_other(one: str, other: str, situation: Situation) -> None:
    same_verdict(f"{one} < {other}", f"{other} > {one}", situation)
    same_verdict(f"{one} <= {other}", f"{other} >= {one}", situation)


# ---- events -----------------------------------------------------------------


@given(making_focused.conditions, st.sampled_from(["xEvent", "os", "tags"]), situations())
def test_some_do_when_it_is_not_so_that_none_does(
    condition: str, items: str, situation: Situation
) -> None:
    same_verdict(
        f"{items}.exists({condition})", f"not({items}.forall(not({condition})))", situation
    )
    same_verdict(f"{items}.exists({condition})", f"{items}[{condition}].count() > 0", situation)
    same_verdict(
        f"{items}.forall({condition})", f"{items}[not({condition})].count() = 0", situation
    )


def chain(what: str, window: str, count: str = "") -> str:
    return f"CHAIN(xEvent, timestamp, [C: WHAT({what}) WHEN({window}) {count}])"


@given(kinds, windows, numbers, situations())
def test_exactly_so_many_are_at_least_and_at_most_so_many(
    what: str, window: str, number: int, situation: Situation
) -> None:
    least, most = (chain(what, window, f"COUNT({op} {number})") for op in (">=", "<="))
    same_verdict(chain(what, window, f"COUNT(= {number})"), f"{least} and {most}", situation)
    same_verdict(chain(what, window, f"COUNT(!= {number})"), f"not({least} and {most})", situation)
    more = chain(what, window, f"COUNT(>= {number + 1})")
    same_verdict(chain(what, window, f"COUNT(> {number})"), more, situation)
    same_verdict(chain(what, window, f"COUNT(<= {number})"), f"not({more})", situation)


@given(kinds, windows, situations())
def test_a_window_of_a_step_says_when_the_event_was(
    what: str, window: str, situation: Situation
) -> None:
    inside = f"CHAIN(xEvent, timestamp, [C: WHAT(({what}) and timestamp occurs {window})])"
    same_verdict(chain(what, window), inside, situation)


@given(making_focused.chains, situations(), st.randoms())
def test_the_order_in_which_events_are_listed_does_not_matter_to_a_chain(
    text: str, situation: Situation, random: Any
) -> None:
    view, now_ms, event_window_ms = situation
    assume("xEvent" in view)
    # The first of several with equal keys is the first of them in the list.
    assume("topN" not in text and "bottomN" not in text and "head" not in text)
    shuffled = list(view["xEvent"])
    random.shuffle(shuffled)
    again = {**view, "xEvent": shuffled}

    same = verdict(text, situation)
    other = verdict(text, (again, now_ms, event_window_ms))

    assert same.holds is other.holds


steps = st.lists(making_focused.written(lambda author: author.kind()), min_size=1, max_size=3)


@given(steps, st.data(), situations())
def test_one_more_event_ends_no_sequence(
    conditions: list[str], data: st.DataObject, situation: Situation
) -> None:
    view, now_ms, event_window_ms = situation
    assume(view.get("xEvent"))
    limits = data.draw(st.lists(numbers, min_size=3, max_size=3))
    whens = ["", *(f" WHEN(<= {n} hours after C{i})" for i, n in enumerate(limits))]
    joined = [f"C{i}: WHAT({c}){whens[i]}" for i, c in enumerate(conditions)]
    text = f"CHAIN(xEvent, timestamp, [{', '.join(joined)}])"
    fewer = {**view, "xEvent": view["xEvent"][1:]}

    before = verdict(text, (fewer, now_ms, event_window_ms))

    if before.holds:
        after = verdict(text, situation)
        assert after.holds
        assert after.until_ms >= before.until_ms


# ---- time -------------------------------------------------------------------


def in_numbers(value: Any, later_ms: int) -> Any:
    """Every time as epoch milliseconds, so much later; dates as texts go out."""
    if isinstance(value, dict):
        return {name: in_numbers(inner, later_ms) for name, inner in value.items()}
    if isinstance(value, list):
        return [in_numbers(inner, later_ms) for inner in value]
    if isinstance(value, str) and time_of(value):
        return None
    return value + later_ms if type(value) is int and value > 10**9 else value


@given(making_focused.rules, situations(), st.integers(1, 20))
def test_the_same_happens_again_after_400_years(
    text: str, situation: Situation, times: int
) -> None:
    assume("date(" not in text and "Year" not in text)
    view, now_ms, event_window_ms = situation
    later_ms = times * CYCLE_MS

    one = verdict(text, (in_numbers(view, 0), now_ms, event_window_ms))
    other = verdict(text, (in_numbers(view, later_ms), now_ms + later_ms, event_window_ms))

    assert one.holds is other.holds
    if one.until_ms < FOREVER_MS:
        assert one.until_ms + later_ms == other.until_ms
