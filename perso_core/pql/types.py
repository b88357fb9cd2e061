"""What the functions of the language take and give, and what a rule reads."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

# What is known of a value before a profile is seen. A field is "any": no schema yet.
Type = Literal["any", "number", "text", "flag", "time", "list", "object"]

# What an argument has to be. "pattern" and "id": text written in the rule. "condition" and
# "measure": evaluated for each element. "rest": any number of further texts.
Argument = Literal[
    "any", "number", "text", "flag", "list", "pattern", "id", "condition", "measure", "key"
]


class Signature(Struct, frozen=True):
    """One function or method. `optional` of the last arguments may be left out."""

    takes: tuple[Argument, ...]
    gives: Type
    example: str
    optional: int = 0
    says: str = ""

    @property
    def least(self) -> int:
        return len(self.takes) - self.optional


_STRING_TESTS = {
    "equals": ('loyalty.tier.equals("gold", false)', "the same text; several texts: any of them"),
    "notEqualTo": (
        'loyalty.tier.notEqualTo("none")',
        "another text; several texts: none of them",
    ),
    "contains": ('web.url.contains("/sale/", false)', "the text is somewhere in it"),
    "doesNotContain": ('web.url.doesNotContain("/sale/")', "the text is nowhere in it"),
    "startsWith": ('sku.startsWith("SNK-")', "begins with the text"),
    "doesNotStartWith": ('sku.doesNotStartWith("SNK-")', "begins otherwise"),
    "endsWith": ('email.endsWith(".edu", false)', "ends with the text"),
    "doesNotEndWith": ('email.doesNotEndWith(".edu")', "ends otherwise"),
}
STRING_TESTS = frozenset(_STRING_TESTS)

METHODS: dict[str, Signature] = {
    **{
        name: Signature(("text", "flag"), "flag", example, 1, f"{says}; false as second: any case")
        for name, (example, says) in _STRING_TESTS.items()
    },
    "matches": Signature(
        ("pattern",), "flag", 'page.matches("^sale/")', says="a regular expression finds something"
    ),
    "regexGroup": Signature(
        ("pattern", "number"), "any", 'email.regexGroup("@(.+)", 1)', 1, "what a group found"
    ),
    "isNull": Signature((), "flag", "loyalty.joinDate.isNull()", says="there is no value"),
    "isNotNull": Signature((), "flag", "loyalty.joinDate.isNotNull()", says="there is a value"),
    "intersects": Signature(
        ("list",), "flag", 'tags.intersects(["a", "b"])', says="some member is in both"
    ),
    "intersection": Signature(
        ("list",), "list", 'tags.intersection(["a"]).count()', says="the members in both"
    ),
    "subsetOf": Signature(
        ("list",), "flag", 'tags.subsetOf(["a", "b"])', says="every member is in the other"
    ),
    "supersetOf": Signature(
        ("list",), "flag", 'tags.supersetOf(["a"])', says="it has every member of the other"
    ),
    "includes": Signature(
        ("any",), "flag", 'interests.includes("sport")', says="it has the member"
    ),
    "distinct": Signature((), "list", "tags.distinct().count()", says="each member once"),
    "count": Signature((), "number", "orders.count() > 2", says="how many"),
    "sum": Signature(("measure",), "number", "orders.sum(price)", 1, "0 of nothing"),
    "average": Signature(("measure",), "number", "orders.average(price)", 1, "no value of nothing"),
    "min": Signature(("measure",), "number", "orders.min(price)", 1, "the least"),
    "max": Signature(("measure",), "number", "orders.max(price)", 1, "the greatest"),
    "filter": Signature(("condition",), "list", "orders.filter(price > 9)", says="as orders[...]"),
    "exists": Signature(
        ("condition",), "flag", 'items.exists(SKU = "A")', 1, "some element satisfies it"
    ),
    "forall": Signature(
        ("condition",), "flag", "orders.forall(price > 0)", says="all do; true of nothing"
    ),
    "map": Signature(("measure",), "any", "orders.map(id)", says="a value for each element"),
    "groupBy": Signature(
        ("key",), "object", 'orders.groupBy(store).get("s1")', says="elements by a key"
    ),
    "topN": Signature(
        ("key", "number"), "list", "orders.topN(price, 1)", says="the largest by a key"
    ),
    "bottomN": Signature(
        ("key", "number"), "list", "orders.bottomN(price, 1)", says="the smallest by a key"
    ),
    "head": Signature((), "any", "orders.head().id", says="the first element"),
    "get": Signature(
        ("any",),
        "any",
        'identityMap.get("ECID")',
        says="the value under a key; groups have any: `groupBy(price).get(30)`",
    ),
    "keys": Signature((), "list", "identityMap.keys()", says="the keys of a map"),
    "values": Signature((), "list", "identityMap.values()", says="the values of a map"),
    "getMonth": Signature((), "number", "birthDate.getMonth()", says="1 to 12, UTC"),
    "getYear": Signature((), "number", "birthDate.getYear()", says="the year, UTC"),
    "getDayOfMonth": Signature((), "number", "birthDate.getDayOfMonth()", says="1 to 31, UTC"),
}

FUNCTIONS: dict[str, Signature] = {
    "if": Signature(("any", "any", "any"), "any", "if(a = 1, 10, 0)", says="the second or third"),
    "stringCompare": Signature(
        ("id", "any", "list", "flag"),
        "flag",
        'stringCompare("equals", tier, ["gold", "platinum"], false)',
        1,
        "a text test by name against several texts",
    ),
    "inSegment": Signature(
        ("id",), "flag", 'inSegment("ac2b8310")', says="the profile is in that audience"
    ),
    "date": Signature(
        ("number", "number", "number"), "time", "date(2026, 12, 24)", says="one day, UTC"
    ),
    "currentMonth": Signature((), "number", "currentMonth() = 12", says="1 to 12, UTC"),
    "currentYear": Signature((), "number", "currentYear()", says="the year, UTC"),
    "currentDayOfMonth": Signature((), "number", "currentDayOfMonth()", says="1 to 31, UTC"),
    "mapEntry": Signature(
        ("any", "any"), "object", "mapEntry(K, G.count())", says="an entry of a map, inside map"
    ),
}


# ---- what a rule reads ------------------------------------------------------

Test = Literal["any", "present", "equal", "folded", "prefix", "folded-prefix"]


class EventGuard(Struct, frozen=True, array_like=True, gc=False):
    """A necessary condition for an event to matter to a rule: one of several alternatives.

    path: a path in the event, () for "any". values: what "equal" and "folded" accept (folded
    ones are folded already), or the prefixes.
    """

    test: Test
    path: tuple[str, ...] = ()
    values: tuple[str | int | float | bool, ...] = ()


# Most rules ask for no audience, and each empty set that Python makes is one more.
NO_AUDIENCES: frozenset[str] = frozenset()


class Reads(Struct, frozen=True, array_like=True, gc=False):
    """What one rule depends on.

    profile_paths: dotted; a path into something computed ends where the computing starts.
    audience_ids: in inSegment. events: any one of these guards lets an event matter; empty:
    the rule reads no events. now: time alone can change the answer. event_paths: what it reads of
    an event, beside its time, or of something else (it may be more, never less), ascending; the
    path (): all.
    """

    profile_paths: frozenset[str]
    audience_ids: frozenset[str]
    events: tuple[EventGuard, ...]
    now: bool
    event_paths: tuple[tuple[str, ...], ...] = ()
