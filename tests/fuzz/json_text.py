"""JSON texts, and changes of them that leave most of a text JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class Written(str):
    """What is written as it is: numbers of any size, escapes, what is no JSON."""

    __slots__ = ()


class Members(list[Any]):
    """An object: a Member each. A name may stand twice."""


class Member(list[Any]):
    """[name, value]"""


# What one change may come to, above what the edge takes.
MOST_CHARS = 70_000
# A list and where in it a value stands.
Place = tuple[list[Any], int]

ODD: list[Any] = [
    None,
    True,
    False,
    "",
    "\x00",
    "\u2028",
    "\u202e\ufeff",
    "e\u0301",
    "\U0001f9d1\u200d\U0001f680",
    "ECID",
    "1" * 38,
    "7" * 38,
    "victim-4711",
    "__proto__",
    "$.`",
    "in",
    "y",
    "2026-03-15T12:00:00.000Z",
    "9999-12-31T23:59:59.999999999+23:59",
    "https://[::1",
    "https://www.shop.test:99999/",
    Members(),
    [],
    *(
        Written(text)
        for text in (
            '"\\ud800"',
            '"\\udc00\\ud800"',
            '"\\u0000"',
            "0",
            "-0",
            "-1",
            "1e400",
            "-1e-400",
            "1E+2",
            "0.1e1",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775809",
            "253402300800000",
            "1" + "0" * 400,
            "0." + "1" * 400,
            "NaN",
            "Infinity",
            "01",
            "[" * 31 + "]" * 31,
            "[" * 5_000 + "]" * 5_000,
            '{"a":' * 40 + "1" + "}" * 40,
            '"' + "\\u00e9" * 50 + '"',
        )
    ),
]


def read(text: str) -> Any:
    """Raises ValueError, RecursionError."""
    return json.loads(
        text,
        object_pairs_hook=lambda pairs: Members(Member(pair) for pair in pairs),
        parse_int=Written,
        parse_float=Written,
        parse_constant=Written,
    )


def written(value: Any, *, ascii_alone: bool = False) -> str:
    if isinstance(value, Written):
        return str(value)
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=ascii_alone)
    parts = [written(one, ascii_alone=ascii_alone) for one in value]
    if isinstance(value, Member):
        return ":".join(parts)
    return f"{{{','.join(parts)}}}" if isinstance(value, Members) else f"[{','.join(parts)}]"


def changed(text: str, others: Sequence[str], chance: random.Random) -> str:
    """With one to three changes; parts may come from the others. A text that is no JSON is cut and
    doubled."""
    try:
        root = [read(text)]
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            holder, at = chance.choice([*_places(root)])
            chance.choice(CHANGES)(holder, at, others, chance)
            root = root or [None]
        return written(root[0], ascii_alone=chance.random() < 0.2)
    except (ValueError, RecursionError):
        return cut(text, others, chance)


def cut(text: str, others: Sequence[str], chance: random.Random) -> str:
    """A piece of it left out, doubled, or taken from another text."""
    at = chance.randrange(len(text) + 1)
    end = min(len(text), at + chance.choice((0, 1, 1, 5, 50)))
    other = chance.choice(others) if others else ""
    begins = chance.randrange(len(other) + 1)
    pieces = ("", text[at:end] * 2, other[begins : begins + chance.randrange(30)], "\\u", "\ufffd")
    return text[:at] + chance.choice((*pieces, chance.choice('{}[]",:\\0e-'))) + text[end:]


def _places(holder: list[Any]) -> Iterator[Place]:
    """Every value, wherever it stands; members and their names too."""
    for at, value in enumerate(holder):
        yield holder, at
        if isinstance(value, list):
            yield from _places(value)


def _exchange(holder: list[Any], at: int, others: Sequence[str], chance: random.Random) -> None:
    holder[at] = chance.choice(ODD)


def _leave_out(holder: list[Any], at: int, others: Sequence[str], chance: random.Random) -> None:
    if isinstance(holder, Member):
        holder[at] = None
    else:
        del holder[at]


def _double(holder: list[Any], at: int, others: Sequence[str], chance: random.Random) -> None:
    times = chance.choice((1, 1, 2, 20, 101))
    if not isinstance(holder, Member) and len(written(holder[at])) * times < MOST_CHARS:
        holder[at:at] = [holder[at]] * times


def _from_another(holder: list[Any], at: int, others: Sequence[str], chance: random.Random) -> None:
    root = [read(chance.choice(others or ["{}"]))]
    other, place = chance.choice([*_places(root)])
    holder[at] = other[place]


def _swap(holder: list[Any], at: int, others: Sequence[str], chance: random.Random) -> None:
    place = chance.randrange(len(holder))
    holder[at], holder[place] = holder[place], holder[at]


def _wrap(holder: list[Any], at: int, others: Sequence[str], chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 27, 33))):
        holder[at] = [holder[at]] if chance.random() < 0.5 else Members([Member(["a", holder[at]])])


def _lengthen(holder: list[Any], at: int, others: Sequence[str], chance: random.Random) -> None:
    text, times = holder[at], chance.choice((2, 10, 260, 2_000))
    plain = isinstance(text, str) and not isinstance(text, Written)
    if plain and len(text) * times < MOST_CHARS:
        holder[at] = (text or "x") * times


def _edit(holder: list[Any], at: int, others: Sequence[str], chance: random.Random) -> None:
    if isinstance(holder[at], str):
        holder[at] = type(holder[at])(cut(holder[at], others, chance))


CHANGES: list[Callable[[list[Any], int, Sequence[str], random.Random], None]] = [
    _exchange,
    _exchange,
    _leave_out,
    _double,
    _from_another,
    _swap,
    _wrap,
    _lengthen,
    _edit,
    _edit,
]
