"""Paths, values, times and windows in the words of a marketer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from perso_core.pql.instants import DAY_MS, FIXED_MS, HOUR_MS, MINUTE_MS, SECOND_MS, iso
from perso_core.pql.kinds import makes_groups, type_of
from perso_core.pql.nodes import (
    And,
    Between,
    Binder,
    Call,
    Chain,
    Compare,
    Comparison,
    Constant,
    Distance,
    Element,
    Events,
    Filter,
    Lambda,
    ListOf,
    Member,
    Method,
    Negative,
    Node,
    Not,
    Occurs,
    On,
    Or,
    Over,
    Param,
    Path,
    Pattern,
    Product,
    Range,
    Root,
    Side,
    Step,
    Sum,
    Variable,
    Window,
)
from perso_core.pql.printer import print_rule
from perso_core.pql.values_told import SHOWN_ITEMS, listed, value_words

NO_LABELS: Mapping[str, str] = MappingProxyType({})

SHOWN_CODE = 120
MOST_JOINED = 20  # conditions in one sentence

HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_\s]+")

OPS = {
    "=": "",
    "!=": "anything but ",
    "<": "under ",
    "<=": "at most ",
    ">": "over ",
    ">=": "at least ",
}
# The same with the sides the other way round.
TURNED: Mapping[Comparison, Comparison] = {
    "=": "=",
    "!=": "!=",
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
}
# Where a number stands alone, and is needed.
COUNT_OPS = {"=": "exactly ", "<": "less than ", ">": "more than "}
TIME_OPS = {"<": "before ", "<=": "no later than ", ">": "after ", ">=": "no earlier than "}
TESTS = {
    "equals": "",
    "notEqualTo": "anything but ",
    "contains": "something with ",
    "doesNotContain": "something without ",
    "startsWith": "something that starts with ",
    "doesNotStartWith": "something that does not start with ",
    "endsWith": "something that ends with ",
    "doesNotEndWith": "something that does not end with ",
    "matches": "something that fits the pattern ",
    "includes": "",
    "intersects": "",
}
COUNTED = {"count": "number of", "sum": "sum of", "average": "average of"}
COUNTED |= {"min": "least of", "max": "greatest of"}
PLAIN = {"head": "the first of", "distinct": "distinct", "keys": "keys of", "values": "values of"}
RANKED = {"topN": "largest", "bottomN": "smallest"}
# What fields are of, where it needs no words.
NAMELESS = (Element, Root, Param, Variable)
CURRENT = {"currentMonth": "the current month", "currentYear": "the current year"}
CURRENT |= {"currentDayOfMonth": "the current day of the month"}
PARTS = {"getMonth": "month of", "getYear": "year of", "getDayOfMonth": "day of the month of"}


def spaced(name: str) -> str:
    """`countryCode` as "country code"; an abbreviation stays in capitals."""
    words = [word for word in HUMP.split(name) if word]
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)


def path_words(segments: Sequence[str]) -> str:
    """A path's end: enough of it to be told from others. Tenants' own prefixes are left out."""
    shown = [s for s in segments[:-1] if not s.startswith("_")] + list(segments[-1:])
    if len(shown[-1]) > SHOWN_CODE:
        return f"{shown[-1][: SHOWN_CODE - 1]}…"
    last = spaced(shown[-1])
    if " " in last or len(shown) == 1:
        return last
    return f"{spaced(shown[-2])} {last}"


def measure_words(node: Node) -> str:
    """What is measured, e.g. "loyalty points" or "number of accounts"."""
    segments = _segments(node)
    if segments and _is_field(node):
        return path_words(segments)
    if isinstance(node, Method):
        kind = COUNTED.get(node.name) or PARTS.get(node.name)
        if kind is not None:
            inner = f"{measure_words(node.args[0])} of " if node.args else ""
            return f"{kind} {inner}{measure_words(node.base)}"
    if isinstance(node, Call) and node.name in CURRENT:
        return CURRENT[node.name]
    if type_of(node) == "time" or isinstance(node, Variable):
        return print_rule(node)
    made = MADE.get(type(node))
    return (made(node) if made else "") or code_words(node)


def code_words(node: Node) -> str:
    """A part of the rule as it is written, so much of it that it can be told from others."""
    text = print_rule(node)
    return f"“{text if len(text) <= SHOWN_CODE else text[: SHOWN_CODE - 1] + '…'}”"


def _of_path(node: Path) -> str:
    """Of what is no field itself: "price of the first of orders"."""
    words = path_words(node.segments)
    return words if isinstance(node.base, NAMELESS) else f"{words} of {measure_words(node.base)}"


def _of_method(node: Method) -> str:
    """What a method makes of its base; "": it is not one that has words."""
    args = [arg.body if isinstance(arg, Lambda) else arg for arg in node.args]
    if node.name in RANKED:
        return _ranked(node, args)
    if node.name == "head" and isinstance(node.base, Method) and _is_one(node.base):
        return measure_words(node.base)
    base = measure_words(node.base)
    if node.name in PLAIN:
        return f"{PLAIN[node.name]} {base}"
    if node.name == "filter":
        return f"{base} with {condition_words(args[0])}"
    if node.name == "groupBy":
        return f"{base} by {measure_words(args[0])}"
    if node.name == "get":
        key = operand_words(args[0])
        if isinstance(node.base, Method) and makes_groups(node.base):
            grouped = node.base
            return f"{measure_words(grouped.base)} with {measure_words(grouped.args[0])} {key}"
        return f"{key} of {base}"
    if node.name == "intersection":
        return f"what {base} and {operand_words(args[0])} have in common"
    if node.name == "map" and isinstance(args[0], Path):
        return f"{measure_words(args[0])} of {base}"
    return ""


def _is_one(node: Method) -> bool:
    return node.name in RANKED and node.args[1] == Constant(1)


def _ranked(node: Method, args: Sequence[Node]) -> str:
    number = "one" if _is_one(node) else operand_words(args[1])
    return f"the {number} of {measure_words(node.base)} with the {RANKED[node.name]} " + (
        measure_words(args[0])
    )


def _of_select(node: Binder) -> str:
    return _of_range(node.ranges[0]) if node.kind == "select" and not node.ranges[1:] else ""


def _of_over(node: Over) -> str:
    if node.ranges[1:]:
        return ""
    return f"{COUNTED[node.function]} {measure_words(node.measure)} of {_of_range(node.ranges[0])}"


def _of_range(one: Range) -> str:
    condition = f" with {condition_words(one.condition)}" if one.condition is not None else ""
    return f"{measure_words(one.array)}{condition}"


def _worked_out(node: Sum | Product) -> str:
    """`(points - 50) / 100`, with the fields in words."""
    parts = node.terms if isinstance(node, Sum) else node.factors
    words = [
        f"({operand_words(part)})" if isinstance(part, Sum | Product) else _factor_words(part)
        for _, part in parts
    ]
    rest = zip(parts[1:], words[1:], strict=True)
    return words[0] + "".join(f" {sign} {word}" for (sign, _), word in rest)


def _factor_words(node: Node) -> str:
    return value_words(node.value) if isinstance(node, Constant) else measure_words(node)


# How what a rule makes is told, by the kind of node; "": it has no words.
MADE: Mapping[type[Node], Callable[[Any], str]] = {
    Constant: lambda node: operand_words(node),
    Path: _of_path,
    Method: _of_method,
    Filter: lambda node: f"{measure_words(node.base)} with {condition_words(node.condition)}",
    Binder: _of_select,
    Over: _of_over,
    Negative: lambda node: f"-{_factor_words(node.operand)}",
    Sum: _worked_out,
    Product: _worked_out,
}


def _segments(node: Node) -> list[str]:
    """The path of a field, through get("key") too; [] for anything computed."""
    if isinstance(node, Path):
        return [*_segments(node.base), *node.segments]
    if isinstance(node, Events):
        return ["events"]
    if isinstance(node, Method) and node.name == "get" and isinstance(node.args[0], Constant):
        base = _segments(node.base)
        return [*base, str(node.args[0].value)] if base else []
    return []


def _is_field(node: Node) -> bool:
    """Whether nothing is worked out on the way to it."""
    while isinstance(node, Path | Method):
        if isinstance(node, Method) and node.name != "get":
            return False
        node = node.base
    return isinstance(node, (*NAMELESS, Events))


def operand_words(node: Node) -> str:
    """The side of a comparison that says what is wanted."""
    if isinstance(node, Constant):
        return value_words(node.value) if node.value != "" else "an empty text"
    if isinstance(node, Path):
        # A text that lost its quotes is a field: whoever forgot them sees it here.
        return f"what the field {'.'.join(_segments(node))} holds"
    if type_of(node) == "time":
        return anchor_words(node)
    items = getattr(node, "items", None)
    if items is not None:
        return listed([operand_words(item) for item in items], "or") or "nothing"
    return measure_words(node)


def wanted(node: Node) -> tuple[str, bool]:
    """What a comparison asks for, and whether it is a number that is "needed"."""
    if isinstance(node, Compare):
        op, right = node.op, node.right
        if turned(node):
            op, right = TURNED[node.op], node.left
        words = operand_words(right)
        if isinstance(right, ListOf):
            words = f"[{', '.join(map(operand_words, right.items))}]"
        number = isinstance(right, Constant) and type(right.value) in (int, float)
        ops = {**OPS, **TIME_OPS} if type_of(right) == "time" else OPS
        return f"{ops[op]}{words}", number
    if isinstance(node, Member):
        wants = node.left if turned(node) else node.right
        return ("anything but " if node.negated else "") + operand_words(wants), False
    if isinstance(node, Pattern):
        like = "something like " if node.op == "like" else TESTS["matches"]
        return f"{like}{operand_words(node.right)}", False
    if isinstance(node, Method):
        texts = [arg for arg in node.args if _is_text(arg)]
        return TESTS[node.name] + listed([operand_words(text) for text in texts], "or"), False
    assert isinstance(node, Call), "nothing but stringCompare is left"
    name = node.args[0]
    assert isinstance(name, Constant), "the checker wants the test's name written out"
    return TESTS[str(name.value)] + operand_words(node.args[2]), False


def _is_text(node: Node) -> bool:
    return not isinstance(node, Constant) or not isinstance(node.value, bool)


def condition_words(node: Node) -> str:
    """A condition after "with": "site section politics and page views at least 1"."""
    if isinstance(node, And | Or):
        return _joined_words(node.operands, "and" if isinstance(node, And) else "or")
    if isinstance(node, Not):
        return f"not {_bracketed(node.operand)}"
    if is_event_type(node):
        kinds = [kind_words(kind) for kind in _event_type((node,))]
        return f"event type {listed(kinds, 'or')}"
    measured = compared(node)
    if measured is not None:
        want = wanted(node)[0].removeprefix("something ")
        return f"{measure_words(measured)} {want}"
    if isinstance(node, Occurs):
        return f"{measure_words(node.left)} {window_words(node.window)}"
    if isinstance(node, Method) and node.name in ("isNull", "isNotNull"):
        return f"{'no' if node.name == 'isNull' else 'a'} {measure_words(node.base)}"
    if isinstance(node, Method) and node.name == "exists":
        inside = f" with {condition_words(node.args[0])}" if node.args else ""
        return measure_words(node.base) + inside
    if isinstance(node, Binder) and node.kind == "exists" and not node.ranges[1:]:
        return _of_range(node.ranges[0])
    return measure_words(node) if isinstance(node, Path | Filter) else code_words(node)


def _joined_words(operands: Sequence[Node], sign: str) -> str:
    """Of very many only the first few: a sentence is read by people."""
    many = len(operands) > MOST_JOINED
    words = [_bracketed(operand) for operand in operands[: SHOWN_ITEMS if many else None]]
    if many:
        words.append(f"{len(operands) - SHOWN_ITEMS:,} more")
    return f" {sign} ".join(words)


def _bracketed(node: Node) -> str:
    words = condition_words(node)
    return f"({words})" if isinstance(node, And | Or) else words


def compared(node: Node) -> Node | None:
    """What a comparison measures; None for other nodes."""
    if isinstance(node, Compare | Member | Pattern):
        return node.right if turned(node) else node.left
    if isinstance(node, Method) and node.name in TESTS:
        return node.base
    if isinstance(node, Call) and node.name == "stringCompare":
        return node.args[1]
    return None


def turned(node: Node) -> bool:
    """Whether what is measured stands on the right: `5 < points`, `"sport" in interests`."""
    if not isinstance(node, Compare | Member):
        return False
    known = isinstance(node.left, Constant) or type_of(node.left) == "time"
    return known and type_of(node.right) != "time" and not isinstance(node.right, Constant | ListOf)


# ---- time -------------------------------------------------------------------


def amount_words(amount: int, unit: str) -> str:
    plural = {"century": "centuries", "millennium": "millennia"}.get(unit, f"{unit}s")
    return f"{amount} {unit if amount == 1 else plural}"


def window_words(window: Window, labels: Mapping[str, str] = NO_LABELS) -> str:
    """A window as it follows a time: "in the last 30 days", "before 2026-03-01".

    labels: what an earlier step of a chain is called, by its label."""
    if isinstance(window, Distance):
        anchor = anchor_words(window.time, labels)
        # Hours from today are a time of day.
        clock = anchor == "today" and FIXED_MS.get(window.unit, DAY_MS) < DAY_MS
        if window.op in ("<", "<=") and anchor in ("now", "today") and not clock:
            return _near(window, anchor)
        words = {**OPS, **COUNT_OPS}[window.op]
        anchor = "midnight UTC" if clock else anchor
        return f"{words}{amount_words(window.amount, window.unit)} {window.direction} {anchor}"
    if isinstance(window, Side):
        return f"{window.direction} {anchor_words(window.time, labels)}"
    if isinstance(window, Between):
        first, last = anchor_words(window.first, labels), anchor_words(window.last, labels)
        return f"between {first} and {last}"
    assert isinstance(window, On), "there are four kinds of window"
    return anchor_words(window.time, labels)


def _near(window: Distance, anchor: str) -> str:
    """Up to now, or from now on; of today: up to its midnight, or from it on."""
    span = window.unit if window.amount == 1 else amount_words(window.amount, window.unit)
    if anchor == "today":
        return f"in the {span} {'before' if window.direction == 'before' else 'from'} today"
    return f"in the {'last' if window.direction == 'before' else 'next'} {span}"


def anchor_words(node: Node, labels: Mapping[str, str] = NO_LABELS) -> str:
    if isinstance(node, Variable) and node.name in labels:
        return f"the {labels[node.name]}"
    if isinstance(node, Call) and node.name == "date":
        parts = [arg.value for arg in node.args if isinstance(arg, Constant)]
        if len(parts) == 3:
            return "-".join(str(part).zfill(2) for part in parts)
    return measure_words(node)


def span_words(ms: int) -> str:
    """A length of time, roughly: "4 min", "3 h", "2 days"."""
    if ms < MINUTE_MS:
        return f"{ms // SECOND_MS} s"
    if ms < HOUR_MS:
        return f"{ms // MINUTE_MS} min"
    if ms < 2 * DAY_MS:
        return f"{ms // HOUR_MS} h"
    return f"{ms // DAY_MS} days"


def until_words(until_ms: int, now_ms: int) -> str:
    """An instant: the clock alone when it is today."""
    words = iso(until_ms)
    return words[11:] if until_ms // DAY_MS == now_ms // DAY_MS else words


# ---- events -----------------------------------------------------------------

# What marketers call the commonest of XDM's event types, which are in small letters here.
EVENT_NOUNS = {
    "commerce.productviews": "product view",
    "commerce.productlistadds": "basket addition",
    "commerce.productlistremovals": "basket removal",
    "commerce.productlistviews": "basket view",
    "commerce.checkouts": "checkout",
    "commerce.purchases": "purchase",
    "web.webpagedetails.pageviews": "page view",
    "web.webinteraction.linkclicks": "link click",
    "web.formfilledout": "form submission",
    "decisioning.propositiondisplay": "offer display",
    "decisioning.propositioninteract": "offer click",
    "media.sessionstart": "media session start",
    "media.sessioncomplete": "media session end",
}


def event_words(step: Step, number: int = 1, noun: str = "") -> str:
    """What kind of event a step asks for: its type where the rule names one. noun: what is
    looked at; "": events."""
    named = _event_type(step.conditions)
    if not named:
        noun = noun or ("event" if number == 1 else "events")
        return f"{noun} with {' and '.join(map(condition_words, step.conditions))}"
    return listed([kind_words(kind, number) for kind in named], "or")


def kind_words(event_type: str, number: int = 1) -> str:
    """An event type as people say it: "basket addition", "bank transfer"."""
    noun = EVENT_NOUNS.get(event_type.lower())
    if noun is None:
        return spaced(event_type.replace(".", " "))
    return noun if number == 1 else f"{noun}s"


def is_event_type(condition: Node) -> bool:
    """Whether the condition says which type of event it is."""
    return bool(_event_type((condition,)))


def _event_type(conditions: Sequence[Node]) -> list[str]:
    """The types that one of the conditions asks for; [] where none does."""
    for condition in conditions:
        operands = getattr(condition, "operands", (condition,))
        for operand in operands:
            left = getattr(operand, "left", None) or getattr(operand, "base", None)
            if left != Path(Element(0), ("eventType",)):
                continue
            if isinstance(operand, Compare) and operand.op == "=":
                return _texts((operand.right,))
            if isinstance(operand, Method) and operand.name == "equals":
                return _texts(operand.args)
            if isinstance(operand, Member) and not operand.negated:
                return _texts(getattr(operand.right, "items", ()))
    return []


def _texts(nodes: Sequence[Node]) -> list[str]:
    found = [node.value for node in nodes if isinstance(node, Constant)]
    return [value for value in found if isinstance(value, str)]


def step_words(chain: Chain) -> list[str]:
    """What each step asks for; of a list of the profile's own, of its elements."""
    noun = "" if isinstance(chain.events, Events) else measure_words(chain.events)
    return [event_words(step, noun=noun) for step in chain.steps]


def chain_words(chain: Chain) -> str:
    return " followed by ".join(step_words(chain))
