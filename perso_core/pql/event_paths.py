"""What a rule reads of an event: what of the events has to be kept at hand for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from perso_core.pql.nodes import (
    Chain,
    Constant,
    Events,
    Filter,
    Lambda,
    Let,
    Method,
    Node,
    Over,
    Path,
    Product,
    Range,
    Step,
    Sum,
    Variable,
)

NO_PATHS: tuple[tuple[str, ...], ...] = ()


class OfEvents:
    """What a rule reads of events, gathered node by node. Every path counts, whatever it starts
    from: what is read below it is read of it."""

    def __init__(self) -> None:
        self.paths: set[tuple[str, ...]] = set()
        self._alone: set[str] = set()  # variables that are read as they are
        self._harmless: set[str] = set()  # that are no event
        self._doubtful: set[str] = set()  # that may be one

    def alone(self, leaf: Node) -> None:
        """A leaf that no path starts from."""
        if type(leaf) is Variable:
            self._alone.add(leaf.name)
        elif type(leaf) is not Constant:
            self.paths.add(())

    def below(self, node: Node, below: Sequence[Node]) -> None:
        """A node that is no leaf, with what is below it."""
        if type(node) is Step:
            self._harmless.add(node.label)
        elif type(node) is Chain:
            # What the events are in the order of; the checker leaves it as it is written.
            self.paths.add(node.order.segments if type(node.order) is Path else ())
        elif type(node) is Let:
            number = type(node.bound) in (Over, Sum, Product)
            (self._harmless if number else self._doubtful).add(node.name)
        elif type(node) is Range:
            self._bound((node.name,), node.array)
        elif type(node) is Method:
            for argument in node.args:
                if type(argument) is Lambda:
                    self._bound(argument.names, node.base)
        if Events in map(type, below) and not (
            type(node) in (Path, Filter, Range, Chain)
            or (type(node) is Method and Events not in map(type, node.args))
        ):
            self.paths.add(())

    def _bound(self, names: Sequence[str], of: Node) -> None:
        (self._harmless if type(of) is Path else self._doubtful).update(names)

    def read(self) -> set[tuple[str, ...]]:
        if self._alone - (self._harmless - self._doubtful):
            return {()}
        return self.paths


def one_in_another(found: Collection[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The paths, without those that another one holds, ascending."""
    if not found:
        return NO_PATHS
    return tuple(
        sorted(path for path in found if not any(path[:size] in found for size in range(len(path))))
    )
