"""What a visitor's events say, counted anew from all of them: after a load, or a late event."""

from __future__ import annotations

from bisect import insort_right
from collections.abc import Callable

from perso_core.rules.layered import Layered, layered
from perso_core.rules.matcher import bits_of
from perso_core.rules.program import Program
from perso_core.rules.standing import (
    NEVER_HAPPENED,
    Ends,
    Log,
    Reached,
    Times,
    happened,
    holders_of,
    log_of,
    newest_first,
    reached,
    run_up_to,
)


def inserted(
    log: Log | None, at_ms: int, matched: int, *, oldest_ms: int, kept: int | None
) -> tuple[Log | None, bool]:
    """The log with an event that is late, or for which another has to go; and whether what is
    known of events stays right but for the new one.

    oldest_ms: events from before it count for no rule. kept: how many there may be.
    """
    late = log is not None and at_ms < log.at_ms
    events = [*newest_first(log)][::-1]
    insort_right(events, (at_ms, matched), key=lambda one: one[0])
    counting = [one for one in events if one[0] >= oldest_ms]
    last = counting if kept is None else counting[max(len(counting) - kept, 0) :]
    return log_of(last), not late and len(last) == len(counting)


def counted(rules: Program, log: Log | None) -> tuple[Layered[Times], Layered[tuple[Reached, ...]]]:
    """When each condition was satisfied, and how far each chain came."""
    times = [NEVER_HAPPENED] * len(rules.effects)
    runs: list[tuple[Reached, ...]] = [(((), ()),) * (len(steps) - 1) for steps, _ in rules.chains]
    for at, matched in [*newest_first(log)][::-1]:
        conditions = bits_of(matched >> rules.shift)
        for condition in conditions:
            times[condition] = happened(times[condition], at, rules.effects[condition].kept)
        for condition in conditions:
            for step, chain, first in rules.effects[condition].steps:
                runs[chain] = extended(runs[chain], step, times[first], at)
    return layered(times), layered(runs)


def extended(runs: tuple[Reached, ...], step: int, first: Times, at_ms: int) -> tuple[Reached, ...]:
    """A chain after an event of one of its steps. first: when its first step was satisfied."""
    found = run_up_to(runs, step, first, at_ms)
    if found is None:
        return runs
    return (*runs[: step - 1], reached(runs[step - 1], found), *runs[step:])


def living(log: Log | None, bits: int, end: Callable[[int], int], now_ms: int) -> int:
    """The bits whose last event still counts."""
    found = 0
    for at, matched in newest_first(log):
        if end(at) <= now_ms:
            break
        found |= matched & bits
    return found


def all_living(rules: Program, log: Log | None, now_ms: int) -> int:
    """The simple rules whose event counts."""
    found = 0
    for one in rules.classes:
        found |= living(log, one.bits, one.lasting.end, now_ms)
    return found


def all_ends(rules: Program, log: Log | None, deciding: int) -> list[Ends]:
    """What ends first in each class. deciding: the sensitive live bits."""
    return [holders_of(log, deciding & one.bits, one.lasting.end) for one in rules.classes]
