"""What a site may say of a profile: a JSON object within limits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from perso_core.errors import BadAttributes, BadEvent, PersoError

# Adobe's guardrail for one profile record (product.md, 25), unless a setting says otherwise.
MAX_RECORD_BYTES = 100 * 1024
MAX_DEPTH = 32  # the attributes themselves are the first level
MAX_REPORTED = 20
# Parts of the rules' view that we write ourselves; an attribute of that name would hide them.
RESERVED = ("xEvent", "segmentMembership", "externalAudience")
_INTEGERS = range(-(2**63), 2**64)
_MOST_DIGITS = 20  # of these, with a sign
_TOLD_CHARS = 80  # of a path
_MANY_DIGITS = re.compile(rb"\d{19}")  # there may be a number beyond them

_Problem = tuple[str, str]  # what is wrong, how to mend it


def check_attributes(attributes: Mapping[str, Any], *, max_bytes: int | None = None) -> None:
    """Refuse attributes, or a merge patch of them, that could not be kept or read by a rule.

    Raises BadAttributes for one that is no JSON object; has a reserved name, a value that JSON
    cannot say (NaN, half a surrogate pair, an object that is no str, number, bool, None, list or
    dict), a number beyond 64 bits, more than 32 levels; or takes more than max_bytes as JSON, which
    is the setting max_record_bytes (None: the engine, which knows it, looks at the size). It names
    the first 20 problems at once. Cost: O(size).
    """
    problems = [*_reserved(attributes), *_values(attributes)]
    # Only what is sound can be encoded.
    if max_bytes is not None and not problems:
        problems = [*_size(attributes, max_bytes)]
    if problems:
        raise _told(BadAttributes, problems)


def sound_attributes(
    attributes: Mapping[str, Any], *, max_bytes: int | None = None
) -> Mapping[str, Any]:
    """Of a program's attributes what the store will give back: a tuple is a list, a text or number
    of a class of its own (Markup, an enum) a plain one. Raises as check_attributes."""
    check_attributes(attributes, max_bytes=max_bytes)
    return _as_stored(attributes)


def sound_event(xdm: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same of an event. Raises BadEvent for one that is no JSON object, as check_attributes."""
    if (same := _same_in_json(xdm)) is not None:
        return same
    if not isinstance(xdm, Mapping):
        kind = type(xdm).__name__
        raise BadEvent(f"xdm is a {kind}, not an object.", fix="Give an XDM object, or None.")
    if problems := [*_values(xdm, "xdm")]:
        raise _told(BadEvent, problems)
    return _as_stored(xdm)


def whole_number(digits: str) -> int:
    """An integer out of JSON, for its reader's parse_int: for one that is longer than any within 64
    bits, and that Python may not read, another one that check_attributes refuses as such."""
    return int(digits) if len(digits) <= _MOST_DIGITS else _INTEGERS.stop


def json_to_send(value: Mapping[str, Any], error: type[PersoError], path: str) -> bytes:
    """A program's object for another process to read: dates, decimals and UUIDs are texts there.
    Raises error for what JSON cannot say: a number that is none would be null, and a null in a
    patch removes what it stands for. path: what the object is called."""
    try:
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
    except (TypeError, RecursionError) as fault:
        raise error(f"{path} cannot be sent: {fault}.", fix="Send what JSON can say.") from fault
    if problems := [*_values(plain, path)]:
        raise _told(error, problems)
    return msgspec.json.encode(plain)


def _told(error: type[PersoError], problems: Sequence[_Problem]) -> PersoError:
    named = [detail for detail, _ in problems[:MAX_REPORTED]]
    if len(problems) > MAX_REPORTED:
        named.append(f"and {len(problems) - MAX_REPORTED} more")
    fixes = dict.fromkeys(fix for _, fix in problems[:MAX_REPORTED])
    return error("; ".join(named) + ".", fix=" ".join(fixes))


