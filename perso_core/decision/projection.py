"""What of an event lies in memory: what some rule reads, packed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, groupby
from typing import Any

import msgspec
from msgspec import Raw

from perso_core.decision.event import Event
from perso_core.decision.large_integers import large_integer, packed, packed_plainly
from perso_core.pql.event_paths import DEEPEST, THERE

Paths = frozenset[tuple[str, ...]]
# For each name: the bit of its leaf, and what is below it (None of a leaf). Where something is, the
# bit tells that there is no object with some of that, but another value.
Tree = tuple[tuple[str, int, "Tree | None"], ...]
# The bit, the names before it, and its own.
Node = tuple[int, tuple[str, ...], str]

_NOTHING = object()
# An integer of MessagePack is below this.
_MAX_INTEGER = 2**64
# Elements of fewer bytes are sooner decoded than gone through as they are stored.
_SMALL_BYTES = 64
# So much of a text is kept where it is only told.
_SHOWN_CHARACTERS = 100


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
    the empty path is among them. A path into a list keeps it of each element. A path that ends with
    THERE keeps that something is there, and how many elements it has."""

    __slots__ = ("_leaves", "_nodes", "_others", "_tree", "paths", "whole")

    def __init__(self, paths: Paths) -> None:
        # The time is there in any case, and has nothing below it.
        known = [path for path in paths if path[:1] != ("timestamp",)]
        self.paths = _outermost(frozenset([*known, ("_id",)]))
        self.whole = () in self.paths
        leaves = [] if self.whole else sorted(self.paths)
        self._others = next(_bits_from(len(leaves)))
        self._tree = _tree(leaves, _bits_from(0), _bits_from(len(leaves)))
        self._nodes = list(_nodes(self._tree))
        self._leaves = [node for node in self._nodes if node[0] < self._others]

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
            values[0] = _bits(_gather(self._tree, xdm, values))
            kept = values
        try:
            return packed(kept)
        except TypeError:
            return event

    def packed_unread(self, event_id: str, timestamp_ms: int, xdm: dict[str, Raw]) -> bytes | None:
        """As `packed`, of an event whose fields are as they are stored: of those that are not kept
        nothing is made. None: it has to be read whole. Raises msgspec.DecodeError."""
        if not _stands(xdm, "_id", event_id) or not _stands(xdm, "timestamp", timestamp_ms):
            return None
        if self.whole:
            return packed_plainly(xdm)
        values: list[Any] = [0]
        values[0] = _bits(_gather_unread(self._tree, xdm, values))
        return packed(values)

    def unpacked(self, row: bytes, timestamp_ms: int) -> dict[str, Any]:
        """What `packed` kept of the event of this time, as rules see it."""
        kept = _decode(row)
        event: dict[str, Any] = kept if type(kept) is dict else self._spread(kept)
        event["timestamp"] = timestamp_ms
        return event

    def _spread(self, kept: list[Any]) -> dict[str, Any]:
        event: dict[str, Any] = {}
        place = 0
        here = kept[0] if type(kept[0]) is int else int.from_bytes(kept[0], "little")
        # Mostly each of the others is an object, or nothing.
        for flag, parents, name in self._leaves if here < self._others else self._nodes:
            if here & flag:
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


def _tree(
    leaves: Sequence[tuple[str, ...]],
    bits_of_leaves: Iterator[int],
    other_bits: Iterator[int],
    depth: int = 0,
) -> Tree:
    """leaves: sorted, none below another one."""
    nodes: list[tuple[str, int, Tree | None]] = []
    for name, at in groupby(leaves, key=lambda path: path[depth]):
        paths = list(at)
        if len(paths[0]) == depth + 1:
            nodes.append((name, next(bits_of_leaves), None))
        else:
            bit = next(other_bits)
            nodes.append((name, bit, _tree(paths, bits_of_leaves, other_bits, depth + 1)))
    return tuple(nodes)


def _nodes(tree: Tree, parents: tuple[str, ...] = ()) -> Iterator[Node]:
    """In the order in which what stands there is gathered."""
    for name, bit, below in tree:
        yield bit, parents, name
        if below is not None:
            yield from _nodes(below, (*parents, name))


def _asked(below: Tree) -> bool:
    """Whether a rule asks if there is something at all, above these."""
    return below[0][0] == THERE


