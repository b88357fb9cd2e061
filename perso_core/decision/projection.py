"""What of an event lies in memory: what some rule reads, packed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from perso_core.decision.event import Event
from perso_core.decision.large_integers import large_integer, packed, packed_plainly

Paths = frozenset[tuple[str, ...]]
# For each name the bit of its leaf, or what is below it.
Tree = tuple[tuple[str, int, "Tree | None"], ...]

_NOTHING = object()
_NO_OBJECT = -1


def whole_event(event: Event) -> bytes:
    """All of an event, as it is stored and as the newest one lies in memory: made once, by whoever
    is the first to ask, on any thread. Raises TypeError where it has values that no packing takes.
    """
    made = event.__dict__
    whole: bytes | None = made.get("whole")
    if whole is None:
        whole = made["whole"] = packed(_fields(event))
    return whole


def has_large_integers(event: Event) -> bool:
    """Whether it holds integers of more than 64 bits. If not, whole_event has its bytes by this."""
    try:
        event.__dict__["whole"] = packed_plainly(_fields(event))
    except OverflowError:
        return True
    return False


def _fields(event: Event) -> tuple[Any, ...]:
    return event.id, event.timestamp_ms, event.xdm, event.client_timestamp


def event_of(whole: bytes) -> Event:
    """The event of which `whole_event` made these bytes."""
    event_id, timestamp_ms, xdm, client_timestamp = _decode(whole)
    return Event(id=event_id, timestamp_ms=timestamp_ms, xdm=xdm, client_timestamp=client_timestamp)


class Projection:
    """What is kept of an event: its id, its time and what stands at these paths; all of it where
    the empty path is among them."""

    __slots__ = ("_leaves", "_tree", "paths", "whole")

    def __init__(self, paths: Paths) -> None:
        self.paths = _outermost(paths | {("_id",)}) - {("timestamp",)}
        self.whole = () in self.paths
        self._leaves = sorted(self.paths)
        self._tree: Tree = () if self.whole else _tree(self._leaves)

    def covers(self, other: Projection) -> bool:
        """Whether all that the other one keeps is kept here."""
        return self is other or all(
            any(path[:size] in self.paths for size in range(len(path) + 1)) for path in other.paths
        )

    def packed(self, event: Event) -> bytes | Event:
        """What is kept of the event; the event itself where it has values that no packing takes."""
        xdm = event.xdm if type(event.xdm) is dict else dict(event.xdm)
        if xdm.get("_id") != event.id or xdm.get("timestamp") != event.timestamp_ms:
            return event
        kept: Any = xdm
        if not self.whole:
            values: list[Any] = [0]
            values[0] = _gather(self._tree, xdm, values)
            kept = values if values[0] != _NO_OBJECT else _trimmed(xdm, self._tree)
        try:
            return packed(kept)
        except TypeError:
            return event

    def packed_unread(
        self, event_id: str, timestamp_ms: int, xdm: Mapping[str, Raw]
    ) -> bytes | None:
        """As `packed`, of an event whose fields are as they are stored: of those that are not kept
        nothing is made. None: it has to be read whole. Raises msgspec.DecodeError."""
        if not _stands(xdm, "_id", event_id) or not _stands(xdm, "timestamp", timestamp_ms):
            return None
        if self.whole:
            return packed_plainly(xdm)
        values: list[Any] = [0]
        values[0] = _gather_unread(self._tree, xdm, values)
        return packed(values) if values[0] != _NO_OBJECT else None

    def unpacked(self, row: bytes, timestamp_ms: int) -> dict[str, Any]:
        """What `packed` kept of the event of this time, as rules see it."""
        kept = _decode(row)
        event: dict[str, Any] = kept if type(kept) is dict else self._spread(kept)
        event["timestamp"] = timestamp_ms
        return event

    def _spread(self, kept: Sequence[Any]) -> dict[str, Any]:
        event: dict[str, Any] = {}
        here, place = kept[0], 0
        for number, (*parents, name) in enumerate(self._leaves):
            if here >> number & 1:
                place += 1
                inner = event
                for parent in parents:
                    inner = inner.setdefault(parent, {})
                inner[name] = kept[place]
        return event


def _outermost(paths: Paths) -> Paths:
    """Those that are below no other one."""
    return frozenset(
        path for path in paths if not any(path[:size] in paths for size in range(len(path)))
    )


def _tree(leaves: Sequence[tuple[str, ...]], depth: int = 0, first: int = 0) -> Tree:
    """leaves: sorted, none below another one. first: the number of the first of them."""
    nodes: list[tuple[str, int, Tree | None]] = []
    at = 0
    while at < len(leaves):
        name, end = leaves[at][depth], at
        while end < len(leaves) and leaves[end][depth] == name:
            end += 1
        leaf = len(leaves[at]) == depth + 1
        below = None if leaf else _tree(leaves[at:end], depth + 1, first + at)
        nodes.append((name, 1 << first + at, below))
        at = end
    return tuple(nodes)


def _gather(tree: Tree, value: dict[str, Any], values: list[Any]) -> int:
    """Adds what stands at the leaves, and gives one bit for each that is there; _NO_OBJECT: where
    an object is asked for stands something else."""
    here = 0
    for name, flag, below in tree:
        found = value.get(name, _NOTHING)
        if found is _NOTHING:
            continue
        if below is None:
            values.append(found)
            here |= flag
        elif type(found) is dict:
            inner = _gather(below, found, values)
            if inner == _NO_OBJECT:
                return _NO_OBJECT
            here |= inner
        else:
            return _NO_OBJECT
    return here


def _stands(xdm: Mapping[str, Raw], name: str, value: object) -> bool:
    return name in xdm and _decode(xdm[name]) == value


def _gather_unread(tree: Tree, fields: Mapping[str, Raw], values: list[Any]) -> int:
    """As _gather."""
    here = 0
    for name, flag, below in tree:
        found = fields.get(name)
        if found is None:
            continue
        if below is None:
            values.append(found)
            here |= flag
        elif bytes(memoryview(found)[:1]) in _OBJECTS:
            inner = _gather_unread(below, _fields_in(found), values)
            if inner == _NO_OBJECT:
                return _NO_OBJECT
            here |= inner
        else:
            return _NO_OBJECT
    return here


def _trimmed(value: dict[str, Any], tree: Tree) -> dict[str, Any]:
    """What stands at the leaves, and whole what is no object where one is asked for, such as a
    list of objects."""
    kept: dict[str, Any] = {}
    for name, _, below in tree:
        found = value.get(name, _NOTHING)
        if found is not _NOTHING:
            inner = below is not None and type(found) is dict
            kept[name] = _trimmed(found, below) if below is not None and inner else found
    return kept


NOTHING_KEPT = Projection(frozenset())

# How objects begin in MessagePack.
_OBJECTS = frozenset(bytes([first]) for first in (*range(0x80, 0x90), 0xDE, 0xDF))
_fields_in = msgspec.msgpack.Decoder(dict[str, Raw]).decode
_decode = msgspec.msgpack.Decoder(ext_hook=large_integer).decode
