"""A profile's events as they lie in memory. Pure.

As Python objects an event takes several kilobytes; packed, without what no rule reads, a hundredth
of that. Rules seldom go through old events: then they are unpacked. The newest one is there whole
as well: where a page's server and its script report one visit, the second report finds it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import eq
from struct import Struct as Layout
from typing import Any, overload

from msgspec import Struct

from perso_core.decision.event import Event
from perso_core.decision.projection import NOTHING_KEPT, Projection, event_of, whole_event


class Newest(Struct, frozen=True, gc=False):
    """An event as it is packed, and packed whole."""

    row: bytes
    whole: bytes


# What is kept of an event; or a whole one: not packed yet, or with values that no packing takes.
Row = bytes | Newest | Event
_NUMBER = Layout("=q")


class KeptEvents(Sequence[Event]):
    """Events, oldest first by time, arrival breaking ties: a value; a change makes a new one.

    projection: what is kept of those that are packed. Equal to any sequence of the same events.
    """

    # times: milliseconds. marks: a hash of each id. Both eight bytes a number. loose: no row before
    # this place is to be packed.
    __slots__ = ("_loose", "_marks", "_rows", "_times", "projection")

    def __init__(
        self, projection: Projection, times: bytes, marks: bytes, rows: tuple[Row, ...], loose: int
    ) -> None:
        self.projection = projection
        self._times = times
        self._marks = marks
        self._rows = rows
        self._loose = loose

    @classmethod
    def of(cls, events: Iterable[Event]) -> KeptEvents:
        """Events, oldest first, all whole. Itself where it is that already."""
        if isinstance(events, KeptEvents):
            return events
        known = tuple(events)
        times = array("q", [event.timestamp_ms for event in known]).tobytes()
        marks = array("q", [hash(event.id) for event in known]).tobytes()
        return cls(NOTHING_KEPT, times, marks, known, 0)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | Sequence[Event]:
        return tuple(self)[place]

    def __iter__(self) -> Iterator[Event]:
        return map(self._event, self._rows, self._milliseconds())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def xdm(self) -> list[Mapping[str, Any]]:
        """Of each event, as rules see it."""
        unpacked = self.projection.unpacked
        return [
            row.xdm if isinstance(row, Event) else unpacked(_row(row), at_ms)
            for row, at_ms in zip(self._rows, self._milliseconds(), strict=True)
        ]

    def place_of(self, event_id: str) -> int | None:
        """Where the event of this id is; None: there is none."""
        mark, at = _NUMBER.pack(hash(event_id)), -1
        while (at := self._marks.find(mark, at + 1)) >= 0:
            if at % _NUMBER.size == 0:
                place = at // _NUMBER.size
                if self._event(self._rows[place], 0).id == event_id:
                    return place
        return None

    def whole_at(self, place: int) -> Event | None:
        """The event at this place; None: it is packed."""
        row = self._rows[place]
        if isinstance(row, Newest):
            return event_of(row.whole)
        return row if isinstance(row, Event) else None

    def with_event(self, event: Event) -> KeptEvents:
        """With one more, whose id is none of theirs, whole."""
        time, mark = _NUMBER.pack(event.timestamp_ms), _NUMBER.pack(hash(event.id))
        if not self._rows or self._last_ms() <= event.timestamp_ms:
            rows = (*self._rows, event)
            return self._with(self._times + time, self._marks + mark, rows, self._loose)
        place = bisect_right(self._milliseconds(), event.timestamp_ms)
        at = place * _NUMBER.size
        return self._with(
            self._times[:at] + time + self._times[at:],
            self._marks[:at] + mark + self._marks[at:],
            (*self._rows[:place], event, *self._rows[place:]),
            min(self._loose, place),
        )

    def replaced(self, place: int, event: Event) -> KeptEvents:
        """With another report of the event at this place, of the same id and time."""
        rows = (*self._rows[:place], event, *self._rows[place + 1 :])
        return self._with(self._times, self._marks, rows, min(self._loose, place))

    def newest(self, count: int) -> KeptEvents:
        """The last so many. Itself when there are no more."""
        return self if len(self) <= count else self._from(len(self) - count)

    def since(self, oldest_ms: int) -> KeptEvents:
        """Those of that instant and later. Itself when that is all of them."""
        if not self._rows or _NUMBER.unpack_from(self._times)[0] >= oldest_ms:
            return self
        return self._from(bisect_right(self._milliseconds(), oldest_ms - 1))

    def knows_for(self, projection: Projection) -> bool:
        """Whether all is here that the projection keeps."""
        return self.projection.covers(projection) or all(
            isinstance(row, Event) for row in self._rows
        )

    def packed(self, projection: Projection) -> KeptEvents:
        """With what the projection keeps of them: no more than is kept already. Itself where that
        is so."""
        last = len(self._rows) - 1
        same = self.projection is projection
        if same and self._loose > last:
            return self
        before = self._rows[: self._loose] if same else ()
        if before and isinstance(before[-1], Newest):
            before = (*before[:-1], before[-1].row)
        loose = [self._packed(place, projection) for place in range(len(before), last)]
        rows = (*before, *loose, *([self._newest(last, projection)] if last >= 0 else ()))
        return KeptEvents(projection, self._times, self._marks, rows, len(rows))

    def _packed(self, place: int, projection: Projection) -> Row:
        row = self._rows[place]
        if isinstance(row, Event):
            return projection.packed(row)
        if projection is self.projection:
            return _row(row)
        return projection.packed(self._event(row, self._milliseconds()[place]))

    def _newest(self, place: int, projection: Projection) -> Row:
        event = self.whole_at(place)
        row = self._packed(place, projection)
        if event is None or not isinstance(row, bytes):
            return row
        whole = whole_event(event)
        return event if whole is None else Newest(row, whole)

    def _event(self, row: Row, at_ms: int) -> Event:
        """Of a packed one what is kept of it."""
        if isinstance(row, Event):
            return row
        xdm = self.projection.unpacked(_row(row), at_ms)
        return Event(id=xdm["_id"], timestamp_ms=at_ms, xdm=xdm)

    def _with(self, times: bytes, marks: bytes, rows: tuple[Row, ...], loose: int) -> KeptEvents:
        return KeptEvents(self.projection, times, marks, rows, loose)

    def _from(self, place: int) -> KeptEvents:
        at, loose = place * _NUMBER.size, max(0, self._loose - place)
        return self._with(self._times[at:], self._marks[at:], self._rows[place:], loose)

    def _milliseconds(self) -> array[int]:
        return array("q", self._times)

    def _last_ms(self) -> int:
        last: int = _NUMBER.unpack_from(self._times, len(self._times) - _NUMBER.size)[0]
        return last


def _row(row: bytes | Newest) -> bytes:
    return row.row if isinstance(row, Newest) else row
