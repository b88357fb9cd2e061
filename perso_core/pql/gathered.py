"""Every fault of a rule that cannot be read as it was written."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise

from perso_core.errors import MAX_TOLD, RuleError, RuleFaults, RuleSyntaxError
from perso_core.pql.checker import check
from perso_core.pql.fields import FieldTypes
from perso_core.pql.mending import Mended, Note, mended
from perso_core.pql.parser import parse_tokens
from perso_core.pql.source import Source, Span

Placed = tuple[int, Note | RuleError]  # the offset first


def gathered(source: Source, first: RuleError, schema: FieldTypes | None) -> RuleFaults:
    """What is wrong with the rule, in the order of the places.

    first: at the first place that cannot continue a rule. Where it is certain what was meant there,
    the rule is read on as if that had been written, up to the first place where it is not; when
    its end is reached, what is wrong with its names and types is told too. O(length).
    """
    lines = [0, *(line.end() for line in re.finditer("\n", source.text))]

    def offset(fault: RuleError) -> int:
        return lines[fault.line - 1] + fault.column - 1

    found = mended(source, offset(first))
    if found is None:
        return RuleFaults([first])
    try:
        notes, others = _read_on(source, found, schema, offset)
    except RecursionError:  # the caller's own stack was deep already
        return RuleFaults([first])
    if not notes:  # over a limit somewhere before
        return RuleFaults([first])
    every: list[Placed] = [*((note.span[0], note) for note in notes), *others]
    every.sort(key=lambda one: one[0])
    told = [_fault(source, one) for _, one in every[:MAX_TOLD]]
    return RuleFaults(told, more=len(every) - len(told))


def _fault(source: Source, one: Note | RuleError) -> RuleError:
    # A place costs a look through all lines before it: looked for where it is told.
    if isinstance(one, RuleError):
        return one
    return source.fault(RuleSyntaxError, one.span, one.detail, one.fix)


def _read_on(
    source: Source, found: Mended, schema: FieldTypes | None, offset: Callable[[RuleError], int]
) -> tuple[Sequence[Note], Sequence[Placed]]:
    """The notes up to where reading ends, and the other faults."""
    try:
        node = parse_tokens(source, found.tokens)
    except RuleError as stop:
        end = offset(stop)
        notes = [note for note in found.notes if note.span[0] <= end]
        part = _part_at(found.parts, end)
        # That a sign written otherwise cannot stand here either is told once it is mended.
        follows = part is not None and bool(notes) and notes[-1].span[0] >= part[0]
        return notes, [] if follows else [(end, stop)]
    placed = [(offset(fault), fault) for fault in check(source, node, schema)[1]]
    values = _joined_values(found)
    if any(at in values for at, _ in placed):
        return found.notes, []
    # The author may have meant something else: nothing is told of what was put in its place.
    return found.notes, [one for one in placed if _part_at(found.parts, one[0]) is None]


def _joined_values(found: Mended) -> set[int]:
    """The offsets of literals after `&&` and `||`: in `points || 0` these choose a value, and what
    the types around it were meant to be nobody knows."""
    return {
        value.span[0]
        for sign, value in pairwise(found.tokens)
        if sign.text[0:1] in ("&", "|") and value.value is not None
    }


def _part_at(parts: Sequence[Span], offset: int) -> Span | None:
    """The part that the offset lies in."""
    at = bisect_right(parts, offset, key=lambda part: part[0])
    return parts[at - 1] if at and offset < parts[at - 1][1] else None