def _gather(tree: Tree, value: dict[str, Any], values: list[Any]) -> int:
    """Adds what stands at the leaves, and gives one bit for each that is there."""
    here = 0
    for name, bit, below in tree:
        found = value.get(name, _NOTHING)
        if found is _NOTHING:
            continue
        if below is None:
            values.append(found)
            here |= bit
            continue
        if type(found) is dict:
            inner = _gather(below, found, values)
            if inner or not _asked(below):
                here |= inner
                continue
        elif type(found) is not list and not _asked(below):
            continue
        values.append(_trimmed(found, below, DEEPEST))
        here |= bit
    return here


def _trimmed(value: Any, tree: Tree, levels: int) -> Any:
    """What stands at the leaves of an object, or of each element of a list. Of another value no
    more is read than that it is there. levels: what lies deeper stays whole, as nothing does that
    a client may send."""
    if type(value) is dict:
        kept: dict[str, Any] = {}
        for name, _, below in tree:
            found = value.get(name, _NOTHING)
            if found is not _NOTHING:
                kept[name] = found if below is None else _trimmed(found, below, levels - 1)
        return kept
    if type(value) is list:
        if levels <= 0:
            return value
        members: list[Any] = []
        for one in value:
            members.append(_trimmed(one, tree, levels - 1))
        return members
    return value[:_SHOWN_CHARACTERS] if type(value) is str else value


def _stands(xdm: Mapping[str, Raw], name: str, value: object) -> bool:
    return name in xdm and _decode(xdm[name]) == value


def _gather_unread(tree: Tree, fields: dict[str, Raw], values: list[Any]) -> int:
    """As _gather."""
    here = 0
    for name, bit, below in tree:
        found = fields.get(name)
        if found is None:
            continue
        if below is None:
            values.append(found)
            here |= bit
            continue
        kind = _kind(found)
        if kind in _OBJECTS:
            inner = _gather_unread(below, _fields_in(found), values)
            if inner or not _asked(below):
                here |= inner
                continue
        elif kind not in _LISTS and not _asked(below):
            continue
        values.append(_trimmed_unread(found, below, DEEPEST))
        here |= bit
    return here


def _trimmed_unread(value: Raw, tree: Tree, levels: int) -> Any:
    """As _trimmed."""
    kind = _kind(value)
    if kind in _OBJECTS:
        fields, kept = _fields_in(value), dict[str, Any]()
        for name, _, below in tree:
            found = fields.get(name)
            if found is not None:
                kept[name] = found if below is None else _trimmed_unread(found, below, levels - 1)
        return kept
    if kind in _LISTS:
        if levels <= 0:
            return value
        if len(memoryview(value)) < _SMALL_BYTES * _count_in(value):
            return _trimmed(_decode(value), tree, levels)
        members: list[Any] = []
        for one in _members_in(value):
            members.append(_trimmed_unread(one, tree, levels - 1))
        return members
    if len(memoryview(value)) <= _SHOWN_CHARACTERS:  # bytes: there are no more characters
        return value
    text = _decode(value)
    return text[:_SHOWN_CHARACTERS] if type(text) is str else value


def _bits_from(place: int) -> Iterator[int]:
    return (1 << number for number in count(place))


def _bits(here: int) -> int | bytes:
    """As they are packed."""
    if here < _MAX_INTEGER:
        return here
    return here.to_bytes(here.bit_length() // 8 + 1, "little")


def _kind(value: Raw) -> int:
    """What it is, and of small ones how large: the first byte of MessagePack."""
    first: int = memoryview(value)[0]
    return first


def _count_in(value: Raw) -> int:
    """How many elements a list has."""
    kind = _kind(value)
    if kind == _LIST_16:
        return int.from_bytes(memoryview(value)[1:3], "big")
    return int.from_bytes(memoryview(value)[1:5], "big") if kind == _LIST_32 else kind & 15


NOTHING_KEPT = Projection(frozenset())

# How objects and lists begin in MessagePack.
_OBJECTS = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
_LIST_16, _LIST_32 = 0xDC, 0xDD
_LISTS = frozenset((*range(0x90, 0xA0), _LIST_16, _LIST_32))
_members_in = msgspec.msgpack.Decoder(list[Raw]).decode
_fields_in = msgspec.msgpack.Decoder(dict[str, Raw]).decode
_decode = msgspec.msgpack.Decoder(ext_hook=large_integer).decode
