"""The part of the checker that is about time: `occurs`, its windows, and chains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from perso_core.errors import RuleNeverHolds
from perso_core.pql.chains import counts
from perso_core.pql.checker_names import NameChecks
from perso_core.pql.fields import FieldType
from perso_core.pql.fixed_times import before_its_step, never_between, never_distant
from perso_core.pql.instants import day
from perso_core.pql.kinds import (
    any_of,
    is_measured,
    is_now,
    labels_in,
    literal,
    said,
    type_of,
)
from perso_core.pql.moving_times import moves_alone, never_later
from perso_core.pql.nodes import (
    And,
    Between,
    Call,
    Chain,
    Distance,
    Element,
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
from perso_core.pql.together import never_together
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


def _number(node: Node) -> Any:
    """The number that is written there, with its sign; None: it is worked out."""
    found = literal(node)
    return found if type(found) in NUMBERS else None


def _some_number(wanted: Sequence[tuple[str, int]]) -> bool:
    """Whether some number of events meets all of the counts."""
    tried = {number + more for _, number in wanted for more in (-1, 0, 1)}
    return any(n >= 0 and all(counts(op, n, number) for op, number in wanted) for n in tried)


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
            return self.possible(Between(first, last, window.span))
        if isinstance(window, Side):
            return Side(window.direction, self.anchor(window.time, left), window.span)
        if isinstance(window, Distance):
            time = self.anchor(window.time, left)
            return self.possible(structs.replace(window, time=time))
        assert isinstance(window, On), "there are four kinds of window"
        return On(self.anchor(window.time, left), window.span)

    def possible(self, window: Window) -> Window:
        """The window; a fault where no time can lie in it."""
        if not self.typed:
            return window  # asked as a question, it has an answer: no
        if isinstance(window, Between) and never_between(window):
            self.types.add(
                RuleNeverHolds,
                window.last.place,
                "This time is over before the first one begins.",
                "Write the earlier time first.",
            )
        if isinstance(window, Distance) and never_distant(window):
            self.types.add(
                RuleNeverHolds,
                window.amount_at,
                f"No time is {window.op} {window.amount} {window.unit}s away.",
                "Write a longer time.",
            )
        return window

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
        parts = [_number(arg) for arg in node.args]
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
            steps.append(self.step(step, order, tuple(seen), event, alone=len(node.steps) == 1))
            self.coming = coming
            seen.append(step.label)
        self.few_labels(tuple(steps))
        if self.typed:
            self.one_after_another(steps)
        return Chain(events, order, tuple(steps), node.span)

    def step(
        self,
        step: Step,
        order: Node,
        earlier: tuple[str, ...],
        event: FieldType,
        *,
        alone: bool,
    ) -> Step:
        told = len(self.faults)
        self.enter(event)
        conditions = tuple([self.condition(c) for c in step.conditions])
        self.leave()
        before, self.labels = self.labels, frozenset(earlier)
        windows = tuple([self.window(w) for w in step.windows])
        self.labels = before
        for window in windows if self.typed else ():
            if before_its_step(window):
                self.types.add(
                    RuleNeverHolds,
                    window.place,
                    "A step comes later than the one that it is measured from; this lies before.",
                    "Write after in place of before, or change the order of the steps.",
                )
        if self.typed and len(self.faults) == told:
            self.enter(event)
            self.together((*conditions, *[Occurs(order, one, one.place) for one in windows]))
            self.leave()
        if step.label in earlier:
            self.fault(step.span, f"Two steps are called {step.label}.", "Give each its own label.")
        self.countable(step)
        if not alone and any(op not in (">=", ">") for op, _ in step.counts):
            # "At most" and "exactly" ask which events were chosen for the steps around them.
            self.fault(
                step.span,
                "In a chain of several steps a count is a least number.",
                "Write COUNT(n), or ask for the exact number in a chain of one step.",
            )
        places = step.span, step.counts_at
        return Step(step.label, conditions, windows, step.counts, *places)

    def one_after_another(self, steps: Sequence[Step]) -> None:
        """A fault at the first step whose windows are over before those of an earlier one begin."""
        moving = [[window for window in step.windows if moves_alone(window)] for step in steps]
        for later, windows in enumerate(moving):
            for before in range(later) if windows else ():
                if moving[before] and never_later(moving[before], windows):
                    self.types.add(
                        RuleNeverHolds,
                        windows[0].place,
                        f"This is over before {steps[before].label} can be, which comes first.",
                        "Change the order of the steps, or their windows.",
                    )
                    return

    def together(self, operands: Sequence[Node]) -> None:
        """A fault for each that no value can meet together with those before it."""
        joined = [one.operands if isinstance(one, And) else (one,) for one in operands]
        parts = [part for each in joined for part in each]
        for operand, about in never_together(parts, self.scope):
            self.types.never_together(operand, about)

    def countable(self, step: Step) -> None:
        """A fault at the first count that no number of events has, or not with those before."""
        for place, (op, number) in enumerate(step.counts):
            counts_so_far = step.counts[: place + 1]
            if _some_number(counts_so_far):
                continue
            alone = not _some_number(step.counts[place : place + 1])
            self.types.add(
                RuleNeverHolds,
                step.counts_at[place] if place < len(step.counts_at) else step.span,
                f"The number of events is never {op} {number}."
                if alone
                else "No number of events meets this and the counts before it together.",
                "It is 0 or more." if alone else "Take one of them out.",
            )
            return

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
