"""Values for the plain evaluator: pql.md §2 and §3, one function after another, no short cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.pql.plain_time import TESTS, Time, compared, time_of


class Entry(tuple[Any, Any]):
    """`mapEntry(key, value)`."""


def is_number(value: Any) -> bool:
    return type(value) in (int, float)


def as_list(value: Any) -> list[Any]:
    """A single value used as a list is a list of itself, a missing one is empty."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def dotted(value: Any, name: str) -> Any:
    """`value.name`."""
    if isinstance(value, dict):
        return value.get(name)
    if not isinstance(value, list):
        return None
    found = [dotted(item, name) for item in value]
    return [one for f in found if f is not None for one in (f if isinstance(f, list) else [f])]


def walked(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = dotted(value, name)
    return value


def truth(value: Any) -> bool:
    if value is None or value is False:
        return False
    return value != [] if isinstance(value, list) else True


# ---- equality and order -----------------------------------------------------


def same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    if is_number(one) or is_number(other):
        return is_number(one) and is_number(other) and bool(one == other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return set(one) == set(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def any_of_them(test: Callable[[Any, Any], bool], one: Any, other: Any) -> bool:
    """The test on two present values; of a list against a scalar, on any present element."""
    if one is None or other is None:
        return False
    if isinstance(one, list) is isinstance(other, list):
        return test(one, other)
    pairs = [(a, b) for a in as_list(one) for b in as_list(other)]
    return any(test(a, b) for a, b in pairs if a is not None and b is not None)


def compare(op: str, one: Any, other: Any, *, flags: bool = False) -> bool:
    """`one op other`. flags: one side is the literal "true" or "false"."""

    def test(a: Any, b: Any) -> bool:
        if isinstance(a, Time) or isinstance(b, Time):
            return compare_times(op, a, b)
        if op in ("=", "!="):
            if flags:
                a, b = _as_text(a), _as_text(b)
            return same(a, b) is (op == "=")
        return is_number(a) and is_number(b) and TESTS[op](a, b)

    return any_of_them(test, one, other)


def _as_text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


def compare_times(op: str, one: Any, other: Any) -> bool:
    """The time that the rule itself names is the period; of two, the longer."""
    first, second = time_of(one), time_of(other)
    if first is None or second is None:
        return False
    shorter = first.end - first.start < second.end - second.start
    if not isinstance(other, Time) or (isinstance(one, Time) and not shorter):
        return compared(FLIPPED[op], second, first)
    return compared(op, first, second)


def member(value: Any, items: Any) -> bool:
    items = as_list(items)
    return any(compare("=", one, item) for one in as_list(value) for item in items)


# ---- texts ------------------------------------------------------------------

TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "equals": lambda s, t: s == t,
    "contains": lambda s, t: t in s,
    "startsWith": lambda s, t: s.startswith(t),
    "endsWith": lambda s, t: s.endswith(t),
}
OPPOSITES = {
    "notEqualTo": "equals",
    "doesNotContain": "contains",
    "doesNotStartWith": "startsWith",
    "doesNotEndWith": "endsWith",
}


def folded(text: str) -> str:
    """Each character to its upper form, if that is one character, and that to its lower."""
    uppers = [c.upper() if len(c.upper()) == 1 else c for c in text]
    return "".join(c.lower()[0] for c in uppers)


def text_test(name: str, value: Any, texts: Sequence[Any], *, case_sensitive: bool) -> bool:
    """Any of the texts; for the opposites none of them. False when there is no text to ask."""
    wanted = [t for t in texts if type(t) is str]
    subjects = [s for s in as_list(value) if type(s) is str]
    if not wanted:
        return False
    if not case_sensitive:
        wanted, subjects = [*map(folded, wanted)], [*map(folded, subjects)]
    positive = OPPOSITES.get(name, name)
    return any(
        any(TEXT_TESTS[positive](s, t) for t in wanted) is (name == positive) for s in subjects
    )


def like(text: str, pattern: str) -> bool:
    """`%` any run, `_` one character, over the whole text."""
    ends = {0}  # how much of the text the pattern so far may have taken
    for sign in pattern:
        if sign == "%":
            ends = set(range(min(ends, default=len(text) + 1), len(text) + 1))
        else:
            ends = {e + 1 for e in ends if e < len(text) and sign in ("_", text[e])}
    return len(text) in ends


# ---- numbers ----------------------------------------------------------------


def finite(value: Any) -> Any:
    """A number too large for a double is no value."""
    try:
        return value if is_number(value) and abs(float(value)) != float("inf") else None
    except OverflowError:
        return None


def arithmetic(op: str, one: Any, other: Any) -> Any:
    if not is_number(one) or not is_number(other):
        return None
    if op in "/%" and other == 0:
        return None
    try:
        if op == "%":
            rest = abs(one) % abs(other)
            return -rest if one < 0 else rest
        computed = {"+": lambda: one + other, "-": lambda: one - other, "*": lambda: one * other}
        return finite(one / other if op == "/" else computed[op]())
    except OverflowError:
        return None


def aggregate(function: str, values: Sequence[Any]) -> Any:
    numbers = [value for value in values if is_number(value)]
    if function == "sum":
        return finite(sum(numbers))
    if not numbers:
        return None
    if function == "average":
        return finite(sum(numbers) / len(numbers))
    return min(numbers) if function == "min" else max(numbers)


# ---- lists ------------------------------------------------------------------


def among(value: Any, items: Sequence[Any]) -> bool:
    return any(same(value, item) for item in items)


def distinct(items: Sequence[Any]) -> list[Any]:
    kept: list[Any] = []
    for item in items:
        if not among(item, kept):
            kept.append(item)
    return kept


def groups(pairs: Sequence[tuple[Any, Any]]) -> list[tuple[Any, list[Any]]]:
    """(key, element) pairs -> each key once with its elements; without a key left out."""
    keys = distinct([key for key, _ in pairs if key is not None])
    return [(key, [item for k, item in pairs if k is not None and same(k, key)]) for key in keys]


def ranked(pairs: Sequence[tuple[Any, Any]], number: Any, *, largest: bool) -> list[Any]:
    """The elements of (key, element) with the largest or smallest keys; ties keep their order."""
    if not is_number(number) or number != number // 1 or number < 0:
        return []
    keyed = [(_rank(key), item) for key, item in pairs]
    keyed = [pair for pair in keyed if pair[0] is not None]
    keyed.sort(key=lambda pair: pair[0], reverse=largest)
    return [item for _, item in keyed[: int(number)]]


def _rank(key: Any) -> Any:
    """Numbers and times by their size, then other texts."""
    if is_number(key):
        return (0, key, "")
    when = time_of(key)
    if when is not None:
        return (0, when.start, "")
    return (1, 0, key) if isinstance(key, str) else None
