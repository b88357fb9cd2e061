"""The functions of one rule while they are written: names, scopes and constants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from perso_core.pql import syntax as py
from perso_core.pql.code import Change, Function, Written, function_of
from perso_core.pql.kinds import type_of
from perso_core.pql.nodes import And, Constant, Lambda, Node, Not, Or
from perso_core.pql.syntax import Shape

# Deeper expressions go on in a function of their own: Python's compiler is recursive.
OUTLINE_DEPTH = 20

# Of a rule's function, and of those it joins.
PARAMS = ("view", "now")

# What joins operands is written where it stands.
IN_PLACE: frozenset[type[Node]] = frozenset((And, Or, Not, Constant))

Emit = Mapping[type[Node], Callable[["Emitter", Any], Shape]]


class _Function:
    """One function under way.

    constants: name -> value, Written or Function. first: the number of its first constant; those
    of an inner function that stays in its place follow those of its neighbours.
    """

    __slots__ = ("constants", "first", "size", "taken", "temporaries")

    def __init__(self, first: int = 0) -> None:
        self.constants: dict[str, Any] = {}
        self.first = first
        self.taken = 0  # constants of inner functions that stayed
        self.temporaries = 0
        self.size = 0


class Emitter:
    """Shapes of a rule's nodes, through the table `emit`.

    scopes: the Python name of the profile and of each element around this place. variables: the
    rule's names -> Python's. used: the names the expression under way reads. Names are given by
    how deep they stand, so the same part of two rules has the same shape.
    """

    def __init__(self, event_window_ms: int, emit: Emit) -> None:
        self.life_ms = event_window_ms
        self.emit = emit
        self.functions = [_Function()]
        self.scopes = ["view"]
        self.variables: dict[str, str] = {}
        self.used: set[str] = set()
        self.depth = 0
        self.bindings = 0
        self.fixed = False  # literals here belong to the shape: whether they may stand was asked

    # ---- names

    def temporary(self) -> str:
        function = self.functions[-1]
        function.temporaries += 1
        return f"t{function.temporaries}"

    def constant(self, value: Any) -> str:
        """The name of a value that belongs to the rule's shape, or to its fields."""
        function = self.functions[-1]
        name = f"K{len(self.functions)}_{function.first + len(function.constants)}"
        function.constants[name] = value
        return name

    def constants(self, values: Sequence[Any]) -> tuple[str, ...]:
        """The names of several."""
        function = self.functions[-1]
        first = function.first + len(function.constants)
        level = len(self.functions)
        names = tuple([f"K{level}_{first + n}" for n in range(len(values))])
        function.constants.update(zip(names, values, strict=True))
        return names

    def written(
        self,
        literals: Iterable[Node],
        change: Change,
        *,
        refuses: bool = False,
        free: bool = True,
    ) -> str:
        """The name of what `change` makes of the literals' values. refuses: as in Written. free:
        whether the checker takes whatever stands there, so that the shape is the same."""
        constants = tuple([one for one in literals if isinstance(one, Constant)])
        found = Written(constants, change, refuses)
        return self.constant(found if free and not self.fixed else found.made())

    def value_fixed(self, node: Node) -> Shape:
        """As `value`, with each literal a part of the shape: another one is another rule."""
        before, self.fixed = self.fixed, True
        found = self.value(node)
        self.fixed = before
        return found

    def read(self, name: str) -> str:
        self.used.add(name)
        return name

    def life(self) -> str:
        return self.constant(self.life_ms)

    # ---- nodes

    def test(self, node: Node) -> Shape:
        """True or False: the node in a boolean position."""
        found = self.value(node)
        return found if type_of(node) == "flag" else py.call("truth", found)

    def value(self, node: Node) -> Shape:
        """What the node gives; None for a missing value."""
        self.depth += 1
        self.functions[-1].size += 1
        if self.depth % OUTLINE_DEPTH == 0:
            found = self.outlined(node)
        else:
            found = self.emit[type(node)](self, node)
        self.depth -= 1
        return found

    def operand(self, node: Node) -> Shape:
        """What `and`, `or` or `not` joins. Right below the rule it is a function of its own:
        rules are joined of few parts in very many ways, and each way is little code then."""
        inside = len(self.functions) > 1 or self.variables
        if inside or type(node) in IN_PLACE:
            return self.test(node)
        self.functions.append(_Function())
        self.used.add("view")
        body = self.test(node)
        return py.call(self.constant(self.closed(PARAMS, body)), *PARAMS)

    def outlined(self, node: Node) -> Shape:
        """The node in a function of its own, called with what it reads from around it."""
        before, self.used = self.used, set()
        self.functions.append(_Function())
        body = self.emit[type(node)](self, node)
        params = (*sorted(self.used), "now")
        self.used |= before
        return py.call(self.constant(self.closed(params, body)), *params)

    def closed(self, params: tuple[str, ...], body: Shape) -> Function:
        """The function under way, finished."""
        function = self.functions.pop()
        return function_of(function.constants, params, body, size=function.size)

    # ---- functions of elements and variables

    def of_element(self, node: Node, *, test: bool = False) -> Shape:
        """A function of (element, now)."""
        element = f"e{len(self.scopes)}"
        names = node.names if isinstance(node, Lambda) else ()
        inner = node.body if isinstance(node, Lambda) else node
        self.scopes.append(element)
        emit = self.test if test else self.value
        found = self.function((element,), dict.fromkeys(names, element), lambda: emit(inner))
        self.scopes.pop()
        return found

    def of_pair(self, node: Lambda) -> Shape:
        """A function of (key, value, now)."""
        key, value = f"v{self.bindings}", f"v{self.bindings + 1}"
        self.scopes.append(value)
        bound = dict(zip(node.names, (key, value), strict=True))
        found = self.function((key, value), bound, lambda: self.value(node.body))
        self.scopes.pop()
        return found

    def of_variable(self, name: str, emit: Callable[[], Shape]) -> Shape:
        """A function of (value, now) that knows the value by its name in the rule."""
        variable = f"v{self.bindings}"
        return self.function((variable,), {name: variable}, emit)

    def function(
        self, params: tuple[str, ...], bound: Mapping[str, str], emit: Callable[[], Shape]
    ) -> Shape:
        """A function of the params and now: one linked beforehand when it reads nothing from
        around it, else one in its place."""
        used, self.used = self.used, set()
        variables, self.variables = self.variables, {**self.variables, **bound}
        around = self.functions[-1]
        self.bindings += len(params)
        self.functions.append(_Function(around.first + around.taken))
        body = emit()
        self.bindings -= len(params)
        outer = self.used.difference(params)
        self.used, self.variables = used | outer, variables
        if not outer:
            return self.constant(self.closed((*params, "now"), body))
        inner = self.functions.pop()
        around.constants.update(inner.constants)
        around.taken += len(inner.constants)
        around.size += inner.size
        return py.function((*params, "now"), body)

    def always(self) -> Shape:
        return self.constant(always)


def always(element: Any, now: Any) -> bool:
    return True
