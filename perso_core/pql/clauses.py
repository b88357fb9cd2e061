"""The parser's part for time windows and chains. See parser.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from perso_core.pql.cursor import COMPARISONS, Cursor
from perso_core.pql.lexer import UNITS
from perso_core.pql.nodes import (
    Between,
    Chain,
    Comparison,
    Direction,
    Distance,
    Node,
    On,
    Period,
    Side,
    Step,
    Window,
)
from perso_core.pql.source import Span

DIRECTIONS = frozenset(("before", "after", "from"))
PERIODS = frozenset(("this", "last", "next"))


class Clauses(Cursor):
    """What stands after `occurs` and inside `chain(...)`."""

    # ---- time windows

    def window(self) -> Window:
        """window = COMPARISON WHOLE unit direction time | direction time
               | "between" time "and" time | [ "on" ] time ;
        direction = "before" | "after" | "from" ;"""
        token = self.token
        start = token.span[0]
        if token.word in COMPARISONS:
            return self.distance()
        ahead = self.ahead()
        soft = ahead.kind == "mark" and ahead.text not in "(^"
        if token.word in DIRECTIONS and not soft:
            self.advance()
            return Side(cast(Direction, token.word), self.time(), self.since(start))
        if token.word == "between" and not soft:
            self.advance()
            first = self.time()
            if not self.take("and"):
                self.fail('"and" and the second time')
            return Between(first, self.time(), self.since(start))
        if token.word == "on" and not soft:
            self.advance()
        return On(self.time(), self.since(start))

    def distance(self) -> Window:
        op = self.advance()
        amount_at = self.token.span
        amount = self.whole()
        unit = self.unit()
        direction = self.token.word
        if direction not in DIRECTIONS:
            self.fail("before, after or from, and a time")
        self.advance()
        time, span = self.time(), self.since(op.span[0])
        comparison, towards = cast(Comparison, op.text), cast(Direction, direction)
        return Distance(comparison, amount, unit, towards, time, span, amount_at)

    def whole(self) -> int:
        value = self.token.value
        if self.token.kind != "number" or not isinstance(value, int):
            self.fail("a whole number")
        self.advance()
        return value

    def unit(self) -> str:
        """unit = "millisecond" | "second" | "minute" | "hour" | "day" | "week" | "month" | "year"
        | "decade" | "century" | "millennium" ;   (* singular or plural *)"""
        unit = UNITS.get(self.token.text.lower())
        if self.token.kind != "name" or unit is None:
            self.fail("a unit of time, such as hours or days")
        self.advance()
        return unit

    def time(self) -> Node:
        """time = ( "this" | "last" | "next" ) unit | postfix ;"""
        token = self.token
        if token.word in PERIODS and self.ahead().text.lower() in UNITS:
            self.advance()
            return Period(token.word, self.unit(), self.since(token.span[0]))
        return self.postfix()

    # ---- chains

    def chain(self, start: int) -> Node:
        """chain = "chain" "(" postfix "," postfix "," "[" step { "," step } "]" ")" ;"""
        self.advance()
        events = self.postfix()
        self.expect(",", "after the list of events")
        order = self.postfix()
        self.expect(",", "after the field that gives the order")
        self.expect("[", "and the steps")
        steps = self.separated(self.step)
        self.expect("]", "or a comma and another step")
        self.expect(")", "to close the chain")
        return Chain(events, order, steps, self.since(start))

    def step(self) -> Step:
        """step = NAME ":" "WHAT" "(" expression ")" { "WHERE" "(" expression ")"
        | "WHEN" "(" window ")" | "COUNT" "(" [ COMPARISON ] WHOLE ")" } ;"""
        start = self.token.span[0]
        if self.token.kind != "name":
            self.fail("a label for the step, such as C0")
        label = self.advance().text
        self.expect(":", "after the label")
        if self.token.word != "what":
            self.fail("WHAT(...)")
        conditions: list[Node] = []
        windows: list[Window] = []
        counts: list[tuple[Comparison, int]] = []
        counts_at: list[Span] = []
        clauses: dict[str, Callable[[], Any]] = {
            "what": lambda: conditions.append(self.expression()),
            "where": lambda: conditions.append(self.expression()),
            "when": lambda: windows.append(self.window()),
            "count": lambda: counts.append(self.count()),
        }
        while self.token.word in clauses and not (conditions and self.token.word == "what"):
            clause = self.advance()
            self.expect("(", f"after {clause.text}")
            clauses[clause.word]()
            if clause.word == "count":
                counts_at.append(self.tokens[self.at - 1].span)
            self.expect(")", f"to close {clause.text}")
        return Step(
            label,
            tuple(conditions),
            tuple(windows),
            tuple(counts),
            self.since(start),
            tuple(counts_at),
        )

    def count(self) -> tuple[Comparison, int]:
        op: Comparison = ">="
        if self.token.word in COMPARISONS:
            op = cast(Comparison, self.advance().text)
        return op, self.whole()
