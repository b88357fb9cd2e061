"""A visitor's standing with the rules between visits: numbers, to be put into bytes, and back.

What is equal for many visitors is told by its number in a table of the rule set; the rest of a
standing is small. Whoever reads it has to know that it is of the same rule set. Pure.
"""

from __future__ import annotations

from array import array

from msgspec import Struct

from perso_core.pql.windows import FOREVER_MS
from perso_core.rules.bits import bits_of
from perso_core.rules.layered import NONE_ABOVE, changed, everything, layered
from perso_core.rules.program import Program
from perso_core.rules.recount import nowhere
from perso_core.rules.standing import (
    NEVER_HAPPENED,
    NOT_JUDGED,
    Judged,
    Log,
    Reached,
    Standing,
    Times,
    entry_ms,
    entry_of,
    entry_position,
    log_from,
)

# Judgements that have a number.
MAX_NUMBERED = 4_096
# In the place of a number: what stands there has none.
_OWN = 0xFFFF


class ParkedLog(Struct, frozen=True, array_like=True, gc=False):
    """times: of the events, eight bytes each; None: those that the reader knows. matched: of each
    its number in the matcher's table, two bytes each. own: of those that have none, by place, the
    bits that are set."""

    times: bytes | None
    matched: bytes
    own: dict[int, tuple[int, ...]]


class ParkedStanding(Struct, frozen=True, array_like=True, gc=False):
    """A standing. Bits are bytes, the lowest first. times, runs: of what happened, by place.
    judged: the numbers of different judgements, two bytes each; own: those that have none, by place
    among these; judged_index, judged_common: see Layered. order_ms, order: of each entry the
    instant, eight bytes each, and the position, four."""

    now_ms: int
    until_ms: int
    simple_until_ms: int
    members: bytes
    live: bytes
    base: bytes
    sensitive: bytes
    holding: bytes
    alert: bytes
    holders: dict[int, bytes]
    ends_ms: tuple[int, ...]
    log: ParkedLog
    times: dict[int, Times]
    runs: dict[int, tuple[Reached, ...]]
    judged: bytes
    judged_index: bytes | None
    judged_common: int
    own: dict[int, Judged]
    order_ms: bytes
    order: bytes
    stale: int
    plain: bool


class StandingParking:
    """Parks standings of one rule set. Its tables only grow, up to their bounds: a number stays
    what it is."""

    def __init__(self, rules: Program) -> None:
        self._matched = rules.matcher.common
        self._number_of_matched = rules.matcher.number_of
        self._judged: list[Judged] = []
        self._number_of_judged: dict[Judged, int] = {}
        # Of those above, by their address: a judgement that is shared is found without a look
        # into it.
        self._number_at: dict[int, int] = {}
        self._nothing_happened = layered([NEVER_HAPPENED] * len(rules.effects))
        self._nowhere = layered([nowhere(len(steps)) for steps, _ in rules.chains])
        self._classes = len(rules.classes)

    def parked(self, standing: Standing, event_times: bytes) -> ParkedStanding:
        """event_times: of the profile's events, eight bytes each."""
        judged, judged_index, common, above = standing.judged
        if above:
            judged = tuple(everything(standing.judged))
        numbers = array("H", map(self._number, judged))
        runs = zip(everything(standing.runs), everything(self._nowhere), strict=False)
        return ParkedStanding(
            standing.now_ms,
            standing.until_ms,
            standing.simple_until_ms,
            _octets(standing.members),
            _octets(standing.live),
            _octets(standing.base),
            _octets(standing.sensitive),
            _octets(standing.holding),
            _octets(standing.alert),
            {place: _octets(one) for place, one in enumerate(standing.holders) if one},
            standing.ends_ms,
            self._parked_log(standing.log, event_times),
            {place: one for place, one in enumerate(everything(standing.times)) if one},
            {place: one for place, (one, none) in enumerate(runs) if one != none},
            numbers.tobytes(),
            judged_index,
            common,
            {place: judged[place] for place, one in enumerate(numbers) if one == _OWN},
            array("q", map(entry_ms, standing.order)).tobytes(),
            array("I", map(entry_position, standing.order)).tobytes(),
            standing.stale,
            standing.plain,
        )

    def standing(self, parked: ParkedStanding, event_times: bytes) -> Standing:
        """What was parked."""
        number = int.from_bytes
        if parked.plain:
            return Standing(
                parked.now_ms, number(parked.members, "little"), parked.until_ms, plain=True
            )
        common = self._judged
        judged = [common[one] if one != _OWN else NOT_JUDGED for one in array("H", parked.judged)]
        for place, own in parked.own.items():
            judged[place] = own
        holders = [0] * self._classes
        for place, octets in parked.holders.items():
            holders[place] = number(octets, "little")
        return Standing(
            parked.now_ms,
            number(parked.members, "little"),
            parked.until_ms,
            self._log(parked.log, event_times),
            number(parked.live, "little"),
            number(parked.base, "little"),
            number(parked.sensitive, "little"),
            tuple(holders),
            parked.ends_ms,
            parked.simple_until_ms,
            number(parked.holding, "little"),
            changed(self._nothing_happened, parked.times),
            changed(self._nowhere, parked.runs),
            (tuple(judged), parked.judged_index, parked.judged_common, NONE_ABOVE),
            number(parked.alert, "little"),
            tuple(map(entry_of, array("q", parked.order_ms), array("I", parked.order))),
            parked.stale,
        )

    # ---- what is equal for many

    def _number(self, judged: Judged) -> int:
        number = self._number_at.get(id(judged))
        if number is not None:
            return number
        if not _timeless(judged):
            return _OWN
        number = self._number_of_judged.get(judged)
        if number is None:
            number = len(self._judged)
            if number >= MAX_NUMBERED:
                return _OWN
            self._judged.append(judged)
            self._number_of_judged[judged] = number
            # It is in the table for good: nothing else will have its address.
            self._number_at[id(judged)] = number
        return number

    def _parked_log(self, log: Log | None, event_times: bytes) -> ParkedLog:
        chunks: list[Log] = []
        while log is not None:
            chunks.append(log)
            log = log[4]
        chunks.reverse()
        times = b"".join([known for _, _, known, _, _ in chunks])
        matched = [one for _, _, _, known, _ in chunks for one in known]
        number_of = self._number_of_matched
        numbers = array("H", [number_of.get(one, _OWN) for one in matched])
        own = {
            place: tuple(bits_of(matched[place]))
            for place, one in enumerate(numbers)
            if one == _OWN
        }
        return ParkedLog(None if times == event_times else times, numbers.tobytes(), own)

    def _log(self, parked: ParkedLog, event_times: bytes) -> Log | None:
        times = event_times if parked.times is None else parked.times
        common, numbers = self._matched, array("H", parked.matched)
        if parked.own:
            matched = [common[one] if one != _OWN else 0 for one in numbers]
            for place, bits in parked.own.items():
                matched[place] = sum([1 << bit for bit in bits])
        else:
            matched = [common[one] for one in numbers]
        return log_from(times, matched)


def _octets(bits: int) -> bytes:
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def _timeless(judged: Judged) -> bool:
    """Whether no instant is in it, so that others may have the same."""
    if judged.until_ms != FOREVER_MS:
        return False
    return all(until_ms == FOREVER_MS for until_ms, _ in (*judged.tables, *judged.held))
