"""Any text at all, as a rule: a fault or an answer, soon.

`make fuzz` runs it under atheris (`__main__.py`), which need not be installed to import this.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from perso_core.errors import RuleFaults
from perso_core.pql.compiler import FOREVER_MS, CompiledRule, compile_rule
from perso_core.pql.fields import KNOWN
from perso_core.pql.instants import instant_of
from perso_core.pql.printer import print_rule
from perso_core.pql.types import FUNCTIONS, METHODS
from tests.fuzz.timed import soon
from tests.pql.cases import VECTORS
from tests.pql.making_profiles import Person

# What compiling one input may take, and each answer. An instrumented run takes three times as long
# as another, and a rule that goes through all its steps about a second.
MOST_MS = 3_000
# Longer texts than this are for the tests of the limits: here they would only slow the search.
MOST_BYTES = 4_096

RULES = [str(case["pql"]) for case in VECTORS if len(case["pql"]) <= MOST_BYTES]
TEXTS = [rule.encode("utf-8", "replace") for rule in RULES]
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\w+|\s+|[<>!=]=|=>|.', re.DOTALL)
WORDS = TOKEN.findall(
    "and or not in notIn like matches occurs between on before after from this last next now today"
    " yesterday tomorrow select exists forall where over let if true false CHAIN WHAT WHEN WHERE"
    " COUNT days month year xEvent timestamp $1 ^^ => [](){}.,:+-*/%=!=<<=>>=! 0 1 2 1e9"
    ' 99999999999999999999 "a" "" "\\u00e9" \u201c \u0000'
)
TOKENS = sorted({*WORDS, *FUNCTIONS, *METHODS, *(t for text in RULES for t in TOKEN.findall(text))})

Situation = tuple[dict[str, Any], int]


def _situations() -> list[Situation]:
    largest = max(VECTORS, key=lambda case: len(str(case["profile"]).split()))
    made = [Person(random.Random(seed).randbytes(500)).situation() for seed in (6, 22)]
    now = instant_of(largest["now"])
    assert now is not None
    return [({}, now), (largest["profile"], now), *[(view, at) for view, at, _ in made]]


SITUATIONS = _situations()


def fuzz_one(data: bytes, situations: Sequence[Situation] = SITUATIONS) -> None:
    """Raises what a rule's author must never see: anything but faults, a wrong print, TooSlow."""
    text = data.decode("utf-8", "replace")
    with suppress(RuleFaults):  # as it is saved: what Perso itself writes has types
        soon(text, lambda: compile_rule(text, schema=KNOWN), most_ms=MOST_MS)
    try:
        rule = soon(text, lambda: compile_rule(text), most_ms=MOST_MS)
    except RuleFaults as faults:
        assert all(fault.line and fault.column for fault in faults.faults)  # noqa: PT017  # no test
        return
    for view, now_ms in situations:
        verdict = soon(text, partial(rule.evaluate, view, now_ms), most_ms=MOST_MS)
        assert verdict.holds in (True, False)
        assert now_ms < verdict.until_ms <= FOREVER_MS
        soon(text, partial(rule.value, view, now_ms), most_ms=MOST_MS)
    check_printing(rule)


def check_printing(rule: CompiledRule) -> None:
    """What is printed reads as what was written."""
    printed = print_rule(rule.node)
    again = compile_rule(printed)
    assert again.node == rule.node, printed
    assert print_rule(again.node) == printed


# ---- changes that keep most of a text a rule --------------------------------


def mutated(data: bytes, most: int, seed: int) -> bytes:
    """The text with tokens left out, doubled, exchanged, or taken from other texts."""
    chance = random.Random(seed)
    tokens = TOKEN.findall(data.decode("utf-8", "replace")) or [""]
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(tokens))
        CHANGES[chance.randrange(len(CHANGES))](tokens, at, chance)
        tokens = tokens or [""]
    return "".join(tokens).encode("utf-8", "replace")[:most]


def _exchange(tokens: list[str], at: int, chance: random.Random) -> None:
    tokens[at] = chance.choice(TOKENS)


def _insert(tokens: list[str], at: int, chance: random.Random) -> None:
    tokens.insert(at, f" {chance.choice(TOKENS)} ")


def _leave_out(tokens: list[str], at: int, chance: random.Random) -> None:
    del tokens[at : at + chance.randint(1, 3)]


def _double(tokens: list[str], at: int, chance: random.Random) -> None:
    tokens[at:at] = tokens[at : at + chance.randint(1, 12)] * chance.randint(1, 6)


def _splice(tokens: list[str], at: int, chance: random.Random) -> None:
    other = TOKEN.findall(chance.choice(RULES))
    first = chance.randrange(len(other) or 1)
    tokens[at : at + 1] = other[first : first + chance.randint(1, 20)]


def _wrap(tokens: list[str], at: int, chance: random.Random) -> None:
    before, after = chance.choice(WRAPPERS)
    tokens.insert(at, before)
    tokens.insert(chance.randint(at + 1, len(tokens)), after)


def _join(tokens: list[str], at: int, chance: random.Random) -> None:
    tokens.append(f" {chance.choice(('and', 'or', '=', '+', 'in', 'occurs'))} ")
    tokens.extend(TOKEN.findall(chance.choice(RULES)))


WRAPPERS = [
    ("(", ")"),
    ("[", "]"),
    ("not(", ")"),
    ("let L = 1 in (", ")"),
    ("xEvent[", "].count() > 0"),
    ("(select X from xEvent where ", ")"),
    ("CHAIN(xEvent, timestamp, [C0: WHAT(", ") WHEN(<= 1 month before now) COUNT(2)])"),
]
CHANGES: list[Callable[[list[str], int, random.Random], None]] = [
    _exchange,
    _exchange,
    _insert,
    _leave_out,
    _double,
    _splice,
    _wrap,
    _join,
]
