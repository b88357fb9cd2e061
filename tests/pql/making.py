"""Random rules, profiles, events and instants for the laws."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from perso_core.pql.nodes import (
    And,
    Between,
    Binder,
    Call,
    Chain,
    Compare,
    Constant,
    Distance,
    Element,
    Filter,
    Lambda,
    Let,
    ListOf,
    Member,
    Method,
    Negative,
    Node,
    Not,
    ObjectOf,
    Occurs,
    On,
    Or,
    Over,
    Param,
    Path,
    Pattern,
    Period,
    Range,
    Side,
    Step,
    TimeWord,
    Window,
    joined,
    path_of,
    product_of,
    sum_of,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Sunday 2026-03-29 12:30:45 UTC: month ends and a leap-less February are near.
NOW_MS = 1_774_787_445_000

# ---- nodes, for what is printed ---------------------------------------------

names = st.sampled_from(["a", "größe", "_id", "xEvent", "day", "count", "X", "timestamp", "sum"])
labels = st.sampled_from(["C0", "C1", "first"])
variables = st.sampled_from(["X", "E", "total"])
odd_keys = st.sampled_from(["nick name", "from", "and", 'q"uote', "", "1st", "日本"])
units = st.sampled_from(["millisecond", "hour", "day", "week", "month", "century", "millennium"])
comparisons = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
directions = st.sampled_from(["before", "after", "from"])


def tuples(items: st.SearchStrategy[Any], least: int = 0, most: int = 3) -> Any:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


constants = st.one_of(
    st.booleans(),
    st.integers(0, 10**30),
    st.floats(0, 1e300, allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
).map(Constant)
paths = st.builds(
    lambda up, first, rest: Path(Element(up), (first, *rest)),
    st.integers(0, 2),
    names,
    tuples(st.one_of(names, odd_keys)),
)
leaves = st.one_of(
    constants,
    paths,
    st.sampled_from(["now", "today", "yesterday", "tomorrow"]).map(TimeWord),
    st.just(Param(1)),
)


def windows(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Window]:
    times = st.one_of(
        inner, st.builds(Period, st.sampled_from(["this", "last", "next"]), units), leaves
    )
    return st.one_of(
        st.builds(Distance, comparisons, st.integers(0, 10**20), units, directions, times),
        st.builds(Side, directions, times),
        st.builds(Between, times, times),
        st.builds(On, times),
    )


def grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    ranges = tuples(st.builds(Range, variables, inner, st.none() | inner), 1, 2)
    counts = tuples(st.tuples(comparisons, st.integers(0, 99)), 0, 1)
    step = st.builds(Step, labels, tuples(inner, 1, 2), tuples(windows(inner), 0, 2), counts)
    lists = st.lists(inner, min_size=2, max_size=3)
    signed = st.lists(st.tuples(st.sampled_from("+-"), inner), min_size=1, max_size=2)
    scaled = st.lists(st.tuples(st.sampled_from("*/%"), inner), min_size=1, max_size=2)
    return st.one_of(
        st.builds(joined, st.just(And), lists),
        st.builds(joined, st.just(Or), lists),
        st.builds(Not, inner),
        st.builds(Compare, comparisons, inner, inner),
        st.builds(Member, st.booleans(), inner, inner),
        st.builds(Pattern, st.sampled_from(["like", "matches"]), inner, inner),
        st.builds(Occurs, inner, windows(inner)),
        st.builds(lambda first, rest: sum_of([("+", first), *rest]), inner, signed),
        st.builds(lambda first, rest: product_of([("*", first), *rest]), inner, scaled),
        st.builds(Negative, inner),
        st.builds(ListOf, tuples(inner)),
        st.builds(ObjectOf, tuples(st.tuples(odd_keys, inner), 0, 2)),
        st.builds(Call, st.sampled_from(["date", "if", "inSegment"]), tuples(inner)),
        st.builds(Method, inner, names, tuples(inner)),
        st.builds(Filter, inner, inner),
        st.builds(lambda base, rest: path_of(base, [*rest], (0, 0)), inner, tuples(names, 1)),
        st.builds(Binder, st.sampled_from(["select", "exists", "forall"]), ranges),
        st.builds(Over, st.sampled_from(["sum", "average", "min", "max"]), inner, ranges),
        st.builds(Let, variables, inner, inner),
        st.builds(Lambda, tuples(variables, 1, 2), inner),
        st.builds(Chain, inner, inner, tuples(step, 1, 2)),
    )


nodes = st.recursive(leaves, grown, max_leaves=12)

# ---- rules, profiles and events, for what is evaluated ----------------------

EVENT_TYPES = ["view", "add", "Buy"]
PAGES = ["home", "sale/shoes", "sale/hats"]

event_types = st.sampled_from(EVENT_TYPES)
numbers = st.integers(0, 4)

event_atoms = st.one_of(
    event_types.map(lambda t: f'eventType = "{t}"'),
    event_types.map(lambda t: f'eventType.equals("{t.upper()}", false)'),
    event_types.map(lambda t: f'eventType != "{t}"'),
    st.just('eventType in ["view", "Buy"]'),
    st.just('eventType notIn ["view"]'),
    st.just('page.startsWith("sale/")'),
    st.just('page like "sale/%s"'),
    st.just('page.contains("SHOE", false)'),
    st.just('stringCompare("startsWith", page, ["SALE"], false)'),
    st.just("page.isNull()"),
    st.just('not(page = "home")'),
    numbers.map(lambda n: f"amount >= {n}"),
    numbers.map(lambda n: f"amount = {n}"),
    st.just('items.exists(sku = "A")'),
    st.just('items.sku = "B"'),
    numbers.map(lambda n: f"items.sum(price) > {n}"),
    st.just("due occurs before now"),
    st.just("due occurs <= 1 day after today"),
    st.just("flag"),
    st.just('flag = "true"'),
)
event_conditions = st.recursive(
    event_atoms,
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"({a}) and ({b})", inner, inner),
        st.builds(lambda a, b: f"({a}) or ({b})", inner, inner),
        inner.map(lambda a: f"not({a})"),
    ),
    max_leaves=3,
)
moving_windows = st.one_of(
    st.just("today"),
    st.just("yesterday"),
    st.just("this month"),
    st.just("last week"),
    st.builds(
        lambda op, n, unit, side, time: f"{op} {n} {unit} {side} {time}",
        comparisons,
        st.integers(0, 40),
        st.sampled_from(["milliseconds", "hours", "days", "weeks", "months", "years"]),
        directions,
        st.sampled_from(["now", "today", "tomorrow", "this month", "last week"]),
    ),
    st.sampled_from(["before now", "after today", "from this week", "before last month"]),
    st.just("between yesterday and now"),
    st.just("between date(2026, 3, 20) and today"),
    st.just("on date(2026, 3, 28)"),
    st.just("> 2 days before date(2026, 4, 1)"),
)
counts = st.one_of(
    st.just(""),
    # No number is less than 0: such a count is refused.
    st.builds(
        lambda op, n: f" COUNT({op} {max(n, 1) if op == '<' else n})",
        comparisons,
        st.integers(0, 3),
    ),
)
optional_window = st.one_of(st.just(""), moving_windows.map(lambda w: f" WHEN({w})"))
chains = st.one_of(
    st.builds(
        lambda c, w, n: f"CHAIN(xEvent, timestamp, [C0: WHAT({c}){w}{n}])",
        event_conditions,
        optional_window,
        counts,
    ),
    st.builds(
        lambda c, w, d, v: (
            f"CHAIN(xEvent, timestamp, [C0: WHAT({c}){w}, C1: WHAT({d}){v} COUNT(1)])"
        ),
        event_conditions,
        optional_window,
        event_conditions,
        st.one_of(optional_window, st.just(" WHEN(<= 20 hours after C0)")),
    ),
)
event_uses = st.one_of(
    chains,
    st.builds(lambda c, n: f"xEvent[{c}].count() > {n}", event_conditions, numbers),
    event_conditions.map(lambda c: f"xEvent.exists({c})"),
    event_conditions.map(lambda c: f"xEvent.forall({c})"),
    event_conditions.map(lambda c: f"xEvent.filter(e => {c}).sum(amount) >= 3"),
    numbers.map(lambda n: f"xEvent.count() = {n}"),
    st.just("xEvent.isNull()"),
    st.just('xEvent.page = "home"'),
    st.just("xEvent.items.count() > 1"),
    st.just('(select X from xEvent where X.eventType = "view")'),
    st.just('(exists X from xEvent where X.amount > 1, I from X.items where I.sku = "A")'),
    st.just("(forall X from xEvent where X.amount > 1)"),
    st.just('(sum X.amount over X from xEvent where X.page like "sale%") > 2'),
    st.just("let N = xEvent.count() in N > 1 and N < 4"),
    st.just('xEvent.topN(timestamp, 1).head().eventType = "Buy"'),
    st.just("orders[^xEvent.count() > 1]"),
    st.just("xEvent.average(amount) > 1"),
)
profile_atoms = st.one_of(
    st.just('tier.equals("GOLD", false)'),
    st.just("born.getMonth() = currentMonth()"),
    moving_windows.map(lambda w: f"born occurs {w}"),
    moving_windows.map(lambda w: f"joined occurs {w}"),
    moving_windows.map(lambda w: f"dates occurs {w}"),
    moving_windows.map(lambda w: f"not(xEvent.due occurs {w})"),
    st.just("joined occurs before xEvent.topN(timestamp, 1).head().timestamp"),
    st.just("today occurs after xEvent.topN(timestamp, 1).head().due"),
    st.just("joined occurs <= 3 days after date(currentYear(), currentMonth(), 1)"),
    st.sampled_from(["joined < now", "joined >= today", "now > joined", "today != joined"]),
    st.just("now occurs <= 2 days before joined"),
    st.just("today occurs between date(2026, 3, 1) and date(2026, 4, 2)"),
    st.just('inSegment("s1")'),
    st.just('segmentMembership.get("ups").get("s1").status = "realized"'),
    st.just("orders.exists(price > 1)"),
    st.just("currentDayOfMonth() > 30"),
)
rules = st.recursive(
    st.one_of(event_uses, profile_atoms),
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"({a}) and ({b})", inner, inner),
        st.builds(lambda a, b: f"({a}) or ({b})", inner, inner),
        inner.map(lambda a: f"not({a})"),
    ),
    max_leaves=3,
)

offsets_ms = st.one_of(
    st.integers(-40 * DAY_MS, 3 * DAY_MS),
    st.integers(-40, 3).map(lambda days: days * DAY_MS),
    st.integers(-40, 3).map(lambda days: days * DAY_MS - NOW_MS % DAY_MS),
)
instants = offsets_ms.map(lambda offset: NOW_MS + offset)


def without_missing(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


items = st.lists(
    st.fixed_dictionaries({"sku": st.sampled_from("AB"), "price": numbers}), max_size=2
)
events = st.fixed_dictionaries(
    {
        "timestamp": instants,
        "eventType": st.none() | event_types,
        "page": st.none() | st.sampled_from(PAGES),
        "amount": st.none() | numbers,
        "items": st.none() | items,
        "due": st.none() | instants,
        "flag": st.none() | st.booleans(),
    }
).map(without_missing)
dates = st.sampled_from(["1990-03-29", "2000-02-29", "2026-02-28", "2026-03-31", "1990-04-15"])
profiles = st.fixed_dictionaries(
    {
        "tier": st.none() | st.sampled_from(["gold", "none"]),
        "born": st.none() | dates,
        "joined": st.none() | instants | dates,
        "dates": st.none() | st.lists(instants | dates, max_size=3),
        "orders": st.none() | st.just([{"price": 2}]),
        "segmentMembership": st.none()
        | st.sampled_from(["realized", "exited"]).map(lambda s: {"ups": {"s1": {"status": s}}}),
        "xEvent": st.lists(events, max_size=5).map(
            lambda found: sorted(found, key=lambda event: event["timestamp"])
        ),
    }
).map(without_missing)
