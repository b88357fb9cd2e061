"""One page of exported segment definitions: JSON text into its entries, whatever wraps them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from perso_core.definitions.finding import shown
from perso_core.errors import BadImport
from perso_core.pql.sound import MAX_DIGITS

# What Adobe allows in one sandbox; no export of one is larger.
MAX_ENTRIES = 4_000

# key of the wrapper -> where the count of all definitions stands beside it
_LISTS: Mapping[str, str] = {"segments": "page", "children": "_page"}
_BULK = "results"
# A definition has at least one of these; an object with none of them is something else.
_TELLTALE = ("id", "name", "expression", "evaluationInfo", "audienceId")

_GIVE = (
    "Give the JSON that /segment/definitions, /audiences or /segment/definitions/bulk-get"
    " answered, one definition, or a list of them."
)


class Entry(Struct, frozen=True):
    """One definition as it stands in a page, not looked into yet.

    place: where, e.g. `export.json segments[3]`. key: the id that it was asked for by, in a
    bulk answer; None elsewhere.
    """

    place: str
    value: Any
    key: str | None = None


class Page(Struct, frozen=True):
    """The entries in their order. total: how many definitions the answer says there are on all
    its pages; None: it does not say."""

    entries: tuple[Entry, ...]
    total: int | None = None


def page_from_json(text: str, *, name: str) -> Page:
    """The entries of one file's text. name: what the file is called in places and faults.

    Taken are {"segments": […]}, {"children": […]}, {"results": {id: …}}, a definition and a list
    of them. Raises BadImport for anything else. Cost: O(size).
    """
    document = _parsed(text.removeprefix("\ufeff"), name)
    if isinstance(document, list):
        return Page(tuple(_listed(document, name, "")))
    if not isinstance(document, dict):
        raise BadImport(f"{name} holds neither an object nor a list.", fix=_GIVE)
    entries = tuple(_wrapped(document, name))
    if entries or _BULK in document or _LISTS.keys() & document.keys():
        return Page(entries, _total(document))
    if not any(key in document for key in _TELLTALE):
        raise BadImport(f"{name} holds no segment definitions{_answered(document)}.", fix=_GIVE)
    return Page((Entry(name, document),))


def entries_of(pages: Iterable[Page]) -> tuple[Entry, ...]:
    """All entries of all pages, in order. Raises BadImport for more than MAX_ENTRIES."""
    entries = tuple(entry for page in pages for entry in page.entries)
    if len(entries) > MAX_ENTRIES:
        raise BadImport(
            f"{len(entries):,} definitions were given; {MAX_ENTRIES:,} is the limit, as in one"
            " sandbox of Adobe's.",
            fix="Import them in parts.",
        )
    return entries


def _wrapped(document: Mapping[str, Any], name: str) -> Iterator[Entry]:
    for wrapper in _LISTS:
        given = document.get(wrapper, [])
        if not isinstance(given, list):
            raise BadImport(f"{name}: {wrapper} is not a list.", fix=_GIVE)
        yield from _listed(given, name, wrapper)
    given = document.get(_BULK, {})
    if not isinstance(given, dict):
        raise BadImport(f"{name}: {_BULK} is not an object of definitions by id.", fix=_GIVE)
    for key, value in given.items():
        yield Entry(f"{name} {_BULK}[{shown(key)}]", value, key)


def _listed(given: list[Any], name: str, wrapper: str) -> Iterator[Entry]:
    for index, value in enumerate(given):
        yield Entry(f"{name} {wrapper}[{index}]", value)


def _total(document: Mapping[str, Any]) -> int | None:
    for key in _LISTS.values():
        page = document.get(key)
        total = page.get("totalCount") if isinstance(page, dict) else None
        if type(total) is int:
            return total
    return None


def _answered(document: Mapping[str, Any]) -> str:
    """What a refused call says of itself, as the end of a sentence."""
    said = [document.get(key) for key in ("title", "message", "detail", "error_code")]
    words = next((one for one in said if isinstance(one, str)), None)
    return f"; it says {shown(words)}" if words else ""


class _Twice(ValueError):
    """A name stands twice in one object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Twice(name)
            seen.add(name)
    return found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON value")


def _integer(digits: str) -> int:
    # Python reads no longer ones.
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"it has a number of {len(digits):,} digits")
    return int(digits)


def _parsed(text: str, name: str) -> Any:
    """The JSON value. Raises BadImport, with the line where reading stopped."""
    try:
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_integer
        )
    except json.JSONDecodeError as error:
        more = error.msg == "Extra data"
        detail = "more follows the first value" if more else error.msg[:1].lower() + error.msg[1:]
        raise BadImport(
            f"{name}:{error.lineno}: This is not JSON: {detail} (column {error.colno}).",
            fix="Give each page as a file of its own." if more else "Export it again.",
        ) from None
    except _Twice as error:
        raise BadImport(
            f"{name}: the name {shown(str(error))} stands twice in one object.",
            fix="Keep one of the two: which one is meant cannot be known.",
        ) from None
    except RecursionError:
        raise BadImport(f"{name} is nested too deeply.", fix=_GIVE) from None
    except ValueError as error:  # NaN, or a number of thousands of digits
        raise BadImport(f"{name} cannot be read: {error}.", fix="Export it again.") from None
