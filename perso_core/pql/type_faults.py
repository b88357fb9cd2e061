"""What is told of fields a schema does not have, and of comparisons that never hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from perso_core.errors import RuleError, RuleNeverHolds, RuleTypeError, UnknownField
from perso_core.pql.fields import ANY, INFINITY, NUMBER, TEXT, FieldType, field, names_in
from perso_core.pql.kinds import literal, makes_groups, type_of
from perso_core.pql.known import COUNT_OF, COUNT_OF_ONE, Scope
from perso_core.pql.never import (
    can_be_number,
    can_be_ordered,
    can_be_text,
    can_be_time,
    can_equal,
    matching,
    opened,
)
from perso_core.pql.nodes import (
    Call,
    Compare,
    Constant,
    ListOf,
    Member,
    Method,
    Node,
    Path,
    Pattern,
)
from perso_core.pql.patterns import BadPattern, finding, like, regular
from perso_core.pql.source import Source, Span
from perso_core.pql.types import STRING_TESTS
from perso_core.pql.values import NUMBERS, TWINS, compare_texts, finds

KINDS = {
    "text": "a text",
    "number": "a number",
    "integer": "a whole number",
    "flag": "true or false",
    "date": "a date",
    "datetime": "a time",
    "instant": "a time",
    "time": "a time",
    "list": "a list",
    "object": "an object",
}
# How to write something that a field of the kind can be compared with.
WRITTEN = {
    "text": 'Compare it with a text: "...".',
    "number": "Compare it with a number, without quotes.",
    "integer": "Compare it with a whole number, without quotes.",
    "flag": "Compare it with true or false, without quotes.",
    "date": 'Compare it with date(year, month, day), or with "2026-12-31".',
    "datetime": "Compare it with date(year, month, day), or use occurs.",
    "instant": "Compare it with date(year, month, day), or use occurs.",
    "time": "Compare it with a field that holds a time, or use occurs.",
    "list": "Ask for its elements: exists(...), or [...] with a condition.",
    "object": "Name one of its fields after a dot.",
}
# What a count of something that is no list is meant for.
COUNTED = {
    COUNT_OF["text"]: 'A text is one. matches("^.{3,}$") asks for its length.',
    COUNT_OF["object"]: "An object is one. keys().count() is the number of its keys.",
    COUNT_OF_ONE: "It is no list, so it is one: compare it itself.",
}
# Where these are measured, only numbers count.
NUMERIC = frozenset(("sum", "average", "min", "max"))
CALENDAR = frozenset(("getMonth", "getYear", "getDayOfMonth"))

NEEDING = STRING_TESTS | NUMERIC | CALENDAR
NEEDING |= {"matches", "regexGroup", "includes", "intersects", "supersetOf"}
NEEDING |= {"keys", "values", "get"}

MAX_SHOWN = 60  # characters of a value or of a field's name
MAX_LISTED = 8  # values that a fix lists
MAX_OF_ONE_LIST = 20  # faults in one list of values


class TypeFaults:
    """Gathers into `faults`; `scope` says what is known where the checker stands."""

    def __init__(self, source: Source, scope: Scope, faults: list[RuleError]) -> None:
        self.source = source
        self.scope = scope
        self.faults = faults

    def add(self, cause: type[RuleError], span: Span, detail: str, fix: str) -> None:
        self.faults.append(self.source.fault(cause, span, detail, fix))

    # ---- fields

    def field(self, node: Path) -> None:
        """Whether the schema has it. What is known of it is kept with the node."""
        known = self.scope.of(node.base)
        for position, name in enumerate(node.segments):
            if known.kind == "object":  # as field has it
                inner = known.fields.get(name, known.rest)
            else:
                inner = field(known, name)
            if inner is None:
                self.unknown(node, known, name, node.segments[:position])
                known = ANY
                break
            known = inner
            if known is ANY:
                break
        self.scope.keep(node, known)

    def unknown(self, node: Node, parent: FieldType, name: str, before: Sequence[str] = ()) -> None:
        """A field that is not there. before: the names on the way to it."""
        path = ".".join((*before, name))
        inner = parent.element
        if inner.kind != "object":
            base = node.base if isinstance(node, Path) else node
            said = _cut(".".join(before)) or self.said(base, inner)
            self.add(
                UnknownField,
                node.place,
                f"There is no field {_cut(path)}: {said}{_is(inner)}.",
                f"Take .{_cut(name)} out, or make it a field of an object in the schema.",
            )
            return
        near = _nearest(name, [*names_in(parent)])
        add = f"add {_cut(path)} to the schema"
        self.add(
            UnknownField,
            node.place,
            f"The schema has no field {_cut(path)}.",
            f"Write {'.'.join((*before, near))}, or {add}." if near else f"{_begin(add)}.",
        )

    # ---- comparisons

    def compare(self, node: Compare) -> None:
        one = self.scope.of(node.left)
        if isinstance(node.right, Constant):
            value = node.right.value
            if one is ANY or (one is TEXT and node.op == "=" and isinstance(value, str)):
                return
            if one is NUMBER and type(value) in NUMBERS:
                return
        other = self.scope.of(node.right)
        if one.kind == "any" and other.kind == "any":
            return
        if node.op == "=":
            if not can_equal(one, other, loosely=True):
                self.never_equal(node.span, node.left, node.right)
        elif "time" in (one.kind, other.kind):
            for side in (node.left, node.right):
                self.time(side)
        elif node.op != "!=" and not can_be_ordered(node.op, one, other):
            self.never_ordered(node, one, other)

    def never_equal(self, span: Span, left: Node, right: Node) -> None:
        """left: what it is told about, unless it is a literal."""
        if isinstance(left, Constant):
            left, right = right, left
        whole = self.scope.of(left)
        one, other = opened(whole, self.scope.of(right))
        said = self.said(left, one)
        if whole.kind == "list":
            said = f"each of {said}"
        if one.kind == other.kind or {one.kind, other.kind} <= {"number", "integer"}:
            never = f"{_begin(said)} is never {self.shown(right, other)}."
            self.add(RuleNeverHolds, span, never, self.what_it_can_be(one, other))
        elif other.values and one.kind in ("date", "datetime") and can_be_text(other):
            never = f"{_begin(said)} is {KINDS[one.kind]}, and {self.shown(right, other)} is none."
            self.add(RuleNeverHolds, span, never, WRITTEN[one.kind])
        else:
            self.add(
                RuleTypeError,
                span,
                f"{_begin(said)}{_is(one)}; it is never equal to {KINDS[other.kind]}.",
                WRITTEN[one.kind],
            )

    def never_ordered(self, node: Compare, one: FieldType, other: FieldType) -> None:
        one, other = opened(one, other)
        for side, known in ((node.left, one), (node.right, other)):
            if known.kind != "any" and not can_be_number(known):
                said = self.said(side, known)
                self.add(
                    RuleTypeError,
                    side.place,
                    f"Only numbers and times have an order; {said}{_is(known)}.",
                    _ordered(known),
                )
                return
        left, right = (node.left, one), (node.right, other)
        if isinstance(node.left, Constant):
            left, right = right, left
        said = self.said(*left)
        self.add(
            RuleNeverHolds,
            node.span,
            f"This never holds of {said}.",
            self.what_it_can_be(left[1], right[1]),
        )

    def what_it_can_be(self, known: FieldType, given: FieldType) -> str:
        """The fix of a comparison with a value that it never is."""
        if known in COUNTED:
            return COUNTED[known]
        if known.values:
            texts = [value for value in known.values if isinstance(value, str)]
            wanted = [value for value in given.values if isinstance(value, str)]
            near = _nearest(wanted[0], texts) if wanted else None
            if near is not None:
                return f"Write {_literal(near)}."
            some = ", ".join(map(_literal, known.values[:MAX_LISTED]))
            return f"It is one of {some}{', …' if len(known.values) > MAX_LISTED else ''}."
        least, most = known.bounds
        if least > -INFINITY and most < INFINITY:
            return f"It is {least:.15g} to {most:.15g}."
        if least > -INFINITY:
            return f"It is {least:.15g} or more{', and whole' * (known.kind == 'integer')}."
        return "It is a whole number." if known.kind == "integer" else WRITTEN[known.kind]

    # ---- lists

    def member(self, node: Member) -> None:
        right = self.scope.of(node.right)
        word = "notIn" if node.negated else "in"
        if right.kind not in ("list", "any"):
            said = self.said(node.right, right)
            self.add(
                RuleTypeError,
                node.right.place,
                f"{word} needs a list; {said}{_is(right)}.",
                'Write ["..."].',
            )
        elif node.negated:
            return
        elif not self.empty(node.right):
            self.among(node.left, node.right)

    def empty(self, node: Node) -> bool:
        """Whether it is an empty list, and told to be one."""
        if not isinstance(node, ListOf) or node.items:
            return False
        self.add(RuleNeverHolds, node.place, "Nothing is in an empty list.", 'Write ["..."].')
        return True

    def among(self, left: Node, right: Node) -> None:
        """A fault for each value written in `right` that `left`, or an element of it, never is."""
        known = self.scope.of(left).element
        if known.kind == "any":
            return
        items = right.items if isinstance(right, ListOf) else (right,)
        wrong = (item for item in items if not can_equal(known, self.scope.of(item).element))
        for item in islice(wrong, MAX_OF_ONE_LIST):
            self.never_equal(item.place, left, item)

    # ---- texts

    def pattern(self, node: Pattern) -> None:
        if isinstance(node.right, Constant) and isinstance(node.right.value, str):
            self.matched(node.op, node.left, node.right)

    def matched(self, op: str, left: Node, right: Constant) -> None:
        """`left like right`, `left matches right`."""
        known = self.scope.of(left)
        if not self.text(left) or not known.element.values:
            return
        try:
            pattern = (finding if op == "matches" else like)(str(right.value))
        except BadPattern:
            return  # told already
        if not matching(known, lambda value: finds(pattern, value)):
            self.no_text(left, right)

    def text_test(
        self,
        name: str,
        left: Node,
        known: FieldType,
        wanted: Sequence[Node],
        *,
        case_sensitive: bool,
    ) -> None:
        """One of the eight text tests of `left`, which is `known`, with the texts it is for."""
        if known is TEXT or not self.text(left):
            return
        if not all(isinstance(one, Constant) for one in wanted):
            return
        if name == "equals" and known.element.kind in ("date", "datetime"):
            wrong = [one for one in wanted if not can_equal(known, self.scope.of(one))]
            for one in wrong[:MAX_OF_ONE_LIST]:
                self.no_text(left, one)
        if not known.element.values:
            return
        # One text is enough for a test that asks for something; its twin wants none of them.
        groups: Iterable[Sequence[Any]] = [wanted] if name in TWINS else [[one] for one in wanted]
        for group in islice(groups, MAX_OF_ONE_LIST):
            texts = [one.value for one in group]
            if not matching(known, lambda v, t=texts: compare_texts(name, v, t, case_sensitive)):  # type: ignore[misc]  # mypy cannot infer t
                if name in TWINS:
                    self.none_left(left, known, group)
                else:
                    self.no_text(left, group[0])

    def none_left(self, left: Node, known: FieldType, texts: Sequence[Node]) -> None:
        """Of a test that wants none of the texts."""
        which = "this text" if len(texts) == 1 else "one of these texts"
        self.add(
            RuleNeverHolds,
            texts[0].place,
            f"Every value of {self.said(left, known.element)} is excluded by {which}.",
            "Exclude fewer of them.",
        )

    def no_text(self, left: Node, right: Node) -> None:
        known = self.scope.of(left).element
        self.add(
            RuleNeverHolds,
            right.place,
            f"No value of {self.said(left, known)} does this with {self.shown(right)}.",
            self.what_it_can_be(known, self.scope.of(right)),
        )

    def string_compare(self, name: str, args: tuple[Node, ...]) -> None:
        """`stringCompare(name, left, [texts], case_sensitive)`."""
        left, texts = args[1], args[2]
        if self.empty(texts):
            return
        wanted = texts.items if isinstance(texts, ListOf) else (texts,)
        known = self.scope.of(left)
        self.text_test(name, left, known, wanted, case_sensitive=_sensitive(args[3:]))

    def method(self, node: Method) -> None:
        """What a method needs of what it is of, and with its arguments."""
        name, base, args = node.name, node.base, node.args
        if name not in NEEDING:
            return
        known = self.scope.of(base)
        if name == "intersects" and self.empty(args[0]):
            return
        if name == "regexGroup":
            self.group(args)
        if known is ANY:
            return
        if name in STRING_TESTS:
            switch = len(args) > 1 and type_of(args[-1]) == "flag"
            wanted, rest = (args[:-1], args[-1:]) if switch else (args, ())
            self.text_test(name, base, known, wanted, case_sensitive=_sensitive(rest))
        elif name in ("matches", "regexGroup"):
            if isinstance(args[0], Constant):
                self.matched("matches", base, args[0])
        elif name in ("includes", "intersects", "supersetOf"):
            self.among(base, args[0])
        elif name in NUMERIC and not args:
            self.numbers(base)
        elif name in CALENDAR:
            self.time(base)
        elif name in ("keys", "values"):
            self.keyed(base)
        elif name == "get" and self.keyed(base):
            self.key(node)

    def group(self, args: Sequence[Node]) -> None:
        """Of regexGroup: whether the pattern has the group."""
        number = literal(args[1]) if len(args) > 1 else None
        if type(number) not in NUMBERS or not isinstance(args[0], Constant):
            return
        try:
            groups = regular(str(args[0].value)).groups
        except BadPattern:
            return  # told already
        if number not in range(groups + 1):
            self.add(
                RuleNeverHolds,
                args[1].place,
                f"The pattern has no group {number}.",
                f"Write 0 for all of it, or up to {groups}."
                if groups
                else "Write 0 for all of it.",
            )

    def key(self, node: Method) -> None:
        base, key = self.scope.of(node.base), node.args[0]
        if isinstance(node.base, Method) and makes_groups(node.base):
            for common in node.base.args:  # none where groupBy was told to lack it
                if not can_equal(self.scope.of(common), self.scope.of(key)):
                    self.never_equal(key.place, common, key)
            return
        if base.kind == "object" and isinstance(key, Constant):
            name = str(key.value)
            if field(base, name) is None:
                self.unknown(key, base, name)

    def never_together(self, node: Node, about: Node) -> None:
        said = self.said(about, self.scope.of(about))
        self.add(
            RuleNeverHolds,
            node.place,
            f"No value of {said} meets this and the conditions before it together.",
            "Join them with or, or take one of them out.",
        )

    # ---- what is needed somewhere

    def text(self, node: Node) -> bool:
        known = self.scope.of(node).element
        return self.needed(node, known, "A text is needed here", can=can_be_text(known))

    def number(self, node: Node) -> bool:
        known = self.scope.of(node)
        return self.needed(node, known, "A number is needed here", can=can_be_number(known))

    def numbers(self, node: Node) -> bool:
        """Of a list: numbers in it."""
        known = self.scope.of(node).element
        return self.needed(node, known, "Numbers are needed here", can=can_be_number(known))

    def time(self, node: Node) -> bool:
        known = self.scope.of(node)
        return self.needed(node, known, "A time is needed here", can=can_be_time(known))

    def keyed(self, node: Node) -> bool:
        """What has keys: a map."""
        known = self.scope.of(node)
        can = known.kind in ("object", "any")
        return self.needed(node, known, "A map is needed here", can=can)

    def needed(self, node: Node, known: FieldType, need: str, *, can: bool) -> bool:
        if can or known.kind == "any":
            return True
        said = self.said(node, known)
        told = f"{need}; {said}{_is(known)}."
        self.add(RuleTypeError, node.place, told, "Write a field that holds one.")
        return False

    # ---- words

    def said(self, node: Node, known: FieldType) -> str:
        """What the author wrote, where it is a name; else what kind of thing it is."""
        if isinstance(node, Path | Call | Method):
            first, last = node.place
            text = self.source.text[first:last].strip(". \n")
            if isinstance(node, Path | Call) and text and text.isprintable():
                return _cut(text)
            if isinstance(node, Method):
                return f"{node.name}()"
        return "this"

    def shown(self, node: Node, known: FieldType | None = None) -> str:
        """A literal as it was written; else what kind of thing it is."""
        if isinstance(node, Constant):
            return _literal(node.value)
        known = known or self.scope.of(node)
        if len(known.values) == 1:
            return _literal(known.values[0])
        return self.said(node, known).replace("this", "that")


def _nearest(given: str, known: Sequence[str]) -> str | None:
    """The known word that was probably meant, whatever its letter case; None: none is near."""
    words = {word.lower(): word for word in reversed(known)}
    near = get_close_matches(given[:MAX_SHOWN].lower(), list(words), 1, 0.6)
    return words[near[0]] if near else None


def _is(known: FieldType) -> str:
    """The end of a sentence about it."""
    return f" is {KINDS[known.kind]}"


def _ordered(known: FieldType) -> str:
    if known.kind == "date":
        return "Compare it with date(year, month, day), or use occurs."
    if known.kind == "list":
        return "Ask for its elements: exists(...), or max(...)."
    return WRITTEN[known.kind] if known.kind == "object" else "Use =, startsWith(...) or in [...]."


def _literal(value: str | int | float | bool) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 2]}…{text[-1]}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _begin(text: str) -> str:
    # A field keeps its own letters: only words of ours begin a sentence.
    return text[0].upper() + text[1:] if text.split(" ")[0] in ("add", "this") else text


def _sensitive(switch: tuple[Node, ...]) -> bool:
    """Whether letter case counts; switch: the argument for it, or none."""
    return not (switch and isinstance(switch[0], Constant) and switch[0].value is False)
