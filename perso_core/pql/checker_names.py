"""The part of the checker that knows what names mean: scopes, and the paths that start in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from perso_core.errors import RuleError, RuleTooLarge, RuleTypeError
from perso_core.pql.fields import ANY, FieldType, FieldTypes, field, names_in
from perso_core.pql.foreign import NO_VALUES
from perso_core.pql.known import Scope
from perso_core.pql.nodes import Element, Events, Node, Param, Path, Root, Variable
from perso_core.pql.source import Source, Span
from perso_core.pql.type_faults import MAX_SHOWN, TypeFaults
from perso_core.pql.types import METHODS

EVENTS = "xEvent"
# What others ask a list for without brackets; and functions that no field is called like.
SIZES = frozenset(("count", "length", "size"))
# What a list is called, so that a size of it is hardly a field. Whatever ...Details XDM has is one
# object: mediaCollection.sessionDetails.length.
PLURAL = re.compile(r".*(?:(?<![isu])(?<!Detail)s|List|Array)")
BRACKETED = SIZES | {name for name in METHODS if not name.islower()}


class NameChecks:
    """Where a walk over the nodes stands, and the faults it noted on the way."""

    def __init__(self, source: Source, schema: FieldTypes | None) -> None:
        self.source = source
        self.faults: list[RuleError] = []
        self.scope = Scope(schema)
        self.typed = schema is not None
        self.types = TypeFaults(source, self.scope, self.faults)
        self.depth = 0  # elements of filters around this place
        self.variables: dict[str, bool] = {}  # name -> whether it is the profile
        self.labels: frozenset[str] = frozenset()  # steps of the chain whose window this is
        self.entries: set[int] = set()  # ids of nodes that give what map makes its list or map of
        self.coming: frozenset[str] = frozenset()  # that step and those after it

    def check(self, node: Node) -> Node:
        """The typed node."""
        raise NotImplementedError

    def condition(self, node: Node) -> Node:
        """The same, of a place where truth is asked for."""
        raise NotImplementedError

    def askable(self, node: Node, span: Span, name: str = "") -> bool:
        """Whether a method or a field can be asked of it; a fault where it is a condition."""
        raise NotImplementedError

    def written_at(self, span: Span) -> str:
        """What stands there in the rule."""
        return self.source.text[slice(*span)]

    # ---- faults

    def fault(self, span: Span, detail: str, fix: str) -> None:
        self.faults.append(self.source.fault(RuleTypeError, span, detail, fix))

    def too_large(self, span: Span, detail: str, fix: str) -> None:
        self.faults.append(self.source.fault(RuleTooLarge, span, detail, fix))

    # ---- scopes

    # No try: a checker that something was raised through is not used again.

    def enter(self, known: FieldType) -> None:
        """Into an element of which this is known."""
        self.depth += 1
        self.scope.elements.append(known)

    def leave(self) -> None:
        self.scope.elements.pop()
        self.depth -= 1

    @contextmanager
    def variable(
        self, *names: str, profile: bool = False, known: FieldType = ANY
    ) -> Iterator[None]:
        before, types_before = self.variables, self.scope.variables
        self.variables = {**before, **dict.fromkeys(names, profile)}
        self.scope.variables = {**types_before, **dict.fromkeys(names, known)}
        yield
        self.variables, self.scope.variables = before, types_before

    def element_of(self, array: Node) -> FieldType:
        """What is known of each element of the array."""
        if self.scope.schema is None:
            return ANY
        return self.scope.schema.event if type(array) is Events else self.scope.of(array).element

    # ---- paths

    def profile(self, node: Node) -> Root | None:
        """The profile itself, which is always there; None for anything else."""
        if isinstance(node, Param):
            return Root(node, node.span) if node.index == 1 else None
        if not isinstance(node, Path) or node.base != Element(0) or node.segments[1:]:
            return None
        (name,) = node.segments
        named = self.variables.get(name, False)
        return Root(Variable(name, node.span), node.span) if named else None

    def param(self, node: Param) -> Node:
        if node.index != 1:
            self.fault(node.span, f"${node.index} is no parameter of a rule.", "Use $1.")
        else:
            self.whole_profile(node)
        return node

    def whole_profile(self, node: Node) -> None:
        # Nobody could say which of its fields such a rule reads, so it would miss changes.
        self.fault(
            node.place,
            "The profile as a whole has no value: it can only be there.",
            "Name one of its fields after a dot.",
        )

    def path(self, node: Path) -> Node:
        base, segments = node.base, node.segments
        if isinstance(base, Param):
            if base.index != 1:
                self.fault(base.span, f"${base.index} is no parameter of a rule.", "Use $1.")
            return self.read(Root(base, base.span), node)
        if not isinstance(base, Element):
            checked = self.check(base)
            if not self.askable(checked, base.place):
                return node
            return self.typed_path(Path(checked, segments, node.span))
        name = segments[0]
        if base.up == 0 and name in self.variables:
            return self.read_variable(node, name)
        if base.up == 0 and name in NO_VALUES and not segments[1:]:
            self.fault(
                node.span,
                f"{name} is no value to compare with.",
                "Ask with isNull() or isNotNull().",
            )
            return node
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
            return self.typed_path(rest) if rest.segments else variable
        if not rest.segments:
            self.whole_profile(node)
            return variable
        return self.read(Root(variable, node.span), rest)

    def read(self, base: Node, node: Path) -> Node:
        if isinstance(base, Root) and node.segments[0] == EVENTS:
            events = Events(base, node.span)
            if not node.segments[1:]:
                return events
            return self.typed_path(Path(events, node.segments[1:], node.span))
        return self.typed_path(Path(base, node.segments, node.span))

    def bracketless(self, path: Path) -> bool:
        """Whether its last name is meant as a function, which is a fault. A field may be called
        so: one that the schema lists, and `count` of what is not known to be a list."""
        *before, name = path.segments
        last = path.place[1]
        plain = self.written_at((last - len(name), last)) == name  # not a."count"
        if not plain or (not before and isinstance(path.base, Root | Element)):
            return False
        known = self.scope.of(path.base)
        for one in before:
            if known.kind == "list" and name in SIZES:
                return False
            known = field(known, one) or ANY
        if name in names_in(known):
            return False
        if name in SIZES and known.kind != "list":
            parent = before[-1] if before else ""
            if not self.typed or name == "count" or not PLURAL.fullmatch(parent):
                return False
        meant = "count" if name in SIZES else name
        asked = "".join(self.written_at((path.place[0], last - len(name))).split())
        self.fault(
            (last - len(name), last),
            f"{name} is a function, not a field.",
            f"Write {asked[-MAX_SHOWN:]}{meant}() with brackets."
            + f' A field of that name: "{name}".' * (name in SIZES and known.kind == "any"),
        )
        return True

    def typed_path(self, path: Path) -> Path:
        if path.segments[-1] in BRACKETED and self.bracketless(path):
            return path
        if self.typed:
            self.types.field(path)
        return path
