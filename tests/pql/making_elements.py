"""Rules about what stands in lists of events, and events with anything there: objects, lists of
lists, a value where an object was expected, null, nothing, numbers of any size, long texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.pql.making_focused import Author
from tests.pql.making_profiles import DAY_MS, HOUR_MS, Chooser, tapes

NOW_MS = 1_774_742_400_000
# Any of them may stand in any, as an object, as a list or as neither.
NAMES = ("a", "b", "n", "os", "m")
SCALARS = (None, True, False, 0, 1, 2, 2.5, "a", "b", "", "1", 2**70, -(2**65), "a" * 150, "b" * 90)


class Elements(Author):
    """Writes a rule about events. names: of what stands for an event or for a part of one."""

    def __init__(self, tape: bytes) -> None:
        super().__init__(tape)
        self.names: tuple[str, ...] = ()

    def path(self) -> str:
        names = [self.one(*NAMES) for _ in range(1 + self.below(3))]
        started = [self.one(*self.names)] if self.names and self.below(3) else []
        carets = "^" * (not started and self.below(6) == 0 and len(self.names) > 1)
        return carets + ".".join((*started, *names))

    def inside(self, write: Callable[[], str], name: str) -> str:
        before, self.names = self.names, (*self.names, name)
        found = write()
        self.names = before
        return found

    def fresh(self) -> str:
        return f"X{len(self.names)}"

    def of_each(self, left: int, write: Callable[[int], str]) -> str:
        """What a function asks of each element."""
        name = self.fresh()
        if self.below(2):
            return self.inside(lambda: f"{name} => {write(left - 1)}", name)
        return write(left - 1)

    def items(self, left: int) -> str:
        """A list, or what may be one."""
        plain: tuple[Callable[[], str], ...] = (self.path, self.path, self.path, self.named)
        if left <= 0:
            return self.one(*plain)
        inner = left - 1
        return self.one(
            *plain,
            lambda: f"{self.items(inner)}[{self.truth(inner)}]",
            lambda: f"{self.items(inner)}.filter({self.of_each(left, self.truth)})",
            lambda: f"{self.items(inner)}.map({self.of_each(left, self.items)})",
            lambda: f"{self.items(inner)}.topN({self.path()}, {self.one('1', '2')})",
            lambda: f"{self.items(inner)}.bottomN({self.of_each(1, self.items)}, 1)",
            lambda: f"{self.items(inner)}.distinct()",
            lambda: f"{self.items(inner)}.intersection({self.items(inner)})",
            lambda: f"{self.items(inner)}.head()",
            lambda: f"{self.items(inner)}.head().{self.one(*NAMES)}",
            lambda: f"{self.items(inner)}.values()",
            lambda: f"{self.items(inner)}.keys()",
            lambda: f'{self.items(inner)}.get("{self.one(*NAMES)}")',
            lambda: f"{self.groups(inner)}.get({self.one('1', '2.5', 'true')})",
            lambda: f'{self.groups(inner)}.get("a").{self.one(*NAMES)}',
            lambda: f"{self.groups(inner)}.{self.one('a', 'b')}.{self.one(*NAMES)}",
            lambda: f"{self.groups(inner)}.values().{self.one(*NAMES)}",
            lambda: f"{self.groups(inner)}.map((K, G) => {self.of_groups(inner)})",
            lambda: f"{self.items(inner)}.map((K, G) => {self.of_groups(inner)})",
            lambda: f"{self.entries(inner)}.{self.one('a', 'b')}.{self.one(*NAMES)}",
            lambda: f"{self.entries(inner)}.values()",
            lambda: f"[{self.items(inner)}, {self.items(inner)}].{self.one(*NAMES)}",
            lambda: f'{{"a": {self.items(inner)}}}.a.{self.one(*NAMES)}',
            lambda: f"(if({self.truth(inner)}, {self.items(inner)}, {self.items(inner)}))",
            lambda: f"(select {self.ranged(inner)})",
        )

    def named(self) -> str:
        return self.one(*self.names) if self.names else self.path()

    def groups(self, left: int) -> str:
        return f"{self.items(left)}.groupBy({self.path()})"

    def entries(self, left: int) -> str:
        name = self.fresh()
        made = self.inside(lambda: f"mapEntry({self.path()}, {self.items(left)})", name)
        return f"{self.items(left)}.map({name} => {made})"

    def of_groups(self, left: int) -> str:
        return self.inside(lambda: self.items(left), "G")

    def ranged(self, left: int) -> str:
        name = self.fresh()
        array = self.items(left)
        return f"{name} from {array} where " + self.inside(lambda: self.truth(left), name)

    def truth(self, left: int) -> str:
        """What may be asked of an event, or of an element."""
        inner = left - 1
        plain: tuple[Callable[[], str], ...] = (
            lambda: f"{self.path()} = {self.one('1', '2.5', self.text)}",
            lambda: f"{self.path()} {self.one('<', '>=', '!=')} {self.one('1', '2')}",
            lambda: f"{self.path()}.{self.one('isNull()', 'isNotNull()', 'exists()')}",
            lambda: f"{self.path()}.count() {self.one('>', '<', '=')} {self.one('1', '2')}",
            lambda: f"{self.path()}.{self.one('equals', 'doesNotContain')}({self.text()})",
            lambda: f"{self.path()} {self.one('=', '!=', 'in', 'notIn')} {self.path()}",
            self.path,
        )
        if left <= 0:
            return self.one(*plain)
        return self.one(
            *plain,
            lambda: f"{self.items(inner)}.exists({self.of_each(left, self.truth)})",
            lambda: f"{self.items(inner)}.exists({self.of_each(left, self.truth)})",
            lambda: f"{self.items(inner)}.forall({self.of_each(left, self.truth)})",
            lambda: f"{self.items(inner)}.{self.one('exists()', 'isNull()', 'isNotNull()')}",
            lambda: f"{self.items(inner)}.count() {self.compared()}",
            lambda: (
                f"{self.items(inner)}.{self.one('sum', 'max')}({self.path()}) {self.compared()}"
            ),
            lambda: f"{self.items(inner)}.{self.one('sum', 'min')}() {self.compared()}",
            lambda: (
                f"{self.items(inner)}.{self.one('intersects', 'subsetOf')}({self.items(inner)})"
            ),
            lambda: f"{self.items(inner)}.includes({self.items(inner)})",
            lambda: f"{self.items(inner)} {self.one('=', '!=', 'in')} {self.items(inner)}",
            lambda: self.items(inner),
            lambda: f"({self.one('exists', 'forall')} {self.ranged(inner)})",
            lambda: f"(sum {self.path()} over {self.ranged(inner)}) {self.compared()}",
            lambda: (
                f"(let L = {self.items(inner)} in {self.inside(lambda: self.truth(inner), 'L')})"
            ),
            lambda: f"({self.truth(inner)} {self.one('and', 'or')} {self.truth(inner)})",
            lambda: f"not({self.truth(inner)})",
            lambda: f"CHAIN({self.items(inner)}, n, [A: WHAT({self.truth(inner)})])",
        )

    def rule(self) -> str:
        name = self.fresh()
        return self.one(
            lambda: f"xEvent.exists({self.of_each(4, self.truth)})",
            lambda: f"xEvent[{self.truth(3)}].count() {self.compared()}",
            lambda: f"xEvent.forall({self.of_each(3, self.truth)})",
            lambda: f"xEvent.filter({self.of_each(3, self.truth)}).{self.of_events()}",
            lambda: f"xEvent.{self.of_events()}",
            lambda: (
                f"CHAIN(xEvent, timestamp, [A: WHAT({self.truth(3)}), B: WHAT({self.truth(2)})])"
            ),
            lambda: f"CHAIN(xEvent, n, [A: WHAT({self.truth(3)}) WHEN(<= 3 days before now)])",
            lambda: f"(exists {name} from xEvent where {self.inside(lambda: self.truth(3), name)})",
            lambda: f"(select {name} from xEvent where {self.inside(lambda: self.truth(3), name)})",
            lambda: f"xEvent.groupBy({self.path()}).map((K, G) => {self.of_groups(2)}).count() > 1",
            lambda: f"xEvent.groupBy({self.path()}).{self.one('a', 'b')}.{self.of_events()}",
            lambda: f"xEvent.map({self.of_each(3, self.items)}).exists({self.truth(2)})",
        )

    def of_events(self) -> str:
        """Of what came from events, whatever it is."""
        names = ".".join(self.one(*NAMES) for _ in range(1 + self.below(3)))
        return self.one(
            lambda: f"{names}.count() {self.compared()}",
            lambda: f"{names}.exists({self.of_each(3, self.truth)})",
            lambda: f"{names}.sum({self.path()}) {self.compared()}",
            lambda: f"{names}.distinct().count() {self.compared()}",
            lambda: f"{names} = {self.one('1', self.text)}",
            names,
        )


class Visits(Chooser):
    """Events."""

    def value(self, left: int) -> Any:
        form = self.below(8) if left > 0 else 7
        if form < 3:
            return self.several(3, lambda: self.value(left - 1))
        if form < 6:
            return self.fields(left - 1)
        return self.pick(SCALARS)

    def fields(self, left: int) -> dict[str, Any]:
        return {name: self.value(left) for name in NAMES if self.below(3)}

    def event(self) -> dict[str, Any]:
        return {**self.fields(3), "timestamp": NOW_MS - HOUR_MS * self.below(100)}

    def situation(self) -> tuple[dict[str, Any], int, int]:
        return {"xEvent": self.several(4, self.event)}, NOW_MS, 35 * DAY_MS


@st.composite
def situations_made(draw: Any) -> Any:
    return Visits(draw(tapes)).situation()


@st.composite
def rules_made(draw: Any) -> str:
    return Elements(draw(tapes)).rule()


situations = situations_made()
rules = rules_made()
