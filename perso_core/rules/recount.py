"""What a visitor's events say, counted anew from all of them: after a load, or a late event."""

from __future__ import annotations

from bisect import insort_right
from collections.abc import Callable, Iterator

from perso_core.rules.bits import bits_of
from perso_core.rules.layered import Layered, layered
from perso_core.rules.program import Program
from perso_core.rules.standing import (
    NEVER_HAPPENED,
    NOTHING_ENDS,
    Ends,
    Log,
    Reached,
    Times,
    happened,
    log_of,
    logged,
    newest_first,
    reached,
    run_up_to,
    time_at,
    with_earlier,
    without_newest,
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


def placed(log: Log | None, at_ms: int, matched: int) -> Log:
    """The log with a late event. O(events after it)."""
    newer: list[tuple[int, int]] = []
    for one in newest_first(log):
        if one[0] <= at_ms:
            break
        newer.append(one)
    whole = logged(without_newest(log, len(newer)), at_ms, matched)
    for newer_ms, satisfied in reversed(newer):
        whole = logged(whole, newer_ms, satisfied)
    return whole


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
