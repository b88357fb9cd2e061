"""A profile's events as they lie in memory. Pure.

As Python objects an event takes several kilobytes; packed, without what no rule reads, a hundredth
of that; sixteen of them compressed together, a third of that again. Rules seldom go through old
events: then they are unpacked. The newest one is there whole as well: where a page's server and its
script report one visit, the second report finds it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import eq
from struct import Struct as Layout
from typing import Any, overload

from msgspec import Struct

from perso_core.decision.blocks import LARGE, SMALL, Block, block_of, blocks_of
from perso_core.decision.event import Event
from perso_core.decision.projection import NOTHING_KEPT, Projection, event_of, whole_event


class Newest(Struct, frozen=True, gc=False):
    """An event as it is packed, and packed whole."""

    row: bytes
    whole: bytes


class ReadEvent(Struct, frozen=True, gc=False):
    """An event as it was read. row: what is kept of it; itself where no packing takes it. whole:
    all of it, see whole_event."""

    id: str
    timestamp_ms: int
    row: bytes | Event
    whole: memoryview


class ParkedEvents(Struct, frozen=True, gc=False):
    """A profile's events between visits: see KeptEvents. The last block ends with the newest event
    whole, where that was there."""

    times: bytes
    marks: bytes
    blocks: tuple[Block, ...]
    gone: int


# What is kept of an event; or a whole one: not packed yet, or with values that no packing takes.
Row = bytes | Newest | Event
_TIME = Layout("=q")
_MARK = Layout("=I")
_TIME_BYTES, _MARK_BYTES = _TIME.size, _MARK.size
_time_packed, _time_unpacked, _mark_packed = _TIME.pack, _TIME.unpack_from, _MARK.pack
_MARK_BITS = 0xFFFFFFFF
_NO_BLOCKS: tuple[Block, ...] = ()


class KeptEvents:
    """Events, oldest first by time, arrival breaking ties: a value; a change makes a new one.

    projection: what is kept of those that are packed. Equal to any sequence of the same events.
    """

    # times: milliseconds, eight bytes each. marks: of the hash of each id the lowest four bytes: of
    # two that are the same the rows tell which it is. blocks: the oldest.
    # gone: so many rows of the first block are no events any more. rows: of the others. loose: no
    # row before this place is to be packed. woken: parked before, and nothing was packed since.
    __slots__ = (
        "_blocks",
        "_gone",
        "_loose",
        "_marks",
        "_rows",
        "_times",
        "_woken",
        "projection",
    )

    def __init__(
        self,
        projection: Projection,
        times: bytes,
        marks: bytes,
        rows: tuple[Row, ...],
        loose: int,
        blocks: tuple[Block, ...] = _NO_BLOCKS,
        gone: int = 0,
        *,
        woken: bool = False,
    ) -> None:
        self.projection = projection
        self._times = times
        self._marks = marks
        self._rows = rows
        self._loose = loose
        self._blocks = blocks
        self._gone = gone
        self._woken = woken

    @classmethod
    def of(cls, events: Iterable[Event]) -> KeptEvents:
        """Events, oldest first, all whole. Itself where it is that already."""
        if isinstance(events, KeptEvents):
            return events
        known = tuple(events)
        times = array("q", [event.timestamp_ms for event in known]).tobytes()
        marks = b"".join([_mark(event.id) for event in known])
        return cls(NOTHING_KEPT, times, marks, known, 0)

    @classmethod
    def read(cls, events: Iterable[ReadEvent], projection: Projection) -> KeptEvents:
        """As `packed` gives them, of events, oldest first, of which each is packed as it is read:
        so no more is in memory than what is kept."""
        times, marks = array("q"), bytearray()
        rows, blocks = list[Row](), list[Block]()
        last: ReadEvent | None = None
        for event in events:
            if last is not None:
                rows.append(last.row)
                if len(rows) == LARGE and len(packed := _first_packed(rows)) == LARGE:
                    blocks.append(block_of(packed))
                    rows.clear()
            times.append(event.timestamp_ms)
            marks += _mark(event.id)
            last = event
        if last is not None:
            row = last.row
            rows.append(row if isinstance(row, Event) else Newest(row, bytes(last.whole)))
        if len(rows) > SMALL:
            more = blocks_of(_first_packed(rows))
            blocks += more
            del rows[: sum(one.count for one in more)]
        read = times.tobytes(), bytes(marks)
        return cls(projection, *read, tuple(rows), len(rows), tuple(blocks))

    def __len__(self) -> int:
        return len(self._times) // _TIME_BYTES

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | Sequence[Event]:
        return tuple(self)[place]

    def __iter__(self) -> Iterator[Event]:
        return map(self._event, self._all_rows(), self._milliseconds())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def xdm(self) -> list[Mapping[str, Any]]:
        """Of each event, as rules see it."""
        projection = self.projection
        return [
            row.xdm if isinstance(row, Event) else projection.unpacked(_row(row), at_ms)
            for row, at_ms in zip(self._all_rows(), self._milliseconds(), strict=True)
        ]

    def place_of(self, event_id: str) -> int | None:
        """Where the event of this id is; None: there is none."""
        mark, at = _mark(event_id), -1
        while (at := self._marks.find(mark, at + 1)) >= 0:
            if at % _MARK_BYTES == 0:
                place = at // _MARK_BYTES
                if self._event(self._row_at(place), 0).id == event_id:
                    return place
        return None

    def time_at(self, place: int) -> int:
        """When the event at this place was, in epoch milliseconds."""
        found: int = _time_unpacked(self._times, place * _TIME_BYTES)[0]
        return found

    def whole_at(self, place: int) -> Event | None:
        """The event at this place; None: it is packed."""
        number = place - self._in_blocks()
        if number >= 0:
            return self._whole(self._rows[number])
        newest = self._newest_in_block() if number == -1 else None
        return event_of(newest) if newest is not None else None

    def with_event(self, event: Event) -> KeptEvents:
        """With one more, whose id is none of theirs, whole."""
        time, mark = _time_packed(event.timestamp_ms), _mark(event.id)
        if not self._times or self._last_ms() <= event.timestamp_ms:
            rows = self._rows + (event,)  # noqa: RUF005  # by unpacking it would be a list first
            return self._with(self._times + time, self._marks + mark, rows, self._loose)
        place = bisect_right(self._milliseconds(), event.timestamp_ms)
        at, mark_at = place * _TIME_BYTES, place * _MARK_BYTES
        known = self._loosened(place)
        number = place - known._in_blocks()
        return known._with(
            self._times[:at] + time + self._times[at:],
            self._marks[:mark_at] + mark + self._marks[mark_at:],
            (*known._rows[:number], event, *known._rows[number:]),
            min(known._loose, number),
        )

    def replaced(self, place: int, event: Event) -> KeptEvents:
        """With another report of the event at this place, of the same id and time."""
        known = self._loosened(place)
        number = place - known._in_blocks()
        rows = (*known._rows[:number], event, *known._rows[number + 1 :])
        return known._with(self._times, self._marks, rows, min(known._loose, number))

    def ending(self, count: int, events: Sequence[Event]) -> KeptEvents:
        """The first so many and then these, whole, none of which is before one of those."""
        known = self._loosened(count)
        number = count - known._in_blocks()
        times = array("q", [event.timestamp_ms for event in events]).tobytes()
        return known._with(
            self._times[: count * _TIME_BYTES] + times,
            self._marks[: count * _MARK_BYTES] + b"".join([_mark(event.id) for event in events]),
            (*known._rows[:number], *events),
            min(known._loose, number),
        )

    def newest(self, count: int) -> KeptEvents:
        """The last so many. Itself when there are no more."""
        return self if len(self) <= count else self._from(len(self) - count)

    def since(self, oldest_ms: int) -> KeptEvents:
        """Those of that instant and later. Itself when that is all of them."""
        if not self._times or _time_unpacked(self._times)[0] >= oldest_ms:
            return self
        return self._from(bisect_right(self._milliseconds(), oldest_ms - 1))

    def knows_for(self, projection: Projection) -> bool:
        """Whether all is here that the projection keeps."""
        return self.projection.covers(projection) or self._are_whole()

    # ---- packing

    def packed(self, projection: Projection) -> KeptEvents:
        """With what the projection keeps of them: no more than is kept already. Itself where that
        is so."""
        if self.projection is not projection:
            every = self._loosened(0)
            return every._packed_from(0, projection) if every._rows else every._none(projection)
        if self._loose == len(self._rows):
            return self
        return self._packed_from(self._loose, projection)

    def _packed_from(self, loose: int, projection: Projection) -> KeptEvents:
        """loose: no row before it is to be packed; there is one at it, or after it."""
        before, last = self._rows[:loose], len(self._rows) - 1
        if before and isinstance(before[-1], Newest):
            before = (*before[:-1], before[-1].row)
        packed = [self._packed(number, projection) for number in range(loose, last)]
        rows, blocks = (*before, *packed, self._newest(last, projection)), self._blocks
        if len(rows) > SMALL:
            more = blocks_of(_first_packed(rows))
            if more:
                blocks = (*blocks, *more)
                rows = rows[sum(one.count for one in more) :]
        return KeptEvents(projection, self._times, self._marks, rows, len(rows), blocks, self._gone)

    def _packed(self, number: int, projection: Projection) -> Row:
        row = self._rows[number]
        if isinstance(row, Event):
            return projection.packed(row)
        if projection is self.projection:
            return _row(row)
        at_ms = self._milliseconds()[self._in_blocks() + number]
        return projection.packed(self._event(row, at_ms))

    def _newest(self, number: int, projection: Projection) -> Row:
        event = self._whole(self._rows[number])
        row = self._packed(number, projection)
        if event is None or not isinstance(row, bytes):
            return row
        try:
            return Newest(row, whole_event(event))
        except TypeError:
            return event

    def _none(self, projection: Projection) -> KeptEvents:
        return KeptEvents(projection, b"", b"", (), 0)

    # ---- between visits

    def parked(self) -> ParkedEvents | None:
        """All in as few blocks as possible; None where one of them is in none."""
        blocks, rows = [*self._blocks], _first_packed(self._rows)
        gone = self._gone
        after = list[bytes]()
        if len(rows) < len(self._rows):
            last = self._rows[-1]
            if len(rows) < len(self._rows) - 1 or not isinstance(last, Newest):
                return None
            rows.append(last.row)
            after.append(last.whole)
        if blocks and not rows:
            return ParkedEvents(self._times, self._marks, self._blocks, gone)
        while blocks and blocks[-1].count + len(rows) <= LARGE:
            found = blocks.pop().rows()
            if not blocks:
                found, gone = found[gone:], 0
            rows[:0] = found
        if rows:
            blocks.append(block_of(rows, after))
        return ParkedEvents(self._times, self._marks, tuple(blocks), gone)

    @classmethod
    def woken(cls, parked: ParkedEvents, projection: Projection) -> KeptEvents:
        """What was parked. projection: what it had."""
        times, marks, blocks = parked.times, parked.marks, parked.blocks
        return cls(projection, times, marks, (), 0, blocks, parked.gone, woken=bool(blocks))

    # ---- inside

    def _are_whole(self) -> bool:
        return not self._blocks and all(isinstance(row, Event) for row in self._rows)

    def _in_blocks(self) -> int:
        """How many events are in blocks."""
        return len(self) - len(self._rows)

    def _all_rows(self) -> Iterable[Row]:
        if not self._blocks:
            return self._rows
        first, *others = self._blocks
        compressed = chain(first.rows()[self._gone :], *[one.rows() for one in others])
        return chain(compressed, self._rows)

    def _row_at(self, place: int) -> Row:
        number = place - self._in_blocks()
        if number >= 0:
            return self._rows[number]
        place += self._gone
        for block in self._blocks:
            if place < block.count:
                return block.rows()[place]
            place -= block.count
        raise AssertionError("there are as many rows as times")

    def _loosened(self, place: int) -> KeptEvents:
        """With no event in a block from this place on. Itself where that is so."""
        if place >= self._in_blocks():
            return self
        blocks, rows = [*self._blocks], list[Row]()
        compressed = self._in_blocks()
        while blocks and place < compressed:
            block = blocks.pop()
            found = block.rows() if blocks else block.rows()[self._gone :]
            compressed -= len(found)
            rows[:0] = found
        newest, whole = rows[-1], self._newest_in_block()
        if whole is not None and isinstance(newest, bytes):
            rows[-1] = Newest(newest, whole)
        return KeptEvents(
            self.projection,
            self._times,
            self._marks,
            (*rows, *self._rows),
            len(rows) + self._loose,
            tuple(blocks),
            self._gone if blocks else 0,
        )

    def _newest_in_block(self) -> bytes | None:
        """The last event in a block, whole; None: it is not there."""
        after = self._blocks[-1].after() if self._woken else ()
        return after[0] if after else None

    def _event(self, row: Row, at_ms: int) -> Event:
        """Of a packed one what is kept of it."""
        if isinstance(row, Event):
            return row
        xdm = self.projection.unpacked(_row(row), at_ms)
        return Event(id=xdm["_id"], timestamp_ms=at_ms, xdm=xdm)

    def _whole(self, row: Row) -> Event | None:
        if isinstance(row, Newest):
            return event_of(row.whole)
        return row if isinstance(row, Event) else None

    def _with(self, times: bytes, marks: bytes, rows: tuple[Row, ...], loose: int) -> KeptEvents:
        blocks, gone, woken = self._blocks, self._gone, self._woken
        return KeptEvents(self.projection, times, marks, rows, loose, blocks, gone, woken=woken)

    def _from(self, place: int) -> KeptEvents:
        number = place - self._in_blocks()
        blocks, gone = self._blocks, self._gone + place
        while blocks and gone >= blocks[0].count:
            gone -= blocks[0].count
            blocks = blocks[1:]
        rows = self._rows if number < 0 else self._rows[number:]
        loose = self._loose if number < 0 else max(0, self._loose - number)
        return KeptEvents(
            self.projection,
            self._times[place * _TIME_BYTES :],
            self._marks[place * _MARK_BYTES :],
            rows,
            loose,
            blocks,
            gone if blocks else 0,
            woken=self._woken and bool(blocks),
        )

    def _milliseconds(self) -> array[int]:
        return array("q", self._times)

    def _last_ms(self) -> int:
        return self.time_at(len(self) - 1)


# A sequence, though without the base: a class of C has none of Python's. Compiled it cannot be
# copied or pickled.
Sequence.register(KeptEvents)
Events = Sequence[Event] | KeptEvents


def _mark(event_id: str) -> bytes:
    return _mark_packed(hash(event_id) & _MARK_BITS)


def _row(row: bytes | Newest) -> bytes:
    return row.row if isinstance(row, Newest) else row


def _first_packed(rows: Sequence[Row]) -> list[bytes]:
    """The rows up to the first that no block takes."""
    found: list[bytes] = []
    for row in rows:
        if not isinstance(row, bytes):
            break
        found.append(row)
    return found
