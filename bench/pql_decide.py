"""decide_*: what one event of a visitor's stream costs: which of all memberships change, and the
instant until which every one of them holds."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import fmean, median

from bench.audiences_mixed import mixed, with_absent
from bench.audiences_stream import STREAMED, Visitor, visitors
from bench.cel_rules import Floor
from bench.figures import record
from bench.pql_rules import Stream, decide, rule_set, streamed_together
from bench.timing import Spent, cpu_us
from bench.typed_event import BODY, decode
from perso_core.rules.ruleset import RuleSet

ROUNDS = 6
# Visitors of each round, and those of them whose events CEL answers too.
VISITORS = {100: 10, 1_000: 10, 10_000: 4}
WITH_CEL = {100: 4, 1_000: 4, 10_000: 1}
REPEATS = 7


def measure() -> None:
    for count in VISITORS:
        rules = mixed(count)
        ours, cel = rule_set(rules), Floor(rules)
        streams = _beside_cel(ours, cel, count)
        if count >= 1_000:
            _per_change(ours, count, streams)
    _at_equal_matches()


def _rounds(count: int) -> Iterator[tuple[Visitor, ...]]:
    everyone = visitors(count * ROUNDS)
    for first in range(0, len(everyone), count):
        gc.collect()
        yield everyone[first : first + count]


def _per_event(streams: Sequence[Stream]) -> float:
    return fmean(stream.us for stream in streams)


# ---- the mix, beside CEL ----------------------------------------------------


def _beside_cel(ours: RuleSet, cel: Floor, count: int) -> list[Stream]:
    streams: list[Stream] = []
    ours_us, cel_us = [], []
    for visitors_now in _rounds(VISITORS[count]):
        found = streamed_together(ours, visitors_now)
        ours_us.append(_per_event(found))
        asked = (one for stream in found[: WITH_CEL[count]] for one in stream.each())
        cel_us.append(fmean(cel.us(step, done) for step, done in asked))
        streams += found
    _record_mix(count, Spent(tuple(ours_us)), Spent(tuple(cel_us)), streams)
    return streams


def _record_mix(count: int, ours: Spent, cel: Spent, streams: Sequence[Stream]) -> None:
    changes = [len(done.changed) for stream in streams for done in stream.decided]
    record(
        f"decide_{count}/fastest_peer",
        ours.over(cel),
        unit="ratio",
        fastest_peer="cel, reading the current event alone",
        decide_us=ours.told(),
        cel_us=cel.told(),
        changes_per_event=round(fmean(changes), 3),
        most_changes=max(changes),
        events=len(changes),
        rounds=ROUNDS,
    )


# ---- what each changed membership adds --------------------------------------


def _per_change(rules: RuleSet, count: int, streams: Sequence[Stream]) -> None:
    """The slope of an event's time on the number of memberships it changes."""
    taken = [one for stream in streams for one in stream.each()]
    times: list[list[float]] = [[] for _ in taken]
    decodes: list[float] = []
    for _ in range(REPEATS):
        decodes.append(cpu_us(decode, 3_000))
        for (step, _done), found in zip(taken, times, strict=True):
            found.append(cpu_us(partial(decide, rules, step), 2))
    changes = [float(len(done.changed)) for _, done in taken]
    slope_us = slope(changes, [median(found) for found in times])
    name = "per_change" if count == 1_000 else f"per_change_{count}"
    record(
        f"{name}/typed_decode",
        slope_us / median(decodes),
        unit="ratio",
        per_change_us=round(slope_us, 3),
        least_per_change_us=round(slope(changes, [min(found) for found in times]), 3),
        typed_decode_us=Spent(tuple(decodes)).told(),
        body_bytes=len(BODY),
        events=len(taken),
        repeats=REPEATS,
    )


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the straight line with the least squares."""
    x, y = fmean(xs), fmean(ys)
    covariance = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    return covariance / sum((a - x) ** 2 for a in xs)


# ---- ten thousand, of which a hundred can match ------------------------------


def _at_equal_matches() -> None:
    few, many = rule_set(mixed(100)), rule_set(with_absent(100, 10_000))
    few_us, many_us = [], []
    for visitors_now in _rounds(VISITORS[100]):
        of_few = streamed_together(few, visitors_now)
        of_many = streamed_together(many, visitors_now)
        few_us.append(_per_event(of_few))
        many_us.append(_per_event(of_many))
        for one, other in zip(of_few, of_many, strict=True):
            _same_changes(one, other)
    of_hundred, of_all = Spent(tuple(few_us)), Spent(tuple(many_us))
    record(
        "decide_10000/decide_100",
        of_all.over(of_hundred),
        unit="ratio",
        decide_10000_us=of_all.told(),
        decide_100_us=of_hundred.told(),
        events=ROUNDS * VISITORS[100] * STREAMED,
        rounds=ROUNDS,
    )


def _same_changes(few: Stream, many: Stream) -> None:
    for one, other in zip(few.decided, many.decided, strict=True):
        assert list(one.changed) == list(other.changed), "what stands beside them changes nothing"
