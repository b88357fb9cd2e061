"""A schema, rules over its fields, and profiles that conform to it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import strategies as st

from perso_core.definitions.schema import Field, Schema, field_types
from tests.pql.making import DAY_MS, NOW_MS

TIERS = ("gold", "silver", "None")
RANKS = (1, 2, 3)


SCALARS = (
    Field(path="tier", type="text", values=TIERS),
    Field(path="rank", type="number", values=RANKS),
    Field(path="note", type="text"),
    Field(path="points", type="number"),
    Field(path="age", type="integer"),
    Field(path="member", type="boolean"),
    Field(path="born", type="date"),
    Field(path="seen", type="datetime"),
    Field(path="more", type="object"),
    Field(path="whatever", type="any"),
)
SCHEMA = Schema(
    profile=(
        *SCALARS,
        *(Field(path=f"orders[].{one.path}", type=one.type, values=one.values) for one in SCALARS),
        Field(path="tags[]", type="text"),
        Field(path="sizes[]", type="integer"),
        Field(path="grades[]", type="text", values=("A", "B")),
        Field(path="visits[]", type="datetime"),
        Field(path="plans.*.state", type="text", values=("on", "off")),
        Field(path="plans.*.fee", type="number"),
    ),
    event=SCALARS,
)
TYPES = field_types(SCHEMA)

# ---- profiles ---------------------------------------------------------------

TEXTS = ["gold", "Gold", "x", "", "true", "5", "1990-03-29", "2026-03-29T10:00:00Z"]
DATES = ["1990-03-29", "2026-03-29", "2026-03-30"]
INSTANTS = [NOW_MS, NOW_MS - DAY_MS, 5, 0, "2026-03-29T10:00:00Z", *DATES]
NUMBERS = [-1, 0, 1, 2, 2.5, 3, 5, 12, 13, 5.0]
VALUES: dict[str, list[Any]] = {
    "tier": [*TIERS],
    "rank": [*RANKS, 2.0],
    "note": TEXTS,
    "points": NUMBERS,
    "age": [-1, 0, 1, 2, 3, 3.0, 4, 5],
    "member": [True, False],
    "born": DATES,
    "seen": INSTANTS,
    "more": [{"a": 1}],
    "whatever": [*TEXTS, 5, True, ["x", 5], {"a": 1}],
}


def conforming(random: Random) -> dict[str, Any]:
    """A profile of which every field may be missing."""

    def some(made: Callable[[], Any], least: int = 0) -> list[Any]:
        return [made() for _ in range(random.randint(least, 3))]

    def one_of(values: list[Any]) -> Any:
        return random.choice(values)

    def scalars_of() -> dict[str, Any]:
        return {name: one_of(values) for name, values in VALUES.items() if random.random() < 0.8}

    def event() -> dict[str, Any]:
        kind = {"_id": "e", "timestamp": NOW_MS - 1000, "eventType": one_of(["view", "buy"])}
        return {**kind, **scalars_of()}

    def plan() -> dict[str, Any]:
        return {"state": one_of(["on", "off"]), "fee": one_of(NUMBERS)}

    whole = {
        **scalars_of(),
        "orders": some(scalars_of),
        "tags": some(lambda: one_of(TEXTS)),
        "sizes": some(lambda: random.randint(0, 6)),
        "grades": some(lambda: one_of(["A", "B"])),
        "visits": some(lambda: one_of(INSTANTS)),
        "plans": {"a": plan(), "b": plan()},
        "xEvent": some(event),
    }
    return {name: value for name, value in whole.items() if random.random() < 0.9}


PROFILES = [conforming(Random(seed)) for seed in range(150)]

# ---- rules ------------------------------------------------------------------

LITERALS = [
    *(
        '"gold"',
        '"GOLD"',
        '"Gold"',
        '"G"',
        '"glod"',
        '"None"',
        '"true"',
        '"5"',
        '"A"',
        '"on"',
        '"view"',
        '""',
    ),
    *('"1990-03-29"', '"29.3.1990"', "0", "1", "2", "2.5", "-1", "5", "13", "true", "false"),
]
TIMES = ["today", "now", "date(1990, 3, 29)", "this year"]
WINDOWS = ["today", "before now", "<= 3 days before today", "> 1 year before now"]
scalars = st.sampled_from([field.path for field in SCALARS])
at_profile = st.sampled_from(
    [
        *("tags", "sizes", "grades", "visits", "plans.a.state", 'plans.get("b").fee'),
        *("orders.tier", "orders.points", "orders.head().rank", "plans", "orders"),
        *("xEvent.note", "xEvent.count()", "orders.count()", "born.getMonth()", "currentMonth()"),
        *("orders.map(age)", "if(member, 1, 3)", "orders.topN(points, 1).head().member"),
    ]
)
lists = st.sampled_from(["tags", "sizes", "grades", "orders.points", "xEvent.age"])
literals = st.sampled_from(LITERALS)
equalities = st.sampled_from(["=", "!="])
orders = st.sampled_from(["<", "<=", ">", ">="])
tests = st.sampled_from(
    [
        *("equals", "notEqualTo", "contains", "doesNotContain"),
        *("startsWith", "doesNotStartWith", "endsWith", "doesNotEndWith"),
    ]
)
texts = st.sampled_from([one for one in LITERALS if one.startswith('"')])


def atoms(fields: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One comparison of a field."""
    return st.one_of(
        st.builds("{} {} {}".format, fields, equalities | orders, literals),
        st.builds("{} {} {}".format, literals, equalities | orders, fields),
        st.builds("{} {} {}".format, fields, equalities | orders, fields),
        st.builds("{} {} {}".format, fields, equalities | orders, st.sampled_from(TIMES)),
        st.builds("{} {} [{}]".format, fields, st.sampled_from(["in", "notIn"]), literals),
        st.builds("{} in [{}]".format, fields, fields),
        st.builds("{}.{}({})".format, fields, tests, texts),
        st.builds("{}.{}({}, false)".format, fields, tests, texts),
        st.builds("{}.notEqualTo({}, {})".format, fields, texts, texts),
        st.builds('stringCompare("{}", {}, [{}], false)'.format, tests, fields, texts),
        st.builds("{} like {}".format, fields, st.sampled_from(['"g%"', '"G%"', '"%1990%"'])),
        st.builds("{}.matches({})".format, fields, st.sampled_from(['"^g"', '"z"', '"on$"'])),
        st.builds("{} occurs {}".format, fields, st.sampled_from(WINDOWS)),
        st.builds("{}.includes({})".format, fields, literals),
        st.builds("{}.intersects([{}])".format, fields, literals),
        st.builds("{}.supersetOf([{}])".format, fields, literals),
        st.builds("{}.getMonth() {} {}".format, fields, equalities | orders, literals),
        st.builds("{}.count() {} {}".format, fields, equalities | orders, literals),
        st.builds("if(member, {}, {}) {} {}".format, fields, fields, equalities | orders, literals),
        st.builds("{} + 1 {} {}".format, fields, equalities | orders, literals),
        st.builds("let V = {} in V {} {}".format, fields, equalities | orders, literals),
    )


