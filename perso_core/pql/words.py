"""Paths, values, times and windows in the words of a marketer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from perso_core.pql.instants import DAY_MS, FIXED_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Moment, iso
from perso_core.pql.kinds import type_of
from perso_core.pql.nodes import (
    And,
    Between,
    Call,
    Chain,
    Compare,
    Constant,
    Distance,
    Element,
    Events,
    Filter,
    Member,
    Method,
    Node,
    Not,
    Occurs,
    On,
    Or,
    Path,
    Pattern,
    Side,
    Step,
    Variable,
    Window,
)
from perso_core.pql.printer import print_rule

NO_LABELS: Mapping[str, str] = MappingProxyType({})

SHOWN_CHARACTERS = 60
SHOWN_ITEMS = 5

# Texts that would read as something else, or of which nobody would see where they end.
A_NUMBER = r"[-+]?[\d.,]+%?"
A_WORD = "yes|no|there|empty|not known"
OPEN_ENDED = r'\s*|[\s"].*|.*\s|.*([,;:]| and | or ).*'
UNCLEAR = re.compile(f"{A_NUMBER}|{A_WORD}|{OPEN_ENDED}", re.IGNORECASE | re.DOTALL)

HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_\s]+")

OPS = {
    "=": "",
    "!=": "anything but ",
    "<": "under ",
    "<=": "at most ",
    ">": "over ",
    ">=": "at least ",
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
    last = spaced(shown[-1])
    if " " in last or len(shown) == 1:
        return last
    return f"{spaced(shown[-2])} {last}"


def measure_words(node: Node) -> str:
    """What is measured, e.g. "loyalty points" or "number of accounts"."""
    segments = _segments(node)
    if segments:
        return path_words(segments)
    if isinstance(node, Method):
        kind = COUNTED.get(node.name) or PARTS.get(node.name)
        if kind is not None:
            inner = f"{measure_words(node.args[0])} of " if node.args else ""
            return f"{kind} {inner}{measure_words(node.base)}"
    if isinstance(node, Call) and node.name in CURRENT:
        return CURRENT[node.name]
    if isinstance(node, Filter):
        return f"{measure_words(node.base)} with {condition_words(node.condition)}"
    return print_rule(node)


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


def value_words(value: Any) -> str:
    """A value as people write it; "not known" for a missing one."""
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.01 else f"{value:g}"
    if isinstance(value, str):
        return text_words(value)
    if isinstance(value, Moment):
        return iso(value.start)
    if isinstance(value, list):
        return listed([value_words(item) for item in value], "and") if value else "empty"
    return "there"


def text_words(text: str) -> str:
    """The text; in quotes where it would be taken for a number, a list or nothing."""
    short = " ".join(text.split())
    short = short if len(short) <= SHOWN_CHARACTERS else f"{short[: SHOWN_CHARACTERS - 1]}…"
    return f'"{short}"' if UNCLEAR.fullmatch(text) else short


def listed(words: Sequence[str], last: str) -> str:
    """`a, b or c`; of many only the first few."""
    if len(words) > SHOWN_ITEMS:
        return f"{', '.join(words[:SHOWN_ITEMS])} {last} {len(words) - SHOWN_ITEMS} more"
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def time_words(value: Any) -> str:
    """As value_words, with whole numbers read as epoch milliseconds."""
    return iso(value) if type(value) is int else value_words(value)


def operand_words(node: Node) -> str:
    """The side of a comparison that says what is wanted."""
    if isinstance(node, Constant):
        return value_words(node.value) if node.value != "" else "an empty text"
    if isinstance(node, Path):
        # A text that lost its quotes is a field: whoever forgot them sees it here.
        return f"what the field {'.'.join(_segments(node))} holds"
    items = getattr(node, "items", None)
    if items is not None:
        return listed([operand_words(item) for item in items], "or") or "nothing"
    return measure_words(node)


def wanted(node: Node) -> tuple[str, bool]:
    """What a comparison asks for, and whether it is a number that is "needed"."""
    if isinstance(node, Compare):
        words = operand_words(node.right)
        number = isinstance(node.right, Constant) and type(node.right.value) in (int, float)
        ops = {**OPS, **TIME_OPS} if type_of(node.right) == "time" else OPS
        return f"{ops[node.op]}{words}", number
    if isinstance(node, Member):
        return ("anything but " if node.negated else "") + operand_words(node.right), False
    if isinstance(node, Pattern):
        return f"something like {operand_words(node.right)}", False
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
        word = " and " if isinstance(node, And) else " or "
        return word.join(_bracketed(operand) for operand in node.operands)
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
    if isinstance(node, Method) and node.name == "exists" and node.args:
        return f"{measure_words(node.base)} with {condition_words(node.args[0])}"
    return print_rule(node)


def _bracketed(node: Node) -> str:
    words = condition_words(node)
    return f"({words})" if isinstance(node, And | Or) else words


def compared(node: Node) -> Node | None:
    """What a comparison measures; None for other nodes."""
    if isinstance(node, Compare | Member | Pattern):
        return node.left
    if isinstance(node, Method) and node.name in TESTS:
        return node.base
    if isinstance(node, Call) and node.name == "stringCompare":
        return node.args[1]
    return None


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
