"""Typed nodes to the syntax tree of a Python function.

Nothing of the rule's text is pasted into source, and the same rule always gives the same code.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perso_core.pql import syntax as py
from perso_core.pql import values
from perso_core.pql.chains import Anchored, ChainStep
from perso_core.pql.kinds import moves, times_of, type_of
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
    Or,
    Over,
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
from perso_core.pql.patterns import like, like_shape, regular
from perso_core.pql.reads import reads_time
from perso_core.pql.syntax import Expr
from perso_core.pql.types import STRING_TESTS
from perso_core.pql.windows import (
    DAYS,
    FOREVER_MS,
    NOW,
    OPEN,
    PERIODS,
    START,
    Bound,
    Intervals,
    Moving,
    TimeWindow,
    between,
    distance,
    on,
    period,
    side,
    time_window,
)

# From so many on, alternatives on one field become a look into a set.
FEW_ALTERNATIVES = 4

# Deeper expressions go on in a function of their own: Python's compiler is recursive.
OUTLINE_DEPTH = 20
# Longer paths are walked in a loop.
INLINE_SEGMENTS = 5


ORDERS: dict[str, type[ast.cmpop]] = {
    "<": ast.Lt,
    "<=": ast.LtE,
    ">": ast.Gt,
    ">=": ast.GtE,
}
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


class Predicate:
    """Builds the functions of one rule.

    table: what the code names as K0, K1, …: patterns, windows, sets. functions: those that read
    nothing from around them, or were too deep. scopes: the Python name of the profile and of each
    element around this place. used: the names the expression under way reads.
    """

    def __init__(self, event_window_ms: int) -> None:
        self.life = event_window_ms
        self.table: dict[str, Any] = {}
        self.functions: list[ast.stmt] = []
        self.scopes = ["view"]
        self.variables: dict[str, str] = {}
        self.used: set[str] = set()
        self.depth = 0
        self.names = 0

    # ---- names

    def fresh(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def constant(self, value: Any) -> Expr:
        """A value that is no literal of Python, by its name in the table."""
        name = self.fresh("K")
        self.table[name] = value
        return py.named(name)

    def read(self, name: str) -> Expr:
        self.used.add(name)
        return py.named(name)

    def now(self) -> Expr:
        return py.named("now")

    def define(self, name: str, body: Expr, params: Sequence[str]) -> None:
        returned: list[ast.stmt] = [ast.Return(body, **py.AT)]
        function = ast.FunctionDef(name, py.arguments(params), returned, [], **py.AT)
        self.functions.append(function)

    # ---- entry

    def test(self, node: Node) -> Expr:
        """An expression that is True or False: the node in a boolean position."""
        if type_of(node) == "flag":
            return self.value(node)
        return py.call("truth", self.value(node))

    def value(self, node: Node) -> Expr:
        """An expression for what the node gives; None for a missing value."""
        self.depth += 1
        if self.depth % OUTLINE_DEPTH == 0:
            found = self.outlined(node)
        else:
            found = EMIT[type(node)](self, node)
        self.depth -= 1
        return found

    def outlined(self, node: Node) -> Expr:
        """The node in a function of its own, called with what it reads from around it."""
        before, self.used = self.used, set()
        body = EMIT[type(node)](self, node)
        params = [*sorted(self.used), "now"]
        self.used |= before
        name = self.fresh("f")
        self.define(name, body, params)
        return py.call(name, *map(py.named, params))

    # ---- paths

    def root(self, node: Root) -> Expr:
        return self.read("view")

    def events(self, node: Events) -> Expr:
        return py.call("events", self.read("view"), py.constant(self.life), self.now())

    def element(self, node: Element) -> Expr:
        return self.read(self.scopes[-1 - node.up])

    def variable(self, node: Variable) -> Expr:
        return self.read(self.variables[node.name])

    def path(self, node: Path) -> Expr:
        if isinstance(node.base, Events):
            return py.call(
                "of_events",
                self.read("view"),
                py.constant(self.life),
                py.constant(node.segments),
                self.now(),
            )
        first, *rest = node.segments
        if isinstance(node.base, Root):
            return self.walked(py.method(self.read("view"), "get", py.constant(first)), rest)
        return self.walked(self.value(node.base), node.segments)

    def walked(self, subject: Expr, segments: Sequence[str]) -> Expr:
        """`subject.segments`: dictionary reads in line while the way leads through objects."""
        if not segments:
            return subject
        if len(segments) > INLINE_SEGMENTS:
            return py.call("walk", subject, py.constant(tuple(segments)))
        kept = self.fresh("t")
        found = self.walked(
            py.method(py.named(kept), "get", py.constant(segments[0])), segments[1:]
        )
        other = py.call("walk", py.named(kept), py.constant(tuple(segments)))
        missing = py.compare(py.named(kept), ast.Is(), py.constant(None))
        return py.choose(
            py.is_type(py.kept_as(kept, subject), "dict"),
            found,
            py.choose(missing, py.constant(None), other),
        )

    # ---- literals

    def literal(self, node: Constant) -> Expr:
        return py.constant(node.value)

    def list_(self, node: ListOf) -> Expr:
        if all(isinstance(item, Constant) for item in node.items):
            return self.constant([item.value for item in node.items if isinstance(item, Constant)])
        return py.list_of(*map(self.value, node.items))

    def object(self, node: ObjectOf) -> Expr:
        keys: list[Expr | None] = [py.constant(key) for key, _ in node.entries]
        return ast.Dict(keys, [self.value(value) for _, value in node.entries], **py.AT)

    # ---- conditions

    def and_(self, node: And) -> Expr:
        return py.both(*map(self.test, self.timeless_first(node.operands)))

    def or_(self, node: Or) -> Expr:
        operands, lookups = self.lookups(node.operands)
        tests = lookups + [self.test(operand) for operand in self.timeless_first(operands)]
        return tests[0] if len(tests) == 1 else py.either(*tests)

    def lookups(self, operands: tuple[Node, ...]) -> tuple[tuple[Node, ...], list[Expr]]:
        """`a = 1 or a = 2 or …` is one look into a set; the others stay as they are."""
        if len(operands) < FEW_ALTERNATIVES:
            return operands, []
        found: dict[tuple[Node, str], list[Any]] = {}
        others: list[Node] = []
        for operand in operands:
            kind = _looked_up(operand)
            if kind and isinstance(operand, Compare) and isinstance(operand.right, Constant):
                found.setdefault((operand.left, kind), []).append(operand.right.value)
            else:
                others.append(operand)
        return tuple(others), [
            py.call(function, self.value(left), self.constant(frozenset(wanted)))
            for (left, function), wanted in found.items()
        ]

    def timeless_first(self, operands: tuple[Node, ...]) -> list[Node]:
        """What does not change with time before what does: where the first decides, the answer
        holds for good and no event is looked at."""
        return sorted(operands, key=reads_time)

    def not_(self, node: Not) -> Expr:
        return ast.UnaryOp(ast.Not(), self.test(node.operand), **py.AT)

    def compare(self, node: Compare) -> Expr:
        if "time" in (type_of(node.left), type_of(node.right)):
            return self.compare_times(node)
        for asked, other, op in (
            (node.left, node.right, node.op),
            (node.right, node.left, FLIPPED[node.op]),
        ):
            part = _current(asked)
            if part and not reads_time(other):
                return py.call(
                    "current_is",
                    self.now(),
                    py.constant(part),
                    py.constant(op),
                    self.value(other),
                )
        literal = node.right.value if isinstance(node.right, Constant) else None
        if type(literal) in values.NUMBERS and _counts_events(node.left):
            return self.counted(node.left, node.op, literal)
        if node.op in ("=", "!="):
            return self.compare_equal(node, literal)
        if type(literal) in values.NUMBERS:
            kept = self.fresh("t")
            fast = py.compare(py.named(kept), ORDERS[node.op](), py.constant(literal))
            slow = py.call("ordered", py.constant(node.op), py.named(kept), py.constant(literal))
            known = py.call("type", py.kept_as(kept, self.value(node.left)))
            return py.choose(py.compare(known, ast.In(), py.named("NUMBERS")), fast, slow)
        return py.call(
            "ordered", py.constant(node.op), self.value(node.left), self.value(node.right)
        )

    def counted(self, node: Node, op: str, wanted: Any) -> Expr:
        """`xEvent[...].count() op wanted`."""
        assert isinstance(node, Method), "_counts_events looked"
        base = node.base
        found = (
            base.condition if isinstance(base, Filter) else (*getattr(base, "args", ()), None)[0]
        )
        condition = self.always() if found is None else self.of_element(found, test=True)
        return py.call(
            "events_counted",
            self.read("view"),
            py.constant(self.life),
            condition,
            py.constant(op),
            py.constant(wanted),
            self.now(),
        )

    def compare_equal(self, node: Compare, literal: Any) -> Expr:
        sides = (node.left, node.right)
        if any(isinstance(s, Constant) and s.value in ("true", "false") for s in sides):
            flags = [py.call("as_flag", self.value(side)) for side in sides]
            return py.call("equal" if node.op == "=" else "differ", *flags)
        # 0 and 1 are False and True to Python.
        plain = isinstance(literal, str) or (
            type(literal) in values.NUMBERS and literal not in (0, 1)
        )
        if node.op == "=" and plain:
            kept = self.fresh("t")
            fast = py.compare(
                py.kept_as(kept, self.value(node.left)), ast.Eq(), py.constant(literal)
            )
            slow = py.call("equal", py.named(kept), py.constant(literal))
            return py.either(fast, py.both(py.is_type(py.named(kept), "list"), slow))
        function = "equal" if node.op == "=" else "differ"
        return py.call(function, self.value(node.left), self.value(node.right))

    def compare_times(self, node: Compare) -> Expr:
        """A typed time against anything: the same windows as `occurs` has."""
        left, right, op = node.left, node.right, str(node.op)
        if moves(left) or type_of(right) != "time":
            left, right, op = right, left, FLIPPED[op]
        end = Bound(0, from_end=True)
        intervals: Intervals = {
            "<": ((OPEN, START),),
            "<=": ((OPEN, end),),
            ">": ((end, OPEN),),
            ">=": ((START, OPEN),),
        }.get(op, ((START, end),))
        moving = [_moving(right)]
        window = time_window(moving, (intervals, intervals), negated=op == "!=")
        return self.occurring(left, window, (right,))

    def member(self, node: Member) -> Expr:
        items = node.right.items if isinstance(node.right, ListOf) else ()
        constants = [item.value for item in items if isinstance(item, Constant)]
        kinds = {type(value) for value in constants}
        if not node.negated and constants and len(constants) == len(items):
            if kinds == {str}:
                return py.call(
                    "in_texts", self.value(node.left), self.constant(frozenset(constants))
                )
            if kinds <= values.NUMBERS:
                return py.call(
                    "in_numbers", self.value(node.left), self.constant(frozenset(constants))
                )
        function = "not_member" if node.negated else "member"
        return py.call(function, self.value(node.left), self.value(node.right))

    def pattern(self, node: Pattern) -> Expr:
        assert isinstance(node.right, Constant), "the checker wants patterns written out"
        text = str(node.right.value)
        if node.op == "matches":
            return py.call("finds", self.constant(regular(text)), self.value(node.left))
        shape = like_shape(text)
        if shape is None:
            return py.call("finds", self.constant(like(text)), self.value(node.left))
        return self.text_test(shape[0], node.left, [shape[1]], case_sensitive=True)

    # ---- arithmetic

    def sum(self, node: Sum) -> Expr:
        parts: dict[str, list[Expr]] = {"+": [], "-": []}
        for sign, term in node.terms:
            parts[sign].append(self.value(term))
        return py.call("total", py.tuple_of(*parts["+"]), py.tuple_of(*parts["-"]))

    def product(self, node: Product) -> Expr:
        (_, first), *rest = node.factors
        factors = [py.tuple_of(py.constant(op), self.value(factor)) for op, factor in rest]
        return py.call("multiplied", self.value(first), py.tuple_of(*factors))

    def negative(self, node: Negative) -> Expr:
        return py.call("negated", self.value(node.operand))

    # ---- functions

    def call(self, node: Call) -> Expr:
        if node.name == "if":
            test, one, other = node.args
            return py.choose(self.test(test), self.value(one), self.value(other))
        if node.name in CURRENT:
            return py.call("current", self.now(), py.constant(CURRENT[node.name]))
        if node.name == "inSegment":
            return py.call("in_segment", self.read("view"), self.value(node.args[0]))
        if node.name == "date":
            return py.call("day", *map(self.value, node.args))
        if node.name == "mapEntry":
            return py.call("Entry", py.tuple_of(*map(self.value, node.args)))
        name, value, texts, *rest = node.args
        case_sensitive = not rest or _flag(rest[0])
        constants = texts.items if isinstance(texts, ListOf) else ()
        known = [c.value for c in constants if isinstance(c, Constant)]
        assert isinstance(name, Constant), "the checker wants the test's name written out"
        if known and len(known) == len(constants) and all(isinstance(t, str) for t in known):
            return self.text_test(str(name.value), value, known, case_sensitive=case_sensitive)
        return py.call(
            "compare_texts",
            self.value(name),
            self.value(value),
            self.value(texts),
            py.constant(case_sensitive),
        )

    def text_test(
        self, name: str, value: Node, texts: Sequence[Any], *, case_sensitive: bool
    ) -> Expr:
        """A text test against texts that stand in the rule."""
        wanted = tuple(text if case_sensitive else values.fold(text) for text in texts)
        subject = self.value(value)
        if name == "equals" and len(wanted) == 1:
            function = "equals_text" if case_sensitive else "equals_folded"
            return py.call(function, subject, py.constant(wanted[0]))
        if name == "equals" and case_sensitive:
            return py.call("in_texts", subject, self.constant(frozenset(wanted)))
        return py.call(
            "text_test",
            py.constant(name),
            subject,
            py.constant(wanted),
            py.constant(case_sensitive),
        )

    def method(self, node: Method) -> Expr:
        name, base, args = node.name, node.base, node.args
        if name in STRING_TESTS:
            return self.string_test(node)
        if name in PARTS:
            part = _current(node)
            if part:
                return py.call("current", self.now(), py.constant(part))
            return py.call("part_of_time", self.value(base), py.constant(PARTS[name]))
        if name in ("isNull", "isNotNull"):
            op = ast.Is() if name == "isNull" else ast.IsNot()
            return py.compare(self.value(base), op, py.constant(None))
        if name in ("matches", "regexGroup"):
            return self.regular(node)
        if name in PLAIN:
            return py.call(PLAIN[name], self.value(base), *map(self.value, args))
        if name == "count":
            return py.call("len", py.call("items_of", self.value(base)))
        if name == "head":
            return py.call("head", self.value(base))
        return self.over_elements(name, base, args)

    def string_test(self, node: Method) -> Expr:
        args = node.args
        case_sensitive = True
        if len(args) > 1 and type_of(args[-1]) == "flag":
            case_sensitive, args = _flag(args[-1]), args[:-1]
        known = [arg.value for arg in args if isinstance(arg, Constant)]
        if len(known) == len(args):
            return self.text_test(node.name, node.base, known, case_sensitive=case_sensitive)
        return py.call(
            "compare_texts",
            py.constant(node.name),
            self.value(node.base),
            py.list_of(*map(self.value, args)),
            py.constant(case_sensitive),
        )

    def regular(self, node: Method) -> Expr:
        pattern, *group = node.args
        assert isinstance(pattern, Constant), "the checker wants patterns written out"
        compiled = self.constant(regular(str(pattern.value)))
        if node.name == "matches":
            return py.call("finds", compiled, self.value(node.base))
        number = self.value(group[0]) if group else py.constant(None)
        return py.call("group_of", compiled, self.value(node.base), number)

    # ---- elements

    def over_elements(self, name: str, base: Node, args: tuple[Node, ...]) -> Expr:
        if name in ("filter", "exists", "forall"):
            return self.tested(name, base, args)
        if name in AGGREGATES:
            if not args:
                items = py.call("items_of", self.value(base))
                return py.call("aggregate", py.constant(name), items)
            items = self.value(base)
            return py.call(
                "measured", py.constant(name), items, self.of_element(args[0]), self.now()
            )
        if name == "map" and isinstance(args[0], Lambda) and len(args[0].names) == 2:
            return py.call("mapped_pairs", self.value(base), self.of_pair(args[0]), self.now())
        if name in ("map", "groupBy"):
            function = "mapped" if name == "map" else "grouped"
            return py.call(function, self.value(base), self.of_element(args[0]), self.now())
        assert name in ("topN", "bottomN"), f"no code for {name}"
        number = self.value(args[1])
        largest = ast.keyword("largest", py.constant(name == "topN"), **py.AT)
        called = [self.value(base), self.of_element(args[0]), number, self.now()]
        return ast.Call(py.named("top"), called, [largest], **py.AT)

    def tested(self, name: str, base: Node, args: tuple[Node, ...]) -> Expr:
        """filter, exists or forall; over events with an eye on when each of them ends."""
        condition = self.of_element(args[0], test=True) if args else self.always()
        kind = {"filter": 0, "exists": 1, "forall": 2}[name]
        if isinstance(base, Events):
            function = ("events_where", "any_event", "all_events")[kind]
            life = py.constant(self.life)
            return py.call(function, self.read("view"), life, condition, self.now())
        function = ("where", "any_of", "all_of")[kind]
        return py.call(function, self.value(base), condition, self.now())

    def filter(self, node: Filter) -> Expr:
        return self.tested("filter", node.base, (node.condition,))

    def always(self) -> Expr:
        return ast.Lambda(py.arguments(["e", "now"]), py.constant(True), **py.AT)

    def of_element(self, node: Node, *, test: bool = False) -> Expr:
        """A function of (element, now)."""
        element = f"e{len(self.scopes)}"
        names = node.names if isinstance(node, Lambda) else ()
        inner = node.body if isinstance(node, Lambda) else node
        self.scopes.append(element)
        emit = (lambda: self.test(inner)) if test else (lambda: self.value(inner))
        found = self.function([element], dict.fromkeys(names, element), emit)
        self.scopes.pop()
        return found

    def of_pair(self, node: Lambda) -> Expr:
        key, value = self.fresh("v"), self.fresh("v")
        self.scopes.append(value)
        bound = dict(zip(node.names, (key, value), strict=True))
        found = self.function([key, value], bound, lambda: self.value(node.body))
        self.scopes.pop()
        return found

    def function(
        self, params: list[str], bound: Mapping[str, str], emit: Callable[[], Expr]
    ) -> Expr:
        """A function of the params and now: one of the module when it reads nothing from around
        it, else a lambda in its place."""
        used, self.used = self.used, set()
        variables, self.variables = self.variables, {**self.variables, **bound}
        body = emit()
        outer = self.used - set(params)
        self.used, self.variables = used | outer, variables
        if outer:
            return ast.Lambda(py.arguments([*params, "now"]), body, **py.AT)
        name = self.fresh("f")
        self.define(name, body, [*params, "now"])
        return py.named(name)

    # ---- binders

    def bound(self, name: str, emit: Callable[[], Expr]) -> Expr:
        variable = self.fresh("v")
        return self.function([variable], {name: variable}, emit)

    def binder(self, node: Binder) -> Expr:
        if node.kind == "select":
            names = [one.name for one in node.ranges]
            return self.select(node.ranges, lambda: self.tuple_of(names))
        return self.quantified(node.kind, node.ranges)

    def quantified(self, kind: str, ranges: Sequence[Range]) -> Expr:
        first, rest = ranges[0], ranges[1:]

        def condition() -> Expr:
            own = [] if first.condition is None else [self.test(first.condition)]
            inner = [self.quantified(kind, rest)] if rest else []
            tests = own + inner
            return py.both(*tests) if len(tests) > 1 else (tests or [py.constant(True)])[0]

        function = self.bound(first.name, condition)
        if isinstance(first.array, Events):
            name = "any_event" if kind == "exists" else "all_events"
            life = py.constant(self.life)
            return py.call(name, self.read("view"), life, function, self.now())
        name = "any_of" if kind == "exists" else "all_of"
        return py.call(name, self.value(first.array), function, self.now())

    def tuple_of(self, names: Sequence[str]) -> Expr:
        values_of = [self.read(self.variables[name]) for name in names]
        return values_of[0] if len(values_of) == 1 else py.list_of(*values_of)

    def select(self, ranges: Sequence[Range], chosen: Callable[[], Expr]) -> Expr:
        """A list of what `chosen` gives for each tuple of elements that satisfies the ranges."""
        first, rest = ranges[0], ranges[1:]
        own = first.condition
        condition = self.always() if own is None else self.bound(first.name, lambda: self.test(own))
        inner = self.bound(
            first.name, lambda: self.select(rest, chosen) if rest else py.list_of(chosen())
        )
        if isinstance(first.array, Events):
            life = py.constant(self.life)
            view = self.read("view")
            return py.call("events_selected", view, life, condition, inner, self.now())
        return py.call("selected", self.value(first.array), condition, inner, self.now())

    def over(self, node: Over) -> Expr:
        measures = self.select(node.ranges, lambda: self.value(node.measure))
        return py.call("aggregate", py.constant(node.function), measures)

    def let(self, node: Let) -> Expr:
        value = self.value(node.bound)
        function = self.bound(node.name, lambda: self.value(node.body))
        return ast.Call(function, [value, self.now()], [], **py.AT)

    # ---- time

    def time(self, node: Node) -> Expr:
        moving = _moving(node)
        unit = "day"
        if isinstance(node, Period):
            unit = node.unit
        elif isinstance(node, TimeWord) and node.word == "now":
            unit = "millisecond"
        return py.call("running", self.now(), self.constant(moving), py.constant(unit))

    def occurs(self, node: Occurs) -> Expr:
        times = times_of(node.window)
        return self.occurring(node.left, _window(node.window, times), times)

    def occurring(self, left: Node, window: TimeWindow, times: Sequence[Node]) -> Expr:
        compiled = self.constant(window)
        fixed = self.fixed(times)
        moving = _moving(left)
        if moving is not None:
            return py.call("now_occurs", self.now(), compiled, self.constant(moving[0]), fixed)
        return py.call("occurs", self.now(), compiled, self.value(left), fixed)

    def fixed(self, times: Sequence[Node]) -> Expr:
        """The anchors that do not move, in their places; none at all when all move."""
        if all(map(moves, times)):
            return py.constant(())
        found = [
            py.constant(None) if moves(time) else py.call("fixed_moment", self.value(time))
            for time in times
        ]
        return py.tuple_of(*found)

    # ---- chains

    def chain(self, node: Chain) -> Expr:
        labels = [step.label for step in node.steps]
        steps = [self.step(step, labels[:position]) for position, step in enumerate(node.steps)]
        assert isinstance(node.order, Path), "the checker wants a field"
        order = py.constant(node.order.segments)
        if isinstance(node.events, Events):
            events, life = py.call("raw_events", self.read("view")), self.life
        else:
            events, life = py.call("items_of", self.value(node.events)), FOREVER_MS
        several = len(steps) > 1
        wanted = py.tuple_of(*steps) if several else steps[0]
        function = "many_steps" if several else "one_step"
        return py.call(function, events, order, wanted, py.constant(life), self.now())

    def step(self, step: Step, earlier: Sequence[str]) -> Expr:
        plain, anchored, fixed = [], [], []
        for window in step.windows:
            times = times_of(window)
            compiled = _window(window, times)
            names = [time.name for time in times if isinstance(time, Variable)]
            if names and all(name in earlier for name in names):
                anchored.append(Anchored(compiled, tuple(earlier.index(name) for name in names)))
            else:
                plain.append(compiled)
                fixed.append(self.fixed(times))
        counts = step.counts or ((">=", 1),)
        ready = ChainStep(tuple(plain), tuple(anchored), counts)
        conditions = step.conditions
        condition = conditions[0] if len(conditions) == 1 else And(conditions)
        function = self.of_element(condition, test=True)
        return py.tuple_of(self.constant(ready), function, py.tuple_of(*fixed))


def _flag(node: Node) -> bool:
    return isinstance(node, Constant) and node.value is True


def _looked_up(node: Node) -> str:
    """The function that looks a field up among constants, where the node compares the two."""
    if not isinstance(node, Compare) or node.op != "=" or not isinstance(node.right, Constant):
        return ""
    if not isinstance(node.left, Path) or reads_time(node.left):
        return ""
    if isinstance(node.right.value, str):
        return "" if node.right.value in ("true", "false") else "in_texts"
    return "in_numbers" if type(node.right.value) in values.NUMBERS else ""


def _counts_events(node: Node) -> bool:
    """Whether it is the number of events, or of those that satisfy a condition."""
    if not isinstance(node, Method) or node.name != "count":
        return False
    base = node.base
    filtered = isinstance(base, Filter) or (isinstance(base, Method) and base.name == "filter")
    return isinstance(getattr(base, "base", None) if filtered else base, Events)


def _current(node: Node) -> str | None:
    """The part of the calendar it asks for: currentMonth() or today.getMonth()."""
    if isinstance(node, Call):
        return CURRENT.get(node.name)
    if not isinstance(node, Method) or not isinstance(node.base, TimeWord):
        return None
    return PARTS.get(node.name) if node.base.word in ("now", "today") else None


def _moving(node: Node) -> Moving | None:
    """The steps from now to a time that moves with it."""
    if isinstance(node, Period):
        return period(node.unit, PERIODS[node.which])
    if isinstance(node, TimeWord):
        return NOW if node.word == "now" else period("day", DAYS[node.word])
    return None


def _window(window: Window, times: Sequence[Node]) -> TimeWindow:
    anchors = [_moving(time) for time in times]
    if isinstance(window, Distance):
        forms = distance(window.op, window.amount, window.unit, window.direction)
        return time_window(anchors, forms, negated=window.op == "!=")
    if isinstance(window, Side):
        return time_window(anchors, side(window.direction))
    return time_window(anchors, between() if isinstance(window, Between) else on())


CURRENT = {"currentMonth": "month", "currentYear": "year", "currentDayOfMonth": "day"}
PARTS = {"getMonth": "month", "getYear": "year", "getDayOfMonth": "day"}
AGGREGATES = frozenset(("sum", "average", "min", "max"))
PLAIN = {
    "intersects": "intersects",
    "intersection": "intersection",
    "subsetOf": "subset_of",
    "supersetOf": "superset_of",
    "includes": "includes",
    "distinct": "distinct",
    "get": "get",
    "keys": "keys",
    "values": "values",
}

EMIT: dict[type[Node], Callable[[Predicate, Any], Expr]] = {
    Constant: Predicate.literal,
    ListOf: Predicate.list_,
    ObjectOf: Predicate.object,
    TimeWord: Predicate.time,
    Period: Predicate.time,
    Root: Predicate.root,
    Events: Predicate.events,
    Element: Predicate.element,
    Variable: Predicate.variable,
    Path: Predicate.path,
    Call: Predicate.call,
    Method: Predicate.method,
    Filter: Predicate.filter,
    And: Predicate.and_,
    Or: Predicate.or_,
    Not: Predicate.not_,
    Compare: Predicate.compare,
    Member: Predicate.member,
    Pattern: Predicate.pattern,
    Occurs: Predicate.occurs,
    Sum: Predicate.sum,
    Product: Predicate.product,
    Negative: Predicate.negative,
    Chain: Predicate.chain,
    Binder: Predicate.binder,
    Over: Predicate.over,
    Let: Predicate.let,
}