def pairs(name: str) -> st.SearchStrategy[str]:
    """A condition of the kinds that are weighed together."""
    return st.one_of(
        st.sampled_from([f"{name}.isNull()", f"{name}.isNotNull()"]),
        st.builds("{} {} {}".format, st.just(name), equalities | orders, literals),
        # One value: a list of several is told of each that never is, and holds by the others.
        st.builds("{} in [{}]".format, st.just(name), literals),
        st.builds("{}.{}({})".format, st.just(name), tests, texts),
        st.builds("{}.equals({}, false)".format, st.just(name), texts),
        st.builds("{} {} {}".format, st.just(name), equalities | orders, days),
        st.builds("{} {} {}".format, days, equalities | orders, st.just(name)),
        st.builds("{} occurs {}".format, st.just(name), fixed_windows),
        st.just(name),
    )


days = st.sampled_from(["date(1990, 3, 29)", "date(1990, 3, 30)", "date(2026, 3, 29)"])
fixed_windows = st.one_of(
    st.builds("{} {}".format, st.sampled_from(["before", "after", "from", "on"]), days),
    st.builds("between {} and {}".format, days, days),
    st.builds("{} {} day before {}".format, equalities | orders, st.integers(0, 2), days),
    st.builds('{} "{}"'.format, st.sampled_from(["before", "on"]), st.sampled_from(DATES)),
)


def weighed(name: str) -> st.SearchStrategy[str]:
    """Conditions joined by `and` on one field; some are denied."""
    one = pairs(name) | pairs(name).map("not({})".format)
    return st.lists(one, min_size=2, max_size=3).map(joined)


def joined(parts: list[str]) -> str:
    return " and ".join(f"({part})" for part in parts)


def conditions(fields: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A few comparisons joined by `and`, often of one field."""
    several = st.lists(atoms(fields), min_size=2, max_size=3).map(joined)
    same = fields.flatmap(weighed)
    return st.one_of(atoms(fields), several, same)


inner = conditions(scalars)
# Each holds only where the condition holds of something.
rules = st.one_of(
    conditions(scalars | at_profile),
    lists.flatmap(weighed),
    conditions(scalars).map("orders[{}].count() > 0".format),
    inner.map("orders.exists({})".format),
    inner.map("orders.filter(o => {}).count() > 0".format),
    inner.map("xEvent[{}].count() > 0".format),
    inner.map("CHAIN(xEvent, timestamp, [C0: WHAT({}) WHEN(<= 1 day before now)])".format),
    st.builds(
        "CHAIN(xEvent, seen, [C0: WHAT({}) WHERE({}) WHEN({})])".format,
        pairs("seen"),
        pairs("seen"),
        fixed_windows,
    ),
    conditions(scalars.map("X.{}".format)).map("exists X from orders where {}".format),
    conditions(scalars.map("X.{}".format)).map("(select X from xEvent where {})".format),
    conditions(scalars.map("$1.{}".format)),
    conditions(scalars.map("P.{}".format)).map("P => {}".format),
    atoms(scalars.map("^{}".format)).map("orders[{}].count() > 0".format),
)
