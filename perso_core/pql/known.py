"""What is known of a typed node's value at its place in the rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perso_core.pql.fields import (
    ANY,
    COUNT,
    DAY_OF_MONTH,
    FLAG,
    INTEGER,
    LIST,
    MONTH,
    NUMBER,
    OBJECT,
    TEXT,
    TIME,
    FieldType,
    FieldTypes,
    either,
    field,
    list_of,
)
from perso_core.pql.kinds import makes_groups, type_of
from perso_core.pql.misasked import entries_in, is_entry
from perso_core.pql.nodes import (
    Binder,
    Call,
    Constant,
    Element,
    Events,
    Filter,
    Lambda,
    Let,
    ListOf,
    Method,
    Negative,
    Node,
    Path,
    Root,
    Variable,
)
from perso_core.pql.types import Type


class Scope:
    """What the names mean at one place, and what was found out on the way to it.

    elements: of the filters around, the innermost last. variables: by name; the profile and
    whatever nothing is known of are not there.
    """

    def __init__(self, schema: FieldTypes | None) -> None:
        self.schema = schema
        self.elements: list[FieldType] = []
        self.variables: dict[str, FieldType] = {}
        # By the node's id; the node is kept with it, so that the id stays its own.
        self._found: dict[int, tuple[Node, FieldType]] = {}

    def keep(self, node: Node, known: FieldType) -> None:
        """Remember what can be told only here, inside the node."""
        self._found[id(node)] = node, known

    def of(self, node: Node) -> FieldType:
        """What is known of the node's value; it may be missing all the same."""
        kind = type(node)
        if kind is Root and self.schema is not None:
            return self.schema.profile
        if kind is Element and self.elements:
            return self.element(node)  # type: ignore[arg-type]  # type() does not narrow
        read = READ.get(kind)
        if read is None:
            return ALONE[type_of(node)]
        found = self._found.get(id(node))
        return read(self, node) if found is None else found[1]

    # ---- nodes

    def constant(self, node: Constant) -> FieldType:
        value = node.value
        kind = type_of(node)
        if kind == "number":
            return FieldType("number", values=(value,))
        return FieldType("flag" if kind == "flag" else "text", values=(value,))

    def negative(self, node: Negative) -> FieldType:
        inner = self.of(node.operand)
        return FieldType(
            "number", values=tuple([-v for v in inner.values if not isinstance(v, str)])
        )

    def path(self, node: Path) -> FieldType:
        known = self.of(node.base)
        for name in node.segments:
            known = field(known, name) or ANY
        return known

    def root(self, _: Root) -> FieldType:
        return self.schema.profile if self.schema else ANY

    def events(self, _: Events) -> FieldType:
        return list_of(self.schema.event) if self.schema else LIST

    def element(self, node: Element) -> FieldType:
        return self.elements[-1 - node.up] if node.up < len(self.elements) else ANY

    def variable(self, node: Variable) -> FieldType:
        return self.variables.get(node.name, ANY)

    def list_(self, node: ListOf) -> FieldType:
        kinds = {type_of(item) for item in node.items}
        return list_of(ALONE[kinds.pop()]) if len(kinds) == 1 else LIST

    def filter(self, node: Filter) -> FieldType:
        return list_of(self.of(node.base).element)

    def binder(self, node: Binder) -> FieldType:
        if node.kind != "select":
            return FLAG
        several = len(node.ranges) > 1
        return LIST if several else list_of(self.of(node.ranges[0].array).element)

    def inside(self, node: Let | Lambda) -> FieldType:
        return self.of(node.body)

    def call(self, node: Call) -> FieldType:
        if node.name == "if" and len(node.args) == 3:
            return either(self.of(node.args[1]), self.of(node.args[2]))
        return CALLS.get(node.name) or ALONE[type_of(node)]

    def method(self, node: Method) -> FieldType:
        name = node.name
        if name == "keys":
            return self.keys(node.base)
        if name == "count":
            return self.counted(node.base)
        known = METHODS.get(name)
        if known is not None:
            return known
        if name in ("filter", "distinct", "topN", "bottomN", "intersection"):
            return list_of(self.of(node.base).element)
        if name == "head":
            return self.of(node.base).element
        if name == "map" and node.args:
            return self.mapped(node.args[0])
        if name == "groupBy":
            return FieldType("object", rest=list_of(self.of(node.base).element))
        if name == "values":
            base = self.of(node.base)
            return list_of(base.rest or ANY) if base.kind == "object" and not base.fields else LIST
        if name == "get":
            return self.got(node)
        return ALONE[type_of(node)]

    def counted(self, base: Node) -> FieldType:
        kind = self.of(base).kind
        # That a condition is no list is told already.
        if kind in ("any", "list") or type_of(base) == "flag":
            return COUNT
        return COUNT_OF.get(kind, COUNT_OF_ONE)

    def mapped(self, function: Node) -> FieldType:
        entries = set(map(is_entry, entries_in(function)))
        if entries == {True}:
            return OBJECT
        unknown = True in entries or isinstance(function, Constant)
        return ANY if unknown else list_of(self.of(function))

    def keys(self, base: Node) -> FieldType:
        """Of a profile's map texts; of groups what their elements have in common."""
        if isinstance(base, Method) and makes_groups(base) and base.args:
            return list_of(self.of(base.args[0]).element)
        return list_of(TEXT) if isinstance(base, Path) else LIST

    def got(self, node: Method) -> FieldType:
        base = self.of(node.base)
        key = node.args[0] if node.args else None
        if base.kind != "object":
            return ANY
        if isinstance(key, Constant) and isinstance(key.value, str):
            return field(base, key.value) or ANY
        return (base.rest or ANY) if not base.fields else ANY


ALONE: dict[Type, FieldType] = {
    "any": ANY,
    "number": NUMBER,
    "text": TEXT,
    "flag": FLAG,
    "time": TIME,
    "list": LIST,
    "object": OBJECT,
}
CALLS = {"currentMonth": MONTH, "currentDayOfMonth": DAY_OF_MONTH, "currentYear": INTEGER}
# A value that is no list counts as one element.
COUNT_OF_ONE = FieldType("integer", least=0, most=1)
COUNT_OF = {
    "text": FieldType("integer", least=0, most=1),
    "object": FieldType("integer", least=0, most=1),
}
METHODS = {
    "getMonth": MONTH,
    "getDayOfMonth": DAY_OF_MONTH,
    "getYear": INTEGER,
    "regexGroup": TEXT,
}
READ: dict[type[Node], Callable[[Scope, Any], FieldType]] = {
    Constant: Scope.constant,
    Negative: Scope.negative,
    Path: Scope.path,
    Root: Scope.root,
    Events: Scope.events,
    Element: Scope.element,
    Variable: Scope.variable,
    ListOf: Scope.list_,
    Filter: Scope.filter,
    Binder: Scope.binder,
    Let: Scope.inside,
    Lambda: Scope.inside,
    Call: Scope.call,
    Method: Scope.method,
}
