"""Nodes to typed nodes: names resolved, every fault that can be known without a profile."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from perso_core.errors import RuleError
from perso_core.pql.checker_conditions import ConditionChecks
from perso_core.pql.fields import ANY, FieldTypes
from perso_core.pql.foreign import FUNCTIONS as FOREIGN
from perso_core.pql.hints import REMARK, day_hint
from perso_core.pql.kinds import is_measured, literal, makes_groups, type_of
from perso_core.pql.misasked import CALENDAR, entries_in, groups_told, misasked
from perso_core.pql.nodes import (
    And,
    Binder,
    Call,
    Chain,
    Compare,
    Constant,
    Element,
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
    Param,
    Path,
    Pattern,
    Period,
    Product,
    Range,
    Sum,
    TimeWord,
    Variable,
    children,
)
from perso_core.pql.source import Source, Span
from perso_core.pql.type_faults import NUMERIC
from perso_core.pql.types import FUNCTIONS, METHODS, STRING_TESTS, Signature
from perso_core.pql.values import NUMBERS

# What these are of has to be a text.
OF_TEXT = (STRING_TESTS - {"equals"}) | {"matches", "regexGroup"}
# These take any number of texts.
# What others write for any letter case, in small letters.
ANY_CASE = frozenset(("i", "ignorecase", "caseinsensitive", "case_insensitive"))
OF_A_KEY = frozenset(("topN", "bottomN"))
OF_SEVERAL = frozenset(("equals", "notEqualTo"))
# These may be asked of the profile itself.
OF_PRESENCE = frozenset(("isNull", "isNotNull"))


def check(
    source: Source, root: Node, schema: FieldTypes | None = None
) -> tuple[Node, list[RuleError]]:
    """The typed nodes and every fault found, in the order of their places.

    schema: what is known of the fields; None: nothing, and only what holds of no value at all is
    a fault.
    In the typed nodes each name is a Root, Events, Element or Variable. They compile only when
    no fault was found.
    """
    checker = _Checker(source, schema)
    node = checker.top(root)
    return node, sorted(checker.faults, key=lambda fault: (fault.line, fault.column))


class _Checker(ConditionChecks):
    """One walk over the nodes. Every method gives the typed node and notes faults on the way."""

    # ---- nodes

    def top(self, node: Node) -> Node:
        if not isinstance(node, Lambda):
            return self.profile(node) or self.whole(node)
        if len(node.names) > 1:
            self.fault(node.span, "A rule has one parameter: the profile.", "Name only one.")
        self.compares(node)
        with self.variable(node.names[0], profile=True):
            body = self.profile(node.body) or self.whole(node.body)
            return Lambda(node.names, body, node.span)

    def compares(self, node: Lambda) -> None:
        """A fault where => was meant to: nothing is asked of what it names."""
        body = node.body
        value, named = literal(body), ""
        if isinstance(body, Path) and body.base == Element(0) and body.segments[0] != node.names[0]:
            named = ".".join(body.segments)
        if named or (value is not None and not isinstance(value, bool)):
            told = named or json.dumps(value, ensure_ascii=False)
            what = "a field" if named else "one value for everyone"
            self.fault(
                node.span,
                f"=> compares nothing: this is {what}.",
                f"Write {node.names[0]} >= {told}.",
            )

    def whole(self, node: Node) -> Node:
        """A rule, which is a condition where it is saved; asked as a question it may be a value."""
        checked = self.check(node)
        if self.typed and not self.faults:
            self.deciding(checked)
        return checked

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

    # ---- arithmetic

    def sum(self, node: Sum) -> Node:
        a_day = day_hint(self.written_at(node.span))
        if a_day and all(isinstance(term, Constant) for _, term in node.terms):
            self.fault(node.span, *a_day)
            return Call("date", tuple([term for _, term in node.terms[:3]]), node.span)
        for place, (_, term) in enumerate(node.terms[1:], 1):
            start = term.place[0]
            if self.written_at((start - 1, start + 1)) == "--":
                self.fault((start - 1, start + 1), *REMARK)
                # What stands after it is no part of the rule.
                return Sum(tuple([(s, self.number(t)) for s, t in node.terms[:place]]), node.span)
        return Sum(tuple([(sign, self.number(term)) for sign, term in node.terms]), node.span)

    def product(self, node: Product) -> Node:
        return Product(tuple([(op, self.number(f)) for op, f in node.factors]), node.span)

    def negative(self, node: Negative) -> Node:
        return Negative(self.number(node.operand), node.span)

    def number(self, node: Node) -> Node:
        checked = self.check(node)
        if self.expect(checked, "number") and self.typed:
            self.types.number(checked)
        return checked

    # ---- functions

    def call(self, node: Call) -> Node:
        signature = FUNCTIONS.get(node.name)
        if signature is None:
            self.unknown(node.name, FUNCTIONS, node.span, elsewhere=METHODS)
            return Call(node.name, self.each(node.args), node.span)
        if not self.counted(node.name, signature, len(node.args), node.span):
            return Call(node.name, self.each(node.args), node.span)
        if node.name == "if":
            test, *rest = node.args
            return Call("if", (self.condition(test), *self.each(tuple(rest))), node.span)
        args = self.taken(signature, node.args)
        checked = Call(node.name, args, node.span)
        if node.name == "mapEntry" and id(node) not in self.entries:
            self.fault(
                node.span,
                "An entry is of a map, which map(...) makes.",
                f"Write orders.groupBy(store).map((K, G) => {signature.example}).",
            )
        if node.name == "date":
            self.real_day(checked)
        if node.name == "stringCompare" and isinstance(args[0], Constant):
            name = str(args[0].value)
            if name not in STRING_TESTS:
                self.unknown(name, STRING_TESTS, args[0].span)
            elif self.typed:
                self.types.string_compare(name, args)
        return checked

    def unknown(
        self,
        name: str,
        known: Collection[str],
        span: Span,
        *,
        elsewhere: Mapping[str, Signature] = MappingProxyType({}),
    ) -> None:
        """known: the names that may stand here. elsewhere: those of methods for a function, of
        functions for a method; empty for a test of texts, which has a place of its own."""
        lowered = [one for one in known if one.lower() == name.lower()]
        if not lowered and name in elsewhere:
            where = "after a dot" if elsewhere is METHODS else "by itself"
            self.fault(span, f"{name} stands {where}.", f"Write {elsewhere[name].example}.")
            return
        foreign = FOREIGN.get(name.lower()) if elsewhere else None
        near = [*lowered, *get_close_matches(name, known, 1, 0.5)]
        meant = f"Did you mean {near[0]}?" if near else "See docs/pql.md."
        fix = meant if lowered else foreign or meant
        self.fault(span, f"There is no function {name}.", fix)

    def counted(self, name: str, signature: Signature, number: int, span: Span) -> bool:
        least, most = signature.least, len(signature.takes)
        if name in OF_SEVERAL and number > 2:
            return True
        if least <= number <= most:
            return True
        wanted = str(least) if least == most else f"{least} to {most}"
        self.fault(
            span,
            f"{name} takes {wanted} arguments, not {number}.",
            f"Write it as in {signature.example}.",
        )
        return False

    def method(self, node: Method) -> Node:
        profile = self.profile(node.base) if node.name in OF_PRESENCE else None
        base = profile or self.check(node.base)
        signature = METHODS.get(node.name)
        if signature is None:
            self.unknown(node.name, METHODS, node.span, elsewhere=FUNCTIONS)
            return Method(base, node.name, (), node.span)
        if not self.counted(node.name, signature, len(node.args), node.span):
            return Method(base, node.name, (), node.span)
        if not self.askable(base, node.span, node.name):
            return Method(base, node.name, (), node.span)
        if node.name in OF_SEVERAL:
            checked = Method(base, node.name, self.texts(node), node.span)
        else:
            args = self.taken(signature, node.args, node.name, base)
            checked = Method(base, node.name, args, node.span)
        if node.name in CALENDAR and type_of(base) == "number" and not is_measured(base):
            self.is_time(base)
            return Variable(node.name, node.span)
        if self.typed and (told := misasked(checked, self.scope.of(base))):
            self.fault(node.span, *told)
            return Variable(node.name, node.span)  # of which nothing more can be told
        if node.name in OF_A_KEY:
            self.key_first(checked)
        if node.name == "get":
            self.got(base, checked.args[0])
        fine = node.name not in OF_TEXT or self.of_text(node.name, base)
        if fine and self.typed:
            self.types.method(checked)
        return checked

    def key_first(self, node: Method) -> None:
        """A fault of topN(5, price), whose key is the same for all."""
        key, number = node.args
        wanted = literal(number)
        if self.typed and type(wanted) in NUMBERS and (wanted < 1 or wanted != int(wanted)):
            self.fault(
                number.place,
                f"{node.name} gives as many as this says: 1 or more, and whole.",
                f"Write {node.name}(price, 1).",
            )
        if self.same_for_all(key, node.name) or type(literal(key)) not in NUMBERS:
            return
        by = ".".join(number.segments) if isinstance(number, Path) else "price"
        self.fault(
            key.place,
            "The key comes first, then how many.",
            f"Write {node.name}({by}, {json.dumps(literal(key))}).",
        )

    def same_for_all(self, node: Node, name: str) -> bool:
        """Whether a text stands where a field of each element has to; a fault then."""
        text = node.value if self.typed and isinstance(node, Constant) else None
        if isinstance(text, str):
            self.fault(
                node.place,
                "This text is the same for every element.",
                f"Write a field without quotes: {name}(price{', 1' * (name in OF_A_KEY)}).",
            )
        return isinstance(text, str)

    def got(self, base: Node, key: Node) -> None:
        """The keys of a profile's maps are texts; groups have what their elements have in
        common."""
        unknown = type_of(base) == "any" and not isinstance(base, Path)
        if unknown or makes_groups(base):
            return
        if self.expect(key, "text") and self.typed:
            self.types.text(key)

    def of_text(self, name: str, base: Node) -> bool:
        """Whether the method finds a text to look at; a fault where not."""
        # A group is found in one text alone.
        return self.expect(base, "text") if name == "regexGroup" else self.text(base)

    def texts(self, node: Method) -> tuple[Node, ...]:
        """The arguments of equals and its twin: texts, and at the end perhaps the case switch."""
        args = self.each(node.args)
        last = len(args) > 1 and type_of(args[-1]) == "flag"
        for arg in args[:-1] if last else args:
            self.expect(arg, "text")
        # Where no rule is saved, whatever text may be asked for.
        meant = len(args) == 2 and (self.typed or isinstance(args[1], Path))
        if meant and _word(args[1]).lower() in ANY_CASE:
            self.fault(
                args[1].place,
                "This is one more text that may be meant, not the case switch.",
                'Write false for any letter case: equals("gold", false).'
                ' For either text: in ["gold", "i"].',
            )
        return args

    def taken(
        self,
        signature: Signature,
        args: tuple[Node, ...],
        name: str = "",
        base: Node | None = None,
    ) -> tuple[Node, ...]:
        """The arguments, each checked as what its place needs. base: what the method is of."""
        pairs = zip(signature.takes, args, strict=False)
        return tuple([self.argument(kind, arg, name, base) for kind, arg in pairs])

    def argument(self, kind: str, node: Node, name: str, base: Node | None) -> Node:
        if kind in ("condition", "measure", "key"):
            assert base is not None, "methods alone take these"
            return self.per_element(node, kind, base, name)
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
            fine = self.expect(checked, kind)  # type: ignore[arg-type]  # these three are types
            if fine and self.typed and kind != "list":
                (self.types.text if kind == "text" else self.types.number)(checked)
        return checked

    def per_element(self, node: Node, kind: str, base: Node, name: str = "filter") -> Node:
        if name in ("map", "groupBy"):
            self.same_for_all(node, name)
        if name == "map":
            self.entries.update(map(id, entries_in(node)))
        if not isinstance(node, Lambda):
            self.enter(self.element_of(base))
            checked = self.of_element(node, kind, name)
            self.leave()
            return checked
        several = len(node.names) > 1
        if len(node.names) > (2 if name == "map" else 1):
            self.fault(node.span, "This function gives one value.", "Use one name before =>.")
        known = ANY if several else self.element_of(base)
        self.enter(known)
        with self.variable(*node.names, known=known):
            body = self.of_element(node.body, kind, name)
        self.leave()
        return Lambda(node.names, body, node.span)

    def of_element(self, node: Node, kind: str, name: str) -> Node:
        """What a function asks of each element, inside the element."""
        if kind == "condition":
            return self.condition(node)
        checked = self.check(node)
        if self.typed:
            # Outside the element nobody can tell any more.
            self.scope.keep(checked, self.scope.of(checked))
            if name in NUMERIC:
                self.types.number(checked)
        return checked

    def filter(self, node: Filter) -> Node:
        base = self.check(node.base)
        if not self.askable(base, node.base.place):
            return Filter(base, Constant(True), node.span)
        inner, number = node.condition, literal(node.condition)
        if isinstance(inner, Constant) and isinstance(inner.value, str):
            got = Method(base, "get", (inner,), node.span)
            if self.typed:
                self.types.method(got)
            return got
        if makes_groups(base) and self.typed and type(number) not in NUMBERS:
            self.fault(node.place, *groups_told("[...]"))
        elif type(number) in NUMBERS:
            if makes_groups(base):
                told = f"Write .get({json.dumps(number)})."
                self.fault(node.span, "A group is asked for by its key.", told)
                return Method(base, "get", (inner,), node.span)
            self.fault(
                node.span,
                "Elements have no numbered places.",
                "Use head() for the first, or topN(key, 1).",
            )
            # Read on as what was probably meant, so that nothing more is told of it.
            return Method(base, "head", (), node.span)
        return Filter(base, self.per_element(inner, "condition", base), node.span)

    # ---- binders

    def ranges(self, ranges: tuple[Range, ...], then: Callable[[], Node | None]) -> Any:
        """The ranges, each seeing the names before it, and what `then` gives inside them all."""
        if not ranges:
            return (), then()
        first, rest = ranges[0], ranges[1:]
        array = self.check(first.array)
        if self.typed and makes_groups(array):
            self.fault(array.place, *groups_told(f"from, before {first.name},"))
        with self.variable(first.name, known=self.element_of(array)):
            condition = None if first.condition is None else self.condition(first.condition)
            asking = self.typed and not isinstance(condition, Constant | None)
            if condition is not None and asking and not _asks(condition, self.variables):
                self.fault(
                    condition.place,
                    f"Nothing here is asked of {first.name}: a name alone is no field of it.",
                    f"Write {first.name}.price > 5 for a field of it.",
                )
            found, inner = self.ranges(rest, then)
        return (Range(first.name, array, condition, first.span), *found), inner

    def binder(self, node: Binder) -> Node:
        return Binder(node.kind, self.ranges(node.ranges, lambda: None)[0], node.span)

    def over(self, node: Over) -> Node:
        ranges, measure = self.ranges(node.ranges, lambda: self.number(node.measure))
        return Over(node.function, measure, ranges, node.span)

    def let(self, node: Let) -> Node:
        bound = self.check(node.bound)
        with self.variable(node.name, known=self.scope.of(bound) if self.typed else ANY):
            body = self.check(node.body)
            if self.typed:
                self.scope.keep(body, self.scope.of(body))
        return Let(node.name, bound, body, node.span)

    def lambda_(self, node: Lambda) -> Node:
        self.fault(
            node.span,
            "=> stands at the start of a rule or in a function over elements.",
            "Take it out, or write it inside map(...), filter(...) or exists(...).",
        )
        return node


def _asks(node: Node, names: Collection[str]) -> bool:
    """Whether one of the variables stands somewhere in the typed node."""
    left = [node]
    while left:
        one = left.pop()
        if isinstance(one, Variable) and one.name in names:
            return True
        left.extend(children(one))
    return False


def _word(node: Node) -> str:
    """A text, or the name of a field; "" for anything else."""
    if isinstance(node, Path) and not node.segments[1:]:
        return node.segments[0]
    return str(node.value) if isinstance(node, Constant) else ""


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
