"""The smallest set of a rule's parts that, were they otherwise, would make the rule true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product

from msgspec import Struct

from perso_core.pql.explain import Explanation

# Parts that stand in a rule more than once are tried both ways: so many of them, 2 ** 10 trials.
MAX_REPEATED = 10


class Lacking(Struct, frozen=True):
    """parts: leaves of the tree, in the order of the text, each once; () for a rule that holds.

    exact: no smaller set would do. Where more than MAX_REPEATED parts stand in the rule more than
    once, the others of them count as many times as they stand there.
    """

    parts: tuple[Explanation, ...]
    exact: bool = True


# What a part takes to be as wanted: the texts of its leaves. None: nothing can make it so.
Set = frozenset[str]


def lacking(explanation: Explanation) -> Lacking:
    """Of sets of one size, the one of the parts that stand first. O(parts × 2 ** repeated)."""
    if explanation.holds:
        return Lacking(())
    leaves = list(_leaves(explanation))
    counts = Counter(leaf.text for leaf in leaves)
    often = [text for text, count in counts.most_common() if count > 1]
    tried = often[:MAX_REPEATED]
    first = {leaf.text: leaf for leaf in reversed(leaves)}
    best: Set | None = None
    for values in product((False, True), repeat=len(tried)):
        flipped = frozenset(text for text, flip in zip(tried, values, strict=True) if flip)
        if best is not None and len(flipped) >= len(best):
            continue
        found = _set(explanation, True, dict(zip(tried, values, strict=True)))
        if found is not None and (best is None or len(found | flipped) < len(best)):
            best = found | flipped
    parts = tuple(first[leaf.text] for leaf in first.values() if best and leaf.text in best)
    return Lacking(tuple(sorted(parts, key=_place)), len(often) <= MAX_REPEATED)


def _place(part: Explanation) -> tuple[int, int]:
    line, column = part.place.split(":")
    return int(line), int(column)


def _leaves(part: Explanation) -> Iterator[Explanation]:
    left = [part]
    while left:
        one = left.pop()
        if not one.children:
            yield one
        left.extend(reversed(one.children))


def _set(part: Explanation, wanted: bool, flips: Mapping[str, bool]) -> Set | None:
    """The fewest leaves to be otherwise so that the part is as wanted. flips: leaves that are
    decided already: whether they are otherwise."""
    if not part.children:
        if part.text in flips:
            return frozenset() if (part.holds != flips[part.text]) == wanted else None
        return frozenset() if part.holds == wanted else frozenset((part.text,))
    if part.kind == "not":
        return _set(part.children[0], not wanted, flips)
    found = [_set(child, wanted, flips) for child in part.children]
    if (part.kind == "and") == wanted:
        known = [one for one in found if one is not None]
        return frozenset().union(*known) if len(known) == len(found) else None
    return min((one for one in found if one is not None), key=len, default=None)
