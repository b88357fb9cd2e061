"""How values of a profile behave: missing ones, lists against scalars, texts, numbers.

The compiled rules call these. Values are what JSON gives: None, bool, int, float, str, list, dict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, reduce
from typing import Any

NUMBERS = frozenset((int, float))

# Texts longer than this are folded each time: the cache would keep them alive.
CACHED_TEXT = 200


def fold(text: str) -> str:
    """The text with letter case ignored: each character to its upper, then its lower form.

    A character whose other form is several characters stays (sharp s is not "ss").
    """
    if text.isascii():
        return text.lower()
    return _folded(text) if len(text) <= CACHED_TEXT else "".join(map(_fold_character, text))


@lru_cache(maxsize=4096)
def _folded(text: str) -> str:
    return "".join(map(_fold_character, text))


def _fold_character(character: str) -> str:
    upper = character.upper()
    lower = (upper if len(upper) == 1 else character).lower()
    # Only the capital I with a dot gives two: i and a combining dot.
    return lower[0]


# ---- paths ------------------------------------------------------------------


def walk(value: Any, segments: Sequence[str]) -> Any:
    """The value at the path; None when something on the way is missing or no object.

    A list on the way gives the list of what its elements have there, without the missing, and
    with lists in it opened once.
    """
    for segment in segments:
        # The abstract class is asked only for what JSON does not give.
        if type(value) is dict or isinstance(value, Mapping):
            value = value.get(segment)
        elif isinstance(value, list):
            value = project(value, segment)
        else:
            return None
    return value


def project(items: Iterable[Any], segment: str) -> list[Any]:
    """`items.segment`."""
    found: list[Any] = []
    for item in items:
        value = item.get(segment) if type(item) is dict else walk(item, (segment,))
        if isinstance(value, list):
            found += value
        elif value is not None:
            found.append(value)
    return found


def leaves(value: Any, segments: Sequence[str]) -> list[Any]:
    """Every value a comparison with this path looks at: none, one, or the elements of a list."""
    found = walk(value, segments)
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


# ---- truth and equality -----------------------------------------------------


def truth(value: Any) -> bool:
    """A value in a boolean position: 0 and "" are present, so true; an empty list is not."""
    if value is None or value is False:
        return False
    return len(value) > 0 if isinstance(value, list) else True


def same(one: Any, other: Any) -> bool:
    """Equality of two present values: numbers by value, others only with their own type."""
    if type(one) in NUMBERS:
        return type(other) in NUMBERS and bool(one == other)
    if isinstance(one, list):
        return (
            isinstance(other, list)
            and len(one) == len(other)
            and all(map(same_or_none, one, other))
        )
    if isinstance(one, Mapping):
        return (
            isinstance(other, Mapping)
            and one.keys() == other.keys()
            and all(same_or_none(value, other[key]) for key, value in one.items())
        )
    return type(one) is type(other) and bool(one == other)


def same_or_none(one: Any, other: Any) -> bool:
    """`same`, where two missing values inside a list or an object are alike."""
    if one is None or other is None:
        return one is other
    return same(one, other)


def equal(one: Any, other: Any) -> bool:
    """`one = other`: a list against a scalar asks for any of its elements."""
    return any_pair(same, one, other)


def differ(one: Any, other: Any) -> bool:
    """`one != other`: false when a side is missing."""
    return any_pair(lambda a, b: not same(a, b), one, other)


def any_pair(test: Callable[[Any, Any], bool], one: Any, other: Any) -> bool:
    """Whether the test holds, for any element where one side is a list and the other is not."""
    if one is None or other is None:
        return False
    if isinstance(one, list) and not isinstance(other, list):
        return any(item is not None and test(item, other) for item in one)
    if isinstance(other, list) and not isinstance(one, list):
        return any(item is not None and test(one, item) for item in other)
    return test(one, other)


def as_flag(value: Any) -> Any:
    """The texts "true" and "false" as what they say, for a field that is compared with them."""
    if isinstance(value, list):
        return [as_flag(item) for item in value]
    if value is True:
        return "true"
    return "false" if value is False else value


# ---- order ------------------------------------------------------------------

ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def ordered(op: str, one: Any, other: Any) -> bool:
    """`one op other` on numbers; false for everything else."""
    if type(one) in NUMBERS and type(other) in NUMBERS:
        return ORDER[op](one, other)
    if not isinstance(one, list) and not isinstance(other, list):
        return False

    def test(a: Any, b: Any) -> bool:
        return type(a) in NUMBERS and type(b) in NUMBERS and ORDER[op](a, b)

    return any_pair(test, one, other)


def member(value: Any, items: Any) -> bool:
    """`value in items`; of a list, any element. A single value as items is a list of itself."""
    wanted = [item for item in items_of(items) if item is not None]
    found = [one for one in items_of(value) if one is not None]
    if len(found) > 1 and len(wanted) > 1:
        # Each with each took minutes of what one event may list.
        keys = set(map(key_of, wanted))
        return any(key_of(one) in keys for one in found)
    return any(same(one, item) for one in found for item in wanted)


def not_member(value: Any, items: Any) -> bool:
    """`value notIn items`: both are there and no element is a member."""
    return value is not None and items is not None and not member(value, items)


def in_texts(value: Any, texts: frozenset[str]) -> bool:
    """`member`, for a list of texts written in the rule."""
    if type(value) is str:
        return value in texts
    return isinstance(value, list) and any(type(v) is str and v in texts for v in value)


def in_numbers(value: Any, numbers: frozenset[float]) -> bool:
    """`member`, for a list of numbers written in the rule."""
    if type(value) in NUMBERS:
        return value in numbers
    return isinstance(value, list) and any(type(v) in NUMBERS and v in numbers for v in value)


# ---- texts ------------------------------------------------------------------


def any_text(test: Callable[[str], bool], value: Any) -> bool:
    """Whether the test holds for the text, or for some text of a list."""
    if type(value) is str:
        return test(value)
    return isinstance(value, list) and any(type(v) is str and test(v) for v in value)


TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "equals": lambda s, t: s == t,
    "contains": lambda s, t: t in s,
    "startsWith": lambda s, t: s.startswith(t),
    "endsWith": lambda s, t: s.endswith(t),
}
# The twin that is true where the first is not, given that both sides are there.
TWINS = {
    "notEqualTo": "equals",
    "doesNotContain": "contains",
    "doesNotStartWith": "startsWith",
    "doesNotEndWith": "endsWith",
}


def compare_texts(name: str, value: Any, wanted: Any, case_sensitive: bool) -> bool:
    """One of the eight text tests. `wanted` may be a list: any of them, or none for a twin."""
    texts = wanted if isinstance(wanted, list) else [wanted]
    texts = [text for text in texts if type(text) is str]
    if not texts:
        return False
    if not case_sensitive:
        texts = [fold(text) for text in texts]
    if len(texts) > 1 and TWINS.get(name, name) == "equals":
        return _text_among(value, frozenset(texts), case_sensitive, negated=name != "equals")
    return text_test(name, value, texts, case_sensitive)


def _text_among(value: Any, texts: frozenset[str], case_sensitive: bool, *, negated: bool) -> bool:
    """`text_test` of equality, where the texts may be as many as an event has: each text of the
    value is looked up once."""
    return any(
        ((one if case_sensitive else fold(one)) in texts) != negated
        for one in items_of(value)
        if type(one) is str
    )


def text_test(name: str, value: Any, texts: Sequence[str], case_sensitive: bool) -> bool:
    """`compare_texts` with texts that are known to be texts, and folded where case is ignored."""
    positive = TWINS.get(name, name)
    test = TEXT_TESTS[positive]
    # One text is what nearly every event has there: it takes no function and no generator.
    for one in (value,) if type(value) is str else value if isinstance(value, list) else ():
        if type(one) is not str:
            continue
        seen = one if case_sensitive else fold(one)
        for wanted in texts:
            if test(seen, wanted):
                break
        else:
            if positive != name:
                return True
            continue
        if positive == name:
            return True
    return False


def equals_folded(value: Any, folded: str) -> bool:
    """`value.equals(text, false)`, the commonest of all."""
    if type(value) is str:
        return fold(value) == folded
    return isinstance(value, list) and any(type(v) is str and fold(v) == folded for v in value)


def equals_text(value: Any, text: str) -> bool:
    """`value = "text"`."""
    return value == text or (isinstance(value, list) and text in value)


def finds(pattern: Any, value: Any) -> bool:
    """Whether the compiled pattern finds something; a text that is no Unicode has nothing."""

    def found(text: str) -> bool:
        try:
            return pattern.search(text) is not None
        except UnicodeEncodeError:
            return False

    return any_text(found, value)


def group_of(pattern: Any, value: Any, group: Any) -> str | None:
    """What the group of the first find holds; None without a find or such a group."""
    if type(value) is not str:
        return None
    if group is None:
        group = 1 if pattern.groups else 0
    if type(group) is float and group.is_integer():
        group = int(group)
    if type(group) is not int or not 0 <= group <= pattern.groups:
        return None
    try:
        match = pattern.search(value)
    except UnicodeEncodeError:
        return None
    found: str | None = match.group(group) if match else None
    return found


# ---- numbers ----------------------------------------------------------------


def total(positive: Sequence[Any], negative: Sequence[Any]) -> Any:
    """The sum of the first less the sum of the second; None when one is no number."""
    if not all(type(v) in NUMBERS for v in positive):
        return None
    if not all(type(v) in NUMBERS for v in negative):
        return None
    return _finite(lambda: sum(positive) - sum(negative))


def multiplied(start: Any, factors: Sequence[tuple[str, Any]]) -> Any:
    """The factors applied from left to right; `/ 0` and `% 0` give None."""
    return reduce(_times, factors, start if type(start) in NUMBERS else None)


def _times(value: Any, factor: tuple[str, Any]) -> Any:
    op, other = factor
    if value is None or type(other) not in NUMBERS:
        return None
    if op == "*":
        return _finite(lambda: value * other)
    if other == 0:
        return None
    if op == "/":
        return _finite(lambda: value / other)
    return _finite(lambda: _remainder(value, other))


def _remainder(value: Any, other: Any) -> Any:
    # The sign is the dividend's, as in Java.
    rest = abs(value) % abs(other)
    return -rest if value < 0 else rest


def negated(value: Any) -> Any:
    return -value if type(value) in NUMBERS else None


def _finite(compute: Callable[[], Any]) -> Any:
    """A number too large for a double is no number."""
    try:
        value = compute()
    except OverflowError:
        return None
    if type(value) is int:
        # Factors of factors would grow without end.
        return value if value.bit_length() < 1024 else None
    return value if value - value == 0 else None


# ---- lists and maps ---------------------------------------------------------


def items_of(value: Any) -> list[Any]:
    """A list as it is; nothing for a missing one; a scalar or object is a list of itself."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def one_after_another(lists: Iterable[list[Any]]) -> list[Any]:
    """The members of all the lists."""
    return [item for each in lists for item in each]