def _same_in_json(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The event out of JSON, where it is the same there; None: it has to be looked at part by part,
    for many times as long."""
    try:
        sent = msgspec.json.encode(event)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    if sent.count(b"{") + sent.count(b"[") > MAX_DEPTH or _MANY_DIGITS.search(sent):
        return None
    read = msgspec.json.decode(sent)
    return read if isinstance(read, dict) and read == event else None


def _as_stored(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], msgspec.json.decode(_encoded(value)))


def _encoded(value: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: Any) -> Any:
    """What msgspec does not take for its class alone."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else dict(value)


def _reserved(attributes: Mapping[str, Any]) -> Iterator[_Problem]:
    if isinstance(attributes, Mapping):
        for name in RESERVED:
            if name in attributes:
                yield f"{name} is a reserved name", f"Take {name} out: Perso itself writes it."


def _values(attributes: Mapping[str, Any], path: str = "") -> Iterator[_Problem]:
    if not isinstance(attributes, Mapping):
        yield "the attributes are not an object", 'Write an object, e.g. {"loyalty": {…}}.'
        return
    # A stack of our own: a hostile depth must not exhaust Python's.
    waiting: list[tuple[str, Any, int]] = [(path, attributes, 1)]
    while waiting:
        path, value, depth = waiting.pop()
        path = path[-_TOLD_CHARS - 1 :]  # a name of 100 KB had stood before each of 50,000 elements
        if isinstance(value, (Mapping, list, tuple)) and depth > MAX_DEPTH:
            yield (
                f"{_shown(path)} lies more than {MAX_DEPTH} levels deep",
                f"Nest at most {MAX_DEPTH} objects and lists.",
            )
        elif isinstance(value, Mapping):
            yield from _names(path, value)
            inner = [(_joined(path, name), value[name], depth + 1) for name in value]
            waiting.extend(reversed(inner))
        elif isinstance(value, (list, tuple)):
            elements = [
                (f"{path}[{at}]", element, depth + 1)
                for at, element in enumerate(value)
                if not _is_plain(element)
            ]
            waiting.extend(reversed(elements))
        else:
            yield from _scalar(path, value)


def _names(path: str, value: Mapping[Any, Any]) -> Iterator[_Problem]:
    for name in value:
        if not isinstance(name, str):
            yield f"{_shown(path)} has a name that is not text", "Name every field with text."
        elif not encodable(name):
            yield (
                f"{_shown(path)} has a name with half a character in it",
                "Write names as valid Unicode.",
            )


def _scalar(path: str, value: object) -> Iterator[_Problem]:
    if isinstance(value, str):
        if not encodable(value):
            yield f"{_shown(path)} has half a character in it", "Write text as valid Unicode."
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        # Not `in`: of an int of another class that looks at each number of the range.
        if not _INTEGERS.start <= value < _INTEGERS.stop:
            yield (
                f"{_shown(path)} is a number beyond 64 bits",
                "Write an identifying number as text.",
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield f"{_shown(path)} is not a finite number", "Write a number, or null to remove it."
    else:
        yield (
            f"{_shown(path)} is a {type(value).__name__}, which JSON does not have",
            "Write text, a number, true, false, null, a list or an object.",
        )


def _is_plain(value: object) -> bool:
    """Whether it is certain to be sound: nearly all that stands in long lists."""
    kind = type(value)
    if kind is str:
        return cast(str, value).isascii()
    if kind is int:
        return _INTEGERS.start <= cast(int, value) < _INTEGERS.stop
    return kind is bool or value is None


def _size(attributes: Mapping[str, Any], max_bytes: int) -> Iterator[_Problem]:
    size = len(_encoded(attributes))
    if size > max_bytes:
        yield (
            f"they take {size:,} bytes as JSON; {max_bytes:,} is the limit",
            "Keep what no rule and no mapping reads elsewhere, or raise max_record_bytes.",
        )


def encodable(text: str) -> bool:
    """Whether it has no half of a character, as bytes of a header that are no text leave them."""
    # isascii is a flag of the string; the rest is searched for surrogates by the encoder.
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _joined(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _shown(path: str) -> str:
    """The path, readable on one line: at most its last characters."""
    cut = path if len(path) <= _TOLD_CHARS else "…" + path[1 - _TOLD_CHARS :]
    safe = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in cut)
    return safe or "the attributes"
