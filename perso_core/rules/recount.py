"""What a visitor's events say, counted anew from all of them: after a load, or a late event."""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort_right
from collections.abc import Callable, Iterator, Sequence

from perso_core.rules.bits import bits_of
from perso_core.rules.layered import Layered, layered
from perso_core.rules.program import Program
from perso_core.rules.standing import (
    CHUNK,
    NEVER_HAPPENED,
    NOTHING_ENDS,
    TIME,
    Ends,
    Log,
    Reached,
    Run,
    Times,
    happened,
    log_of,
    newest_first,
    reached,
    run_up_to,
    time_at,
    with_earlier,
)


def inserted(
    log: Log | None, at_ms: int, matched: int, *, oldest_ms: int, kept: int | None
) -> tuple[Log | None, bool]:
    """The log with an event that is late, or for which another has to go; and whether what is
    known of events stays right but for the new one.

    oldest_ms: events from before it count for no rule. kept: how many there may be.
    """
    late = log is not None and at_ms < log[0]
    events = [*newest_first(log)][::-1]
    insort_right(events, (at_ms, matched), key=lambda one: one[0])
    counting = [one for one in events if one[0] >= oldest_ms]
    last = counting if kept is None else counting[max(len(counting) - kept, 0) :]
    return log_of(last), not late and len(last) == len(counting)


def placed(log: Log, at_ms: int, matched: int) -> Log:
    """The log with a late event. O(chunks after it)."""
    newer: list[Log] = []
    while log[4] is not None and time_at(log[2], 0) > at_ms:
        newer.append(log)
        log = log[4]
    _, length, times, known, older = log
    place = bisect_right(array("q", times), at_ms)
    whole = times[: place * TIME] + array("q", [at_ms]).tobytes() + times[place * TIME :]
    more = (*known[:place], matched, *known[place:])
    half = 0 if len(more) <= CHUNK else len(more) // 2
    if half:
        first = whole[: half * TIME]
        older = time_at(first, half - 1), length + 1 - len(more) + half, first, more[:half], older
    rest = whole[half * TIME :]
    last_ms = time_at(rest, len(more) - half - 1)
    return _under(newer, (last_ms, length + 1, rest, more[half:], older), 1)


def exchanged(log: Log | None, newer: int, at_ms: int, before: int, after: int) -> Log | None:
    """The log where the event that came before so many newer ones satisfies something else. at_ms,
    before: of that event; None where another one stands there. O(chunks after it)."""
    above: list[Log] = []
    while log is not None and newer >= len(log[3]):
        newer -= len(log[3])
        above.append(log)
        log = log[4]
    if log is None:
        return None
    last_ms, length, times, known, older = log
    place = len(known) - 1 - newer
    if time_at(times, place) != at_ms or known[place] != before:
        return None
    now = (*known[:place], after, *known[place + 1 :])
    return _under(above, (last_ms, length, times, now, older), 0)


def _under(newer: Sequence[Log], log: Log, more: int) -> Log:
    """The log with these chunks on top, newest first, over so many events more."""
    for last_ms, length, times, known, _ in reversed(newer):
        log = last_ms, length + more, times, known, log
    return log


def counted_of(
    rules: Program, log: Log | None, conditions: int
) -> tuple[dict[int, Times], dict[int, tuple[Reached, ...]]]:
    """`counted` of these conditions (one bit each) and of the chains with a step among them."""
    chains = {chain for chain, bits in enumerate(rules.chain_bits) if bits & conditions}
    for chain in chains:
        conditions |= rules.chain_bits[chain]
    wanted = conditions << rules.shift
    happenings = [one for one in newest_first(log) if one[1] & wanted]
    last = dict.fromkeys(bits_of(conditions), NEVER_HAPPENED)
    every: dict[int, list[int]] = {condition: [] for condition in last}
    runs = {chain: nowhere(len(rules.chains[chain][0])) for chain in chains}
    for at, matched in reversed(happenings):
        found = bits_of(matched >> rules.shift & conditions)
        for condition in found:
            last[condition] = happened(last[condition], at, 1)
            every[condition].append(at)
        for condition in found:
            for step, chain, first in rules.effects[condition].steps:
                if chain in chains:
                    runs[chain] = extended(runs[chain], step, last[first], at)
    times = {
        condition: with_earlier(known, every[condition], rules.effects[condition].kept)
        for condition, known in last.items()
    }
    return times, runs


