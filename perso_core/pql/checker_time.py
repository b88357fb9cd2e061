"""The part of the checker that is about time: `occurs`, its windows, and chains."""

from __future__ import annotations

from typing import Any

from perso_core.pql.checker_names import NameChecks
from perso_core.pql.fields import FieldType
from perso_core.pql.instants import day
from perso_core.pql.kinds import any_of, is_measured, is_now, labels_in, said, type_of
from perso_core.pql.nodes import (
    Between,
    Call,
    Chain,
    Constant,
    Distance,
    Element,
    Negative,
    Node,
    Occurs,
    On,
    Path,
    Side,
    Step,
    Variable,
    Window,
)
from perso_core.pql.source import Span
from perso_core.pql.types import Type
from perso_core.pql.values import NUMBERS

# More labels than this alive at once would make the search through events grow too fast.
MAX_LABELS = 2
MAX_STEPS = 50
# Of times beyond them no day can be shown.
YEARS = range(1, 10_000)
# Kinds of what may name a time.
TIMES: frozenset[Type] = frozenset(("time", "text", "any"))
# Year, month, day: with a leap year and a long month whatever can be is.
LENIENT = (2000, 1, 1)


def _literal(node: Node) -> Any:
    """The number that is written there, with its sign; None: it is worked out."""
    if isinstance(node, Constant):
        return node.value if type(node.value) in NUMBERS else None
    inner = _literal(node.operand) if isinstance(node, Negative) else None
    return None if inner is None else -inner


class TimeChecks(NameChecks):
    """What the walk does at the nodes of time."""

    def time_word(self, node: Node) -> Node:
        return node

    def occurs(self, node: Occurs) -> Node:
        left = self.check(node.left)
        self.can_occur(left)
        return Occurs(left, self.window(node.window, left), node.span)

    def can_occur(self, node: Node) -> None:
        """A fault where nothing of it can be a time; of a list any element may occur."""
        if type_of(node) == "list" and any_of(node) & TIMES:
            if self.typed:
                self.types.time(node)
        else:
            self.is_time(node)

    def is_time(self, node: Node) -> None:
        if type_of(node) not in TIMES and not is_measured(node):
            self.fault(
                node.place,
                f"A time is needed here; this is {said(node)}.",
                "Use a field that holds a time, date(year, month, day), now or today.",
            )
        elif self.typed:
            self.types.time(node)

    def window(self, window: Window, left: Node | None = None) -> Window:
        if isinstance(window, Between):
            first, last = self.anchor(window.first, left), self.anchor(window.last, left)
            return Between(first, last, window.span)
        if isinstance(window, Side):
            return Side(window.direction, self.anchor(window.time, left), window.span)
        if isinstance(window, Distance):
            return Distance(
                window.op,
                window.amount,
                window.unit,
                window.direction,
                self.anchor(window.time, left),
                window.span,
                window.amount_at,
            )
        assert isinstance(window, On), "there are four kinds of window"
        return On(self.anchor(window.time, left), window.span)

    def anchor(self, node: Node, left: Node | None) -> Node:
        if isinstance(node, Path) and node.base == Element(0) and node.segments[1:] == ():
            label = node.segments[0]
            if label in self.labels:
                return Variable(label, node.span)
            if label in self.coming:
                self.fault(
                    node.span,
                    f"{label} is no earlier step of this chain.",
                    "Measure from a step that stands before this one.",
                )
        checked = self.check(node)
        self.is_time(checked)
        if left is not None and is_now(left) and is_now(checked):
            self.now_with_now(node.place)
        return checked

    def real_day(self, node: Call) -> None:
        """A date that is written out and that no calendar has. Parts that are worked out when the
        rule is asked are taken for such as make the others possible."""
        parts = [_literal(arg) for arg in node.args]
        tried = [
            usual if part is None else part for part, usual in zip(parts, LENIENT, strict=True)
        ]
        if tried[0] not in YEARS or day(*tried) is None:
            told = ", ".join("…" if part is None else str(part) for part in parts)
            self.fault(
                node.span,
                f"There is no such day: date({told}).",
                "Write date(year 1 to 9999, month 1 to 12, day of that month).",
            )

    # ---- chains

    def chain(self, node: Chain) -> Node:
        events = self.check(node.events)
        order = node.order
        event = self.element_of(events)
        if not isinstance(order, Path) or order.base != Element(0):
            self.fault(order.place, "A chain is ordered by a field.", "Write timestamp.")
        elif self.typed:
            self.enter(event)
            self.types.field(order)
            self.types.time(order)
            self.leave()
        if len(node.steps) > MAX_STEPS:
            self.too_large(node.span, f"A chain has up to {MAX_STEPS} steps.", "Split it.")
        seen: list[str] = []
        steps = []
        labels = [step.label for step in node.steps]
        for place, step in enumerate(node.steps):
            coming, self.coming = self.coming, frozenset(labels[place:])
            steps.append(self.step(step, tuple(seen), event, alone=len(node.steps) == 1))
            self.coming = coming
            seen.append(step.label)
        self.few_labels(tuple(steps))
        return Chain(events, order, tuple(steps), node.span)

    def step(self, step: Step, earlier: tuple[str, ...], event: FieldType, *, alone: bool) -> Step:
        self.enter(event)
        conditions = tuple([self.condition(c) for c in step.conditions])
        self.leave()
        before, self.labels = self.labels, frozenset(earlier)
        windows = tuple([self.window(w) for w in step.windows])
        self.labels = before
        if step.label in earlier:
            self.fault(step.span, f"Two steps are called {step.label}.", "Give each its own label.")
        if not alone and any(op not in (">=", ">") for op, _ in step.counts):
            # "At most" and "exactly" ask which events were chosen for the steps around them.
            self.fault(
                step.span,
                "In a chain of several steps a count is a least number.",
                "Write COUNT(n), or ask for the exact number in a chain of one step.",
            )
        places = step.span, step.counts_at
        return Step(step.label, conditions, windows, step.counts, *places)

    def few_labels(self, steps: tuple[Step, ...]) -> None:
        names = [step.label for step in steps]
        used = [(p, names.index(v.name)) for p, s in enumerate(steps) for v in labels_in(s, names)]
        for position, step in enumerate(steps):
            alive = {label for at, label in used if label < position <= at}
            if len(alive) > MAX_LABELS:
                self.too_large(
                    step.span,
                    f"The windows after this step are measured from more than {MAX_LABELS} steps.",
                    "Measure from the step just before.",
                )
                return

    def now_with_now(self, span: Span) -> None:
        self.fault(
            span,
            "now compared with now is always the same.",
            "Compare it with a field, a day or another period.",
        )
