"""Where one visitor stands with every rule of a set: an immutable value that events carry on.

A bit stands for a rule by its position in the set.
"""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from struct import Struct as Layout

from msgspec import Struct

from perso_core.pql.windows import FOREVER_MS, NEVER_MS
from perso_core.rules.judging import Over
from perso_core.rules.layered import NO_ENTRIES, Layered

# Events, the newest last: the time of that one, how many there are in all, the times of up to
# CHUNK of them (eight bytes each), the conditions that each of these satisfies, the events before.
# A chain of chunks: a new event touches none but the last, and an event takes 20 bytes rather than
# 110. A tuple and not a Struct: taking a long chain of Structs apart ends the machine's stack.
Log = tuple[int, int, bytes, tuple[int, ...], "Log | None"]

# What an event more has to copy, and what is saved, are both small at this number.
CHUNK = 32
_TIME = Layout("=q")
TIME = _TIME.size
_packed, _unpacked = _TIME.pack, _TIME.unpack_from


def logged(log: Log | None, at_ms: int, matched: int) -> Log:
    """The log with an event that is not before its newest."""
    if log is None:
        return at_ms, 1, _packed(at_ms), (matched,), None
    _, length, times, known, older = log
    if len(known) < CHUNK:
        satisfied = known + (matched,)  # noqa: RUF005  # by unpacking it would be a list first
        return at_ms, length + 1, times + _packed(at_ms), satisfied, older
    return at_ms, length + 1, _packed(at_ms), (matched,), log


def log_of(events: Iterable[tuple[int, int]]) -> Log | None:
    """events: (time, matched), oldest first."""
    known = [*events]
    times = array("q", [at_ms for at_ms, _ in known])
    return log_from(times.tobytes(), [matched for _, matched in known])


def log_from(times: bytes, matched: Sequence[int]) -> Log | None:
    """times: of the events, oldest first, eight bytes each; what each of them satisfies."""
    log: Log | None = None
    for at in range(0, len(matched), CHUNK):
        some = tuple(matched[at : at + CHUNK])
        length = at + len(some)
        log = time_at(times, length - 1), length, times[at * TIME : length * TIME], some, log
    return log


def newest_first(log: Log | None) -> Iterator[tuple[int, int]]:
    """(time, matched) of each event."""
    while log is not None:
        _, _, times, matched, log = log
        yield from zip(reversed(array("q", times)), reversed(matched), strict=True)


def time_at(times: bytes, place: int) -> int:
    """Of a chunk's event."""
    at_ms: int = _unpacked(times, place * TIME)[0]
    return at_ms


# The times at which one condition was satisfied: the latest time before the last one, then the
# last times ascending, as many as some rule counts. Empty: never.
Times = tuple[int, ...]

# For one step of a chain: the latest run of events up to and with it that ends strictly before
# the last one, and the last one. A run is the times of its events; empty: none.
Run = tuple[int, ...]
Reached = tuple[Run, Run]


class Ends(Struct, frozen=True, gc=False):
    """What ends first among the live bits of one class (rules whose event counts equally long).

    holders: the sensitive bits whose last event was the oldest; none: no sensitive bit is live.
    end_ms: when they end; FOREVER_MS: none does. Later events of other bits cannot lower it, and
    those of all holders have it end later than that.
    """

    holders: int = 0
    end_ms: int = FOREVER_MS


NOTHING_ENDS = Ends()


class Judged(Struct, frozen=True, gc=False, array_like=True):
    """How one rule stood when it was last judged: a rule of several literals or with a part that
    time alone changes, or one that is run.

    tables: its truth for each standing of its literals, given the profile, over time; empty: it
    is run, or was not judged yet. held: its silent parts that hold, one bit each, over time.
    watched: literals whose next event can change the answer, or when it ends, one bit each.
    standing: the literals that held. until_ms: when the answer changes with no news; FOREVER_MS:
    never. A literal that held alone may have been extended since: then it changes later.
    """

    tables: Over = ()
    held: Over = ()
    watched: int = 0
    standing: int = 0
    until_ms: int = FOREVER_MS


NOT_JUDGED = Judged()

# When rules are to be looked at again, ascending: of each the instant, and in the lowest bits the
# position. One number takes less than half of what a pair of two does.
Order = tuple[int, ...]
POSITION_BITS = 32
_POSITION = (1 << POSITION_BITS) - 1


def entry_of(at_ms: int, position: int) -> int:
    return at_ms << POSITION_BITS | position


def entry_ms(entry: int) -> int:
    return entry >> POSITION_BITS