def carried_on(
    runs: tuple[Reached, ...],
    steps: Sequence[tuple[int, Times]],
    log: Log | None,
    at_ms: int,
    late: Sequence[int],
) -> tuple[Reached, ...]:
    """A chain after an event of some of its steps that is late, and in the log. steps: of each the
    bit in the log, and when it was satisfied. late: the event's steps. Of each step the latest
    events that have one of the step before are those that have a run."""
    after = list(runs)
    for step in range(1, len(steps)):
        _, times = steps[step]
        if not times or not steps[step - 1][1]:
            break
        found = [
            _run_now(runs[step - 1], steps[: step + 1], log, end_ms, at_ms, late)
            for end_ms in (times[0], times[-1])
        ]
        after[step - 1] = found[0], found[1]
    return tuple(after)


def _run_now(
    known: Reached,
    steps: Sequence[tuple[int, Times]],
    log: Log | None,
    end_ms: int,
    at_ms: int,
    late: Sequence[int],
) -> Run:
    """The latest run of these steps that ends at that time. known: those before the late event."""
    last = len(steps) - 1
    before = [step for step in late if step < last]
    for run in known:
        if run and run[-1] == end_ms:
            for step in before:
                if run[step] < at_ms < run[step + 1]:
                    more = _run_to(steps[: step + 1], log, at_ms)
                    return (*more, *run[step + 1 :]) if more else run
            return run
    begins = end_ms == at_ms or (before and end_ms > at_ms)
    return _run_to(steps, log, end_ms) if begins else ()


def _run_to(steps: Sequence[tuple[int, Times]], log: Log | None, end_ms: int) -> Run:
    """The latest run of these steps that ends at that time: of each the latest event before that
    of the next. O(events from the first of them on)."""
    run: Run = (end_ms,)
    while log is not None and time_at(log[2], 0) >= end_ms:
        log = log[4]
    step = len(steps) - 1
    if not step:
        return run
    wanted = steps[step - 1][0]
    for at, matched in newest_first(log):
        if matched & wanted and at < run[0]:
            run = (at, *run)
            step -= 1
            if not step:
                return run
            wanted = steps[step - 1][0]
    return ()


def nowhere(steps: int) -> tuple[Reached, ...]:
    """How far a chain of so many steps has come where nothing happened yet."""
    return (((), ()),) * (steps - 1)


def counted(rules: Program, log: Log | None) -> tuple[Layered[Times], Layered[tuple[Reached, ...]]]:
    """When each condition was satisfied, and how far each chain came."""
    last = [NEVER_HAPPENED] * len(rules.effects)
    every: dict[int, list[int]] = {}
    runs = [nowhere(len(steps)) for steps, _ in rules.chains]
    for at, matched in [*newest_first(log)][::-1]:
        conditions = bits_of(matched >> rules.shift)
        for condition in conditions:
            last[condition] = happened(last[condition], at, 1)
            every.setdefault(condition, []).append(at)
        for condition in conditions:
            for step, chain, first in rules.effects[condition].steps:
                runs[chain] = extended(runs[chain], step, last[first], at)
    for condition, known in every.items():
        last[condition] = with_earlier(last[condition], known, rules.effects[condition].kept)
    return layered(last), layered(runs)


def extended(runs: tuple[Reached, ...], step: int, first: Times, at_ms: int) -> tuple[Reached, ...]:
    """A chain after an event of one of its steps. first: when its first step was satisfied."""
    found = run_up_to(runs, step, first, at_ms)
    if found is None:
        return runs
    return (*runs[: step - 1], reached(runs[step - 1], found), *runs[step:])


def living(log: Log | None, bits: int, end: Callable[[int], int], now_ms: int) -> int:
    """The bits whose last event still counts."""
    found = 0
    while bits and log is not None:
        _, _, times, known, log = log
        for place in range(len(known) - 1, -1, -1):
            some = known[place] & bits
            if some:
                if end(time_at(times, place)) <= now_ms:  # and so for all before it
                    return found
                found |= some
                bits ^= some
    return found


def lasts(log: Log | None, bits: int) -> Iterator[tuple[int, int]]:
    """The times of last events, newest first, each with the bits whose last event that was."""
    for at, matched in newest_first(log) if bits else ():
        found = matched & bits
        if found:
            bits ^= found
            yield at, found
            if not bits:
                break


def all_living(rules: Program, log: Log | None, now_ms: int) -> int:
    """The simple rules whose event counts."""
    living = 0
    for at, found in lasts(log, rules.simple):
        for one in rules.classes:
            some = found & one.bits
            if some and one.lasting.end(at) > now_ms:
                living |= some
    return living


def all_ends(rules: Program, log: Log | None, deciding: int) -> list[Ends]:
    """What ends first in each class. deciding: the sensitive live bits."""
    ends = [NOTHING_ENDS] * len(rules.classes)
    for at, found in lasts(log, deciding):  # the last one of a class is its oldest
        for number, one in enumerate(rules.classes):
            some = found & one.bits
            if some:
                ends[number] = Ends(some, one.lasting.end(at))
    return ends