def distinct(items: Any) -> list[Any]:
    """First occurrences, in order."""
    kept: list[Any] = []
    seen: set[Any] = set()
    for item in items_of(items):
        key = key_of(item)
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return kept


def key_of(value: Any) -> Any:
    """Something hashable that is equal exactly for values that are the same."""
    if isinstance(value, list):
        return ("list", *map(key_of, value))
    if isinstance(value, Mapping):
        return ("map", frozenset((name, key_of(inner)) for name, inner in value.items()))
    return (type(value) if type(value) not in NUMBERS else float, value)


class GroupKey:
    """What a flag, a list or a map stands as among the keys of groups. key: as key_of gives it."""

    __slots__ = ("key", "value")

    def __init__(self, key: Any, value: Any) -> None:
        self.key = key
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GroupKey) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return str(self.value)


def group_key(value: Any) -> Any:
    """A value as a key of a map. As keys of a dict True would be 1, and a list none."""
    if type(value) is str or type(value) in NUMBERS:
        return value
    return GroupKey(key_of(value), value)


def group_value(key: Any) -> Any:
    """What the elements of a group have in common."""
    return key.value if type(key) is GroupKey else key


def intersects(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return False
    keys = set(map(key_of, items_of(other)))
    return any(key_of(item) in keys for item in items_of(one))


def intersection(one: Any, other: Any) -> list[Any] | None:
    """The common members in the order of the first, each once; None when a side is missing."""
    if one is None or other is None:
        return None
    keys = set(map(key_of, items_of(other)))
    return [item for item in distinct(one) if key_of(item) in keys]


def subset_of(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return False
    return set(map(key_of, items_of(one))) <= set(map(key_of, items_of(other)))


def includes(items: Any, value: Any) -> bool:
    if items is None or value is None:
        return False
    return any(item is not None and same(item, value) for item in items_of(items))


def aggregate(function: str, numbers: Iterable[Any]) -> Any:
    """sum, average, min or max of what is a number; of nothing: 0 for sum, else None."""
    found = [number for number in numbers if type(number) in NUMBERS]
    if function == "sum":
        return _finite(lambda: sum(found))
    if not found:
        return None
    if function == "average":
        return _finite(lambda: sum(found) / len(found))
    return min(found) if function == "min" else max(found)


def get(value: Any, key: Any) -> Any:
    """The value under a key: a text, or in groups whatever their elements have in common."""
    return value.get(group_key(key)) if isinstance(value, Mapping) else None


def keys(value: Any) -> list[Any]:
    return [group_value(one) for one in value] if isinstance(value, Mapping) else []


def values(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else []


def in_segment(view: Any, audience_id: str) -> bool:
    """Whether the profile is a member: `ups` memberships alone, realized or existing."""
    membership = walk(view, ("segmentMembership", "ups", audience_id))
    return walk(membership, ("status",)) in ("realized", "existing")


def superset_of(one: Any, other: Any) -> bool:
    return subset_of(other, one)


def head(items: Any) -> Any:
    """The first element; None of nothing."""
    found = items_of(items)
    return found[0] if found else None