def entry_position(entry: int) -> int:
    return entry & _POSITION


class Standing(Struct, frozen=True, gc=False, eq=False):
    """members: the rules that hold at now_ms. until_ms: the first later instant at which time
    alone changes one of them; FOREVER_MS: none.

    log: the events, None: there is none. For rules of one literal, by the rule's bit: live: the
    literal holds (nobody looks after bits that are not sensitive); base: the rule holds without it;
    sensitive: it changes the answer. For simple rules: holders, ends_ms: what ends first in each
    class; simple_until_ms: the earliest of them, of which the first is exact; holding: at least the
    bits whose next event changes that one, or begins the ends of a class. times: by condition.
    runs: by chain, for each step after the first. judged: by place among the rules that are judged;
    alert: at least the conditions whose next event may change a series or a judged rule, one bit
    each. order: of silent rules, judged ones, and series that are live and sensitive; the first is
    exact, those of series and judged rules after it may be too early, and `stale` of judged ones
    were replaced by another. plain: an event is dated in the future, or not at all: every rule is
    run each time as long as that is so, and nothing else is kept.
    """

    now_ms: int
    members: int
    until_ms: int
    log: Log | None = None
    live: int = 0
    base: int = 0
    sensitive: int = 0
    holders: tuple[int, ...] = ()
    ends_ms: tuple[int, ...] = ()
    simple_until_ms: int = FOREVER_MS
    holding: int = 0
    times: Layered[Times] = NO_ENTRIES
    runs: Layered[tuple[Reached, ...]] = NO_ENTRIES
    judged: Layered[Judged] = NO_ENTRIES
    alert: int = 0
    order: Order = ()
    stale: int = 0
    plain: bool = False


NEVER_HAPPENED: Times = ()


def happened(times: Times, at_ms: int, kept: int) -> Times:
    """The times with one more, not before the last. kept: how many are needed."""
    if not times:
        return (NEVER_MS, at_ms)
    earlier = times[0] if times[-1] == at_ms else times[-1]
    if kept == 1:
        return earlier, at_ms
    last = times[1:] if len(times) <= kept else times[2:]
    return (earlier, *last, at_ms)


def with_time(times: Times, at_ms: int, kept: int) -> Times:
    """The times with one more, wherever it belongs: as `happened` of all of them in order."""
    if not times or at_ms >= times[-1]:
        return happened(times, at_ms, kept)
    last = list(times[1:])
    insort(last, at_ms)
    return (max(times[0], at_ms), *last[-kept:])


def with_earlier(times: Times, every: Sequence[int], kept: int) -> Times:
    """The same as `happened` of every time, ascending, one after the other. times: that for one."""
    return (*times[:1], *every[-kept:]) if kept > 1 else times


def latest_before(times: Times, at_ms: int) -> int:
    """The latest of the times strictly before at_ms, which is not before the last of them;
    NEVER_MS: there is none."""
    if not times:
        return NEVER_MS
    return times[0] if times[-1] == at_ms else times[-1]


def reached(before: Reached, run: Run) -> Reached:
    """One step with one more run that ends at or after the last one."""
    earlier, last = before
    if not last or last[-1] < run[-1]:
        return last, run
    return earlier, run if run > last else last


def run_before(reached: Reached, at_ms: int) -> Run:
    """The latest run that ends strictly before at_ms."""
    earlier, last = reached
    return last if not last or last[-1] < at_ms else earlier


def run_up_to(
    runs: tuple[Reached, ...], step: int, first: Times, at_ms: int
) -> tuple[int, ...] | None:
    """The latest run of events up to an event of this step at this time; None: there is none.

    runs: of the chain, for each step after the first. first: when the first step's condition was
    satisfied.
    """
    if step == 1:
        earlier = latest_before(first, at_ms)
        return None if earlier == NEVER_MS else (earlier, at_ms)
    before = run_before(runs[step - 2], at_ms)
    return (*before, at_ms) if before else None


def holders_of(log: Log | None, wanted: int, end: Callable[[int], int]) -> Ends:
    """Of the wanted bits those whose last event is the oldest. O(events since that one)."""
    holders, oldest, those = 0, 0, b""
    while wanted and log is not None:
        _, _, times, known, log = log
        for place in range(len(known) - 1, -1, -1):
            found = known[place] & wanted
            if found:
                holders, oldest, those = found, place, times
                wanted ^= found
                if not wanted:
                    break
    return Ends(holders, end(time_at(those, oldest))) if holders else NOTHING_ENDS
