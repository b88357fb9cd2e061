"""Nodes to typed nodes: names resolved, every fault that can be known without a profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from perso_core.errors import RuleError, RuleNotSupportedYet, RuleTypeError
from perso_core.pql.instants import day
from perso_core.pql.kinds import WORDS, comparable, labels_in, moves, type_of
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
    Events,
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
    Product,
    Range,
    Root,
    Side,
    Step,
    Sum,
    TimeWord,
    Variable,
    Window,
)
from perso_core.pql.patterns import BadPattern, regular
from perso_core.pql.source import Source, Span
from perso_core.pql.types import FUNCTIONS, METHODS, STRING_TESTS, Signature, Type

EVENTS = "xEvent"

# More labels than this alive at once would make the search through events grow too fast.
MAX_LABELS = 2
MAX_STEPS = 50


def check(source: Source, root: Node) -> tuple[Node, list[RuleError]]:
    """The typed nodes and every fault found, in the order of their places.

    In the typed nodes each name is a Root, Events, Element or Variable. They compile only when
    no fault was found.
    """
    checker = _Checker(source)
    node = checker.top(root)
    return node, sorted(checker.faults, key=lambda fault: (fault.line, fault.column))


class _Checker:
    """One walk over the nodes. Every method gives the typed node and notes faults on the way."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.faults: list[RuleError] = []
        self.depth = 0  # elements of filters around this place
        self.variables: dict[str, bool] = {}  # name -> whether it is the profile
        self.labels: frozenset[str] = frozenset()  # steps of the chain whose window this is

    # ---- faults

    def fault(self, span: Span, detail: str, fix: str) -> None:
        self.faults.append(self.source.fault(RuleTypeError, span, detail, fix))

    def later(self, span: Span, detail: str, fix: str) -> None:
        self.faults.append(self.source.fault(RuleNotSupportedYet, span, detail, fix))

    # ---- scopes

    @contextmanager
    def element(self) -> Iterator[None]:
        self.depth += 1
        yield
        self.depth -= 1

    @contextmanager
    def variable(self, *names: str, profile: bool = False) -> Iterator[None]:
        before = dict(self.variables)
        self.variables.update(dict.fromkeys(names, profile))
        yield
        self.variables = before

    # ---- nodes

    def top(self, node: Node) -> Node:
        if not isinstance(node, Lambda):
            return self.check(node)
        if len(node.names) > 1:
            self.fault(node.span, "A rule has one parameter: the profile.", "Name only one.")
        with self.variable(node.names[0], profile=True):
            return Lambda(node.names, self.check(node.body), node.span)

    def check(self, node: Node) -> Node:
        return CHECKS[type(node)](self, node)

    def each(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        return tuple([self.check(node) for node in nodes])

    def constant(self, node: Constant) -> Node:
        return node

    def list_(self, node: ListOf) -> Node:
        return ListOf(self.each(node.items), node.span)

    def object(self, node: ObjectOf) -> Node:
        return ObjectOf(tuple([(k, self.check(v)) for k, v in node.entries]), node.span)

    def param(self, node: Param) -> Node:
        if node.index != 1:
            self.fault(node.span, f"${node.index} is no parameter of a rule.", "Use $1.")
        self.whole_profile(node)
        return node

    def whole_profile(self, node: Node) -> None:
        self.later(
            node.place,
            "The profile as a whole is no value yet.",
            "Name one of its fields after a dot.",
        )

    # ---- paths

    def path(self, node: Path) -> Node:
        base, segments = node.base, node.segments
        if isinstance(base, Param):
            if base.index != 1:
                self.fault(base.span, f"${base.index} is no parameter of a rule.", "Use $1.")
            return self.read(Root(base, base.span), node)
        if not isinstance(base, Element):
            return Path(self.check(base), segments, node.span)
        name = segments[0]
        if base.up == 0 and name in self.variables:
            return self.read_variable(node, name)
        if base.up == 0 and segments == ("null",):
            self.fault(
                node.span, "null is no value to compare with.", "Ask with isNull() or isNotNull()."
            )
        if base.up > self.depth:
            self.fault(
                node.span,
                f"{base.up} carets lead further out than the {self.depth} filters around this.",
                "Use one caret for each filter to leave.",
            )
            return node
        return self.read(Root(base, base.span) if base.up == self.depth else base, node)

    def read_variable(self, node: Path, name: str) -> Node:
        variable = Variable(name, node.span)
        rest = Path(variable, node.segments[1:], node.span)
        if not self.variables[name]:
            return rest if rest.segments else variable
        if not rest.segments:
            self.whole_profile(node)
            return variable
        return self.read(Root(variable, node.span), rest)

    def read(self, base: Node, node: Path) -> Node:
        if isinstance(base, Root) and node.segments[0] == EVENTS:
            events = Events(base, node.span)
            return Path(events, node.segments[1:], node.span) if node.segments[1:] else events
        return Path(base, node.segments, node.span)

    # ---- conditions

    def condition(self, node: Node) -> Node:
        """A place where truth is asked for."""
        checked = self.check(node)
        if isinstance(checked, Constant) and not isinstance(checked.value, bool):
            self.fault(
                checked.span, "This is a value, not a condition.", "Compare it: field = value."
            )
        return checked

    def and_(self, node: And) -> Node:
        return And(tuple([self.condition(n) for n in node.operands]), node.span)

    def or_(self, node: Or) -> Node:
        return Or(tuple([self.condition(n) for n in node.operands]), node.span)

    def not_(self, node: Not) -> Node:
        return Not(self.condition(node.operand), node.span)

    def compare(self, node: Compare) -> Node:
        checked = Compare(node.op, self.check(node.left), self.check(node.right), node.span)
        one, other = type_of(checked.left), type_of(checked.right)
        if moves(checked.left) and moves(checked.right):
            self.two_moving(node.span)
        elif node.op in ("=", "!="):
            if not comparable(checked.left, checked.right):
                self.fault(
                    node.span,
                    f"{WORDS[one]} is never equal to {WORDS[other]}.",
                    f"Compare {WORDS[one]} with {WORDS[one]}.",
                )
        elif "time" in (one, other):
            wrong = {one, other} - {"time", "any"}
            if wrong:
                self.fault(
                    node.span,
                    f"A time has no order with {WORDS[wrong.pop()]}.",
                    "Compare it with a field that holds a time, or use occurs.",
                )
        else:
            for side, kind in ((checked.left, one), (checked.right, other)):
                if kind not in ("number", "any"):
                    self.fault(
                        side.place,
                        f"Only numbers and times have an order; this is {WORDS[kind]}.",
                        "Use =, startsWith(...) or in [...] for texts.",
                    )
        return checked

    def two_moving(self, span: Span) -> None:
        self.later(
            span,
            "Two times that both move with now are not compared yet.",
            "Compare one of them with a field or with date(...).",
        )

    def member(self, node: Member) -> Node:
        checked = Member(node.negated, self.check(node.left), self.check(node.right), node.span)
        kind = type_of(checked.right)
        if kind not in ("list", "any"):
            word = "notIn" if node.negated else "in"
            self.fault(
                checked.right.place,
                f"{word} needs a list; this is {WORDS[kind]}.",
                'Write ["..."].',
            )
        return checked

    def pattern(self, node: Pattern) -> Node:
        checked = Pattern(node.op, self.check(node.left), self.check(node.right), node.span)
        self.expect(checked.left, "text")
        if node.op == "matches":
            self.regular(checked.right)
        else:
            self.written(checked.right, "pattern")
        return checked

    def written(self, node: Node, what: str) -> bool:
        """Whether it is a text written in the rule; a fault where it is not."""
        if isinstance(node, Constant) and isinstance(node.value, str):
            return True
        if type_of(node) not in ("text", "any"):
            self.fault(
                node.place, f"The {what} is a text; this is {WORDS[type_of(node)]}.", 'Write "...".'
            )
        else:
            self.later(
                node.place,
                f"The {what} has to stand in the rule itself for now.",
                f'Write the {what} as "...".',
            )
        return False

    def regular(self, node: Node) -> None:
        if not self.written(node, "pattern"):
            return
        assert isinstance(node, Constant), "written looked"
        try:
            regular(str(node.value))
        except BadPattern as error:
            self.fault(
                node.span,
                f"The regular expression cannot be used: {error}.",
                "Look-around and back-references are not known; write \\\\ for one backslash.",
            )

    # ---- arithmetic

    def sum(self, node: Sum) -> Node:
        return Sum(tuple([(sign, self.number(term)) for sign, term in node.terms]), node.span)

    def product(self, node: Product) -> Node:
        return Product(tuple([(op, self.number(f)) for op, f in node.factors]), node.span)

    def negative(self, node: Negative) -> Node:
        return Negative(self.number(node.operand), node.span)

    def number(self, node: Node) -> Node:
        checked = self.check(node)
        self.expect(checked, "number")
        return checked

    def expect(self, node: Node, kind: Type) -> None:
        """A fault when the node is known to be something else."""
        found = type_of(node)
        if found not in (kind, "any"):
            self.fault(
                node.place,
                f"{_begin(WORDS[kind])} is needed here; this is {WORDS[found]}.",
                f"Write {WORDS[kind]} or a field that holds one.",
            )

    # ---- functions

    def call(self, node: Call) -> Node:
        signature = FUNCTIONS.get(node.name)
        if signature is None:
            self.unknown(node.name, FUNCTIONS, node.span)
            return Call(node.name, self.each(node.args), node.span)
        if not self.counted(node.name, signature, len(node.args), node.span):
            return Call(node.name, self.each(node.args), node.span)
        if node.name == "if":
            test, *rest = node.args
            return Call("if", (self.condition(test), *self.each(tuple(rest))), node.span)
        args = self.taken(signature, node.args)
        checked = Call(node.name, args, node.span)
        if node.name == "date" and all(isinstance(a, Constant) for a in args):
            self.real_day(checked)
        if node.name == "stringCompare" and isinstance(args[0], Constant):
            name = str(args[0].value)
            if name not in STRING_TESTS:
                self.unknown(name, dict.fromkeys(STRING_TESTS), args[0].span)
        return checked

    def real_day(self, node: Call) -> None:
        parts = [arg.value for arg in node.args if isinstance(arg, Constant)]
        if day(*parts) is None:
            self.fault(
                node.span,
                "There is no such day: " + "-".join(map(str, parts)) + ".",
                "Write date(year, month 1 to 12, day of that month).",
            )

    def unknown(self, name: str, known: dict[str, Any], span: Span) -> None:
        near = get_close_matches(name, known, 1, 0.5)
        lowered = [one for one in known if one.lower() == name.lower()]
        self.fault(
            span,
            f"There is no function {name}.",
            f"Did you mean {(lowered or near)[0]}?" if lowered or near else "See docs/pql.md.",
        )

    def counted(self, name: str, signature: Signature, number: int, span: Span) -> bool:
        least, most = signature.least, len(signature.takes)
        if name == "equals" and number > 2:
            return True
        if least <= number <= most:
            return True
        wanted = str(least) if least == most else f"{least} to {most}"
        self.fault(span, f"{name} takes {wanted} arguments, not {number}.", signature.example)
        return False

    def method(self, node: Method) -> Node:
        base = self.check(node.base)
        signature = METHODS.get(node.name)
        if signature is None:
            self.unknown(node.name, METHODS, node.span)
            return Method(base, node.name, (), node.span)
        if not self.counted(node.name, signature, len(node.args), node.span):
            return Method(base, node.name, (), node.span)
        if node.name == "equals":
            return Method(base, node.name, self.texts(node), node.span)
        checked = Method(base, node.name, self.taken(signature, node.args, node.name), node.span)
        if node.name in STRING_TESTS or node.name in ("matches", "regexGroup"):
            self.expect(base, "text")
        return checked

    def texts(self, node: Method) -> tuple[Node, ...]:
        """The arguments of equals: texts, and at the end perhaps the case switch."""
        args = self.each(node.args)
        last = len(args) > 1 and type_of(args[-1]) == "flag"
        for arg in args[:-1] if last else args:
            self.expect(arg, "text")
        return args

    def taken(
        self, signature: Signature, args: tuple[Node, ...], name: str = ""
    ) -> tuple[Node, ...]:
        """The arguments, each checked as what its place needs."""
        pairs = zip(signature.takes, args, strict=False)
        return tuple([self.argument(kind, arg, name) for kind, arg in pairs])

    def argument(self, kind: str, node: Node, name: str) -> Node:
        if kind in ("condition", "measure", "key"):
            return self.per_element(node, kind, pairs=name == "map")
        checked = self.check(node)
        if kind == "pattern":
            self.regular(checked)
        elif kind == "id":
            self.written(checked, "name")
        elif kind == "flag":
            if not isinstance(checked, Constant) or not isinstance(checked.value, bool):
                self.fault(
                    checked.place,
                    "The case switch is true or false.",
                    "false: letter case is ignored.",
                )
        elif kind in ("text", "number", "list"):
            self.expect(checked, kind)  # type: ignore[arg-type]  # these three are types
        return checked

    def per_element(self, node: Node, kind: str, *, pairs: bool = False) -> Node:
        check = self.condition if kind == "condition" else self.check
        if not isinstance(node, Lambda):
            with self.element():
                return check(node)
        if len(node.names) > (2 if pairs else 1):
            self.fault(node.span, "This function gives one value.", "Use one name before =>.")
        with self.element(), self.variable(*node.names):
            return Lambda(node.names, check(node.body), node.span)

    def filter(self, node: Filter) -> Node:
        base = self.check(node.base)
        inner = node.condition
        if isinstance(inner, Constant) and isinstance(inner.value, str):
            return Method(base, "get", (inner,), node.span)
        if isinstance(inner, Constant) and type_of(inner) == "number":
            self.fault(
                node.span,
                "Elements have no numbered places.",
                "Use head() for the first, or topN(key, 1).",
            )
            return Filter(base, inner, node.span)
        return Filter(base, self.per_element(inner, "condition"), node.span)

    # ---- binders

    def ranges(self, ranges: tuple[Range, ...], then: Callable[[], Node | None]) -> Any:
        """The ranges, each seeing the names before it, and what `then` gives inside them all."""
        if not ranges:
            return (), then()
        first, rest = ranges[0], ranges[1:]
        array = self.check(first.array)
        with self.variable(first.name):
            condition = None if first.condition is None else self.condition(first.condition)
            found, inner = self.ranges(rest, then)
        return (Range(first.name, array, condition, first.span), *found), inner

    def binder(self, node: Binder) -> Node:
        return Binder(node.kind, self.ranges(node.ranges, lambda: None)[0], node.span)

    def over(self, node: Over) -> Node:
        ranges, measure = self.ranges(node.ranges, lambda: self.number(node.measure))
        return Over(node.function, measure, ranges, node.span)

    def let(self, node: Let) -> Node:
        bound = self.check(node.bound)
        with self.variable(node.name):
            return Let(node.name, bound, self.check(node.body), node.span)

    def lambda_(self, node: Lambda) -> Node:
        self.fault(
            node.span,
            "=> stands at the start of a rule or in a function over elements.",
            "Take it out, or write it inside map(...), filter(...) or exists(...).",
        )
        return node

    # ---- time

    def time_word(self, node: Node) -> Node:
        return node

    def occurs(self, node: Occurs) -> Node:
        left = self.check(node.left)
        self.is_time(left)
        return Occurs(left, self.window(node.window, left), node.span)

    def is_time(self, node: Node) -> None:
        if type_of(node) not in ("time", "text", "any"):
            self.fault(
                node.place,
                f"A time is needed here; this is {WORDS[type_of(node)]}.",
                "Use a field that holds a time, date(year, month, day), now or today.",
            )

    def window(self, window: Window, left: Node | None = None) -> Window:
        if isinstance(window, Between):
            first, last = self.anchor(window.first, left), self.anchor(window.last, left)
            if {self.is_label(first), self.is_label(last)} == {True, False}:
                self.later(
                    window.span,
                    "A window from a step to another time is not supported yet.",
                    "Write two WHEN(...), one for each end.",
                )
            return Between(first, last, window.span)
        if isinstance(window, Side):
            return Side(window.direction, self.anchor(window.time, left), window.span)
        if isinstance(window, Distance):
            self.divisible(window)
            return Distance(
                window.op,
                window.amount,
                window.unit,
                window.direction,
                self.anchor(window.time, left),
                window.span,
            )
        assert isinstance(window, On), "there are four kinds of window"
        return On(self.anchor(window.time, left), window.span)

    def divisible(self, window: Distance) -> None:
        time = window.time
        if not isinstance(time, Period) or time.unit not in (
            "millisecond",
            "second",
            "minute",
            "hour",
        ):
            return
        if window.unit in ("month", "year", "decade", "century", "millennium"):
            self.later(
                window.span,
                f"Months counted from this {time.unit} are not supported yet.",
                "Count from now or from today.",
            )

    def anchor(self, node: Node, left: Node | None) -> Node:
        if isinstance(node, Path) and node.base == Element(0) and node.segments[1:] == ():
            label = node.segments[0]
            if label in self.labels:
                return Variable(label, node.span)
        checked = self.check(node)
        self.is_time(checked)
        if left is not None and moves(left) and moves(checked):
            self.two_moving(node.place)
        return checked

    def is_label(self, node: Node) -> bool:
        return isinstance(node, Variable) and node.name in self.labels

    # ---- chains

    def chain(self, node: Chain) -> Node:
        events = self.check(node.events)
        order = node.order
        if not isinstance(order, Path) or order.base != Element(0):
            self.fault(order.place, "A chain is ordered by a field.", "Write timestamp.")
        if len(node.steps) > MAX_STEPS:
            self.later(node.span, f"A chain has up to {MAX_STEPS} steps.", "Split it.")
        seen: list[str] = []
        steps = []
        for step in node.steps:
            steps.append(self.step(step, tuple(seen), alone=len(node.steps) == 1))
            seen.append(step.label)
        self.few_labels(tuple(steps))
        return Chain(events, order, tuple(steps), node.span)

    def step(self, step: Step, earlier: tuple[str, ...], *, alone: bool) -> Step:
        with self.element():
            conditions = tuple([self.condition(c) for c in step.conditions])
        before, self.labels = self.labels, frozenset(earlier)
        windows = tuple([self.window(w) for w in step.windows])
        self.labels = before
        if step.label in earlier:
            self.fault(step.span, f"Two steps are called {step.label}.", "Give each its own label.")
        if not alone and any(op not in (">=", ">") for op, _ in step.counts):
            self.later(
                step.span,
                "A chain of several steps counts with at least only.",
                "Write COUNT(n), or a chain of one step.",
            )
        return Step(step.label, conditions, windows, step.counts, step.span)

    def few_labels(self, steps: tuple[Step, ...]) -> None:
        names = [step.label for step in steps]
        used = [(p, names.index(v.name)) for p, s in enumerate(steps) for v in labels_in(s, names)]
        for position, step in enumerate(steps):
            alive = {label for at, label in used if label < position <= at}
            if len(alive) > MAX_LABELS:
                self.later(
                    step.span,
                    f"Windows measured from more than {MAX_LABELS} steps at once are not"
                    " supported yet.",
                    "Measure from the step just before.",
                )
                return


def _begin(words: str) -> str:
    return words[0].upper() + words[1:]


CHECKS: dict[type[Node], Callable[[_Checker, Any], Node]] = {
    Constant: _Checker.constant,
    ListOf: _Checker.list_,
    ObjectOf: _Checker.object,
    Param: _Checker.param,
    Path: _Checker.path,
    And: _Checker.and_,
    Or: _Checker.or_,
    Not: _Checker.not_,
    Compare: _Checker.compare,
    Member: _Checker.member,
    Pattern: _Checker.pattern,
    Sum: _Checker.sum,
    Product: _Checker.product,
    Negative: _Checker.negative,
    Call: _Checker.call,
    Method: _Checker.method,
    Filter: _Checker.filter,
    Binder: _Checker.binder,
    Over: _Checker.over,
    Let: _Checker.let,
    Lambda: _Checker.lambda_,
    TimeWord: _Checker.time_word,
    Period: _Checker.time_word,
    Occurs: _Checker.occurs,
    Chain: _Checker.chain,
}
