"""Long sequences of which most entries are equal, and a change copies little: each entry is there
once, and a byte for each place says which one lies there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")

# A byte tells so many entries apart. With more, every place has its own, and what changed lately
# lies in a small layer on top.
MOST = 256
# The upper layer grows to this part of what lies below it, and to LEAST at the least, before it
# is put in.
PART = 16
LEAST = 12

# (below, index, common, above). index: of each place where its entry lies below; None: each lies at
# its place. common: so many entries below, the first ones, may lie at several places; each of the
# others has one place. above: those that changed since, by place; they cover the ones below; none
# with an index.
Layered = tuple[tuple[T, ...], bytes | None, int, dict[int, T]]

# One for all that have nothing above: nobody changes it.
NONE_ABOVE: dict[int, Any] = {}
NO_ENTRIES: Layered[Any] = ((), b"", 0, NONE_ABOVE)


def layered(entries: Iterable[T]) -> Layered[T]:
    """Entries that are the same object are there once."""
    whole = list(entries)
    places = Counter(map(id, whole)).most_common()
    if len(places) > MOST:
        return tuple(whole), None, 0, NONE_ABOVE
    slots = {one: slot for slot, (one, _) in enumerate(places)}
    by_id = {id(one): one for one in whole}
    common = sum(number > 1 for _, number in places)
    index = bytes([slots[id(one)] for one in whole])
    return tuple([by_id[one] for one in slots]), index, common, NONE_ABOVE


def entry_at(entries: Layered[T], place: int) -> T:
    below, index, _, above = entries
    if index is not None:
        return below[index[place]]
    found = above.get(place)
    return below[place] if found is None else found


def changed(before: Layered[T], changes: dict[int, T]) -> Layered[T]:
    """With these entries replaced. O(changes + what lies in a layer), now and then O(entries); with
    an index, O(different entries), and a byte of each place where one had a common entry."""
    below, index, common, above = before
    if index is None:
        above = {**above, **changes}
        if len(above) <= LEAST or len(above) * PART <= len(below):
            return below, None, 0, above
        return tuple(everything((below, None, 0, above))), None, 0, NONE_ABOVE
    kept, slots = list(below), None
    for place, entry in changes.items():
        slot = index[place]
        if slot >= common:
            kept[slot] = entry
        elif len(kept) < MOST:
            if slots is None:
                slots = bytearray(index)
            slots[place] = len(kept)
            kept.append(entry)
        else:
            return tuple(everything((below, index, common, changes))), None, 0, NONE_ABOVE
    return tuple(kept), index if slots is None else bytes(slots), common, NONE_ABOVE


def everything(one: Layered[T]) -> list[T]:
    """Every entry as it is now."""
    below, index, _, above = one
    whole = list(below) if index is None else [below[slot] for slot in index]
    for place, entry in above.items():
        whole[place] = entry
    return whole
