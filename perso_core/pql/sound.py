"""What a profile out of a file may hold: numbers that are numbers, and no endless depth."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

# As deep as a rule may be nested. A profile that is kept has 32 levels.
MAX_DEPTH = 200
# What JSON readers take for one integer; each longer one costs time with the square of its length.
MAX_DIGITS = 4_300

_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def read(text: str) -> Any:
    """JSON text as Python values. What is nested too deeply is cut, and an integer that is too
    long is infinite: `unsound` tells of both. Raises ValueError as json.loads does, and where an
    object has a key twice: the last one would count, and nobody would see it."""
    try:
        return _loaded(text)
    except RecursionError:
        return _loaded("".join(_cut(text)))


def _loaded(text: str) -> Any:
    return json.loads(text, parse_int=_integer, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(f"an object has the key {json.dumps(twice[:60])} twice")
    return found


def unsound(value: Any, name: str) -> tuple[str, str] | None:
    """What a rule cannot be asked about first, with its path below name, and what to write;
    None: nothing. Cost: O(size)."""
    # A stack of our own: the depth is a stranger's.
    waiting: list[tuple[str, Any, int]] = [(name, value, 1)]
    while waiting:
        path, one, depth = waiting.pop()
        if isinstance(one, dict | list):
            if depth > MAX_DEPTH:
                top = path.split("[")[0][:80]
                return f"{top} lies more than {MAX_DEPTH} levels deep", "Nest it less."
            waiting.extend(reversed([(*inner, depth + 1) for inner in _inside(path, one)]))
        elif isinstance(one, float) and not math.isfinite(one):
            return (
                f"{path} is {json.dumps(one)}, which no profile holds",
                "Write a number, or null.",
            )
    return None


def _inside(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}.{name}", inner
    else:
        for place, inner in enumerate(value):
            yield f"{path}[{place}]", inner


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else math.inf


def _cut(text: str) -> Iterator[str]:
    """The text without what stands in brackets deeper than a file of cases can need: one level
    beyond the deepest profile stays, so that it is seen to be too deep."""
    kept_to = MAX_DEPTH + 5
    depth = begin = 0
    for found in _TEXT_OR_BRACKET.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == kept_to:
                yield text[begin : found.end()]
        elif found[0] in ("]", "}"):
            if depth == kept_to:
                begin = found.start()
            depth -= 1
    if depth < kept_to:
        yield text[begin:]
