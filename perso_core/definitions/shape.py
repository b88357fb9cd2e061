"""Which tables and keys a definitions file has, and reading them: names, kinds, what is required.

docs/definitions.md says the same for people; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Literal, get_args

from msgspec import Struct

from perso_core.definitions.audience import AudienceSource
from perso_core.definitions.datastream import AccessType, DefaultConsent
from perso_core.definitions.destination import DestinationKind
from perso_core.definitions.external import MAX_MEMBERSHIP_DAYS
from perso_core.definitions.finding import Finding, kind_of, nearest, seen, shown
from perso_core.definitions.schema import Field
from perso_core.definitions.schema_table import fields_in
from perso_core.definitions.toml_places import Path
from perso_core.pql.eligibility import MAX_EVENT_WINDOW_DAYS, EdgeRule

Kind = Literal[
    "text", "flag", "texts", "day", "whole", "wholes", "choice", "table", "tables", "fields"
]


class Key(Struct, frozen=True):
    """One key of a table. words: the values of a choice; none for the other kinds.

    most: of a whole number, which is 1 at least, and of each of a list of them.
    without: another key and its word with which this one does not stand.
    """

    name: str
    kind: Kind
    required: bool = False
    words: tuple[str, ...] = ()
    most: int = 0
    without: tuple[str, str] | None = None


MAX_TCF_VENDOR = 65_535  # a vendor's number has 16 bits in a TC string
MAX_RETENTION_DAYS = 3_650
MAX_TCF_PURPOSE = 24  # so many purposes there is room for

# Table -> its keys; "" is the top of the file. A key of kind "table" or "tables" names
# the table it holds.
TABLES: Mapping[str, tuple[Key, ...]] = {
    "": (
        Key("org", "text", required=True),
        Key("schema", "table"),
        Key("datastream", "tables"),
        Key("destination", "tables"),
        Key("audience", "tables"),
        Key("activation", "tables"),
        Key("issuer", "tables"),
    ),
    "schema": (
        Key("closed", "flag"),
        Key("profile", "fields"),
        Key("event", "fields"),
    ),
    "datastream": (
        Key("id", "text", required=True),
        Key("name", "text", required=True),
        Key("enabled", "flag"),
        Key("edge_segmentation", "flag"),
        Key("personalization_destinations", "flag"),
        Key("allowed_origins", "texts"),
        Key("default_consent", "choice", words=get_args(DefaultConsent)),
        Key("access_type", "choice", words=get_args(AccessType)),
        Key("fpid_cookie", "text"),
        Key("trust_fpid_cookie", "flag"),
        Key("tcf_vendor", "whole", most=MAX_TCF_VENDOR),
        Key("tcf_purposes", "wholes", most=MAX_TCF_PURPOSE),
        Key("consent_strings_opt_in", "flag"),
        Key("identity_priority", "texts"),
        Key("retention_days", "whole", most=MAX_RETENTION_DAYS),
    ),
    "destination": (
        Key("id", "text", required=True),
        Key("kind", "choice", required=True, words=get_args(DestinationKind)),
        Key("name", "text", required=True),
        Key("integration_alias", "text", required=True),
        Key("datastream", "text", required=True),
        Key("description", "text"),
        Key("advertising", "flag"),
        Key("attribute", "tables"),
    ),
    "attribute": (
        Key("source", "text", required=True),
        Key("target", "text", required=True),
    ),
    "audience": (
        Key("id", "text", required=True),
        Key("name", "text", required=True),
        Key("pql", "text", required=True, without=("source", "external")),
        Key("alias", "text"),
        Key("description", "text"),
        Key("edge", "choice", words=get_args(EdgeRule), without=("source", "external")),
        Key(
            "event_window_days",
            "whole",
            most=MAX_EVENT_WINDOW_DAYS,
            without=("source", "external"),
        ),
        Key("source", "choice", words=get_args(AudienceSource)),
        Key("membership_days", "whole", most=MAX_MEMBERSHIP_DAYS, without=("source", "rule")),
    ),
    "activation": (
        Key("audience", "text", required=True),
        Key("destination", "text", required=True),
        Key("start_date", "day"),
        Key("end_date", "day"),
    ),
    "issuer": (
        Key("id", "text", required=True),
        Key("name", "text", required=True),
        Key("issuer", "text", required=True),
        Key("audience", "text", required=True),
        Key("algorithms", "texts", required=True),
        Key("datastreams", "texts", required=True),
        Key("jwks_url", "text"),
        Key("jwks", "text"),
        Key("may", "texts"),
    ),
}

# How a value of each kind is written, for `fix`.
_WRITTEN: Mapping[Kind, str] = {
    "text": '{key} = "…", with the text in quotes',
    "flag": "{key} = true or {key} = false",
    "texts": '{key} = ["…", "…"]',
    "day": "{key} = 2026-12-31, without quotes and time",
    "whole": "{key} = 90, a whole number from 1 to {most}",
    "wholes": "{key} = [1, 2], with at least one whole number from 1 to {most}",
    "choice": '{key} = "…", with one of {words}',
    "table": "[{key}] once, with its keys below it",
    "tables": "[[{key}]] above each entry",
    "fields": '[schema.{key}] with lines below it such as "loyalty.tier" = "text"',
}


class Reader:
    """Reads tables into fields, and gathers what is wrong in `findings`.

    A required field that cannot be read is a blank: "", the first word, or no entries.
    """

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def entry(self, table: str, given: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """The fields of one table: every required one, and the optional ones that are right."""
        keys = TABLES[table]
        self.findings.extend(_strangers(table, given, path))
        fields: dict[str, Any] = {}
        for key in keys:
            if self._stands_without(table, key, given, path):
                found, value = False, None
            elif key.name in given:
                found, value = self._value(key, given[key.name], (*path, key.name))
            else:
                found, value = False, None
                if key.required:
                    self._missing(table, key, (*path, key.name))
            if found:
                fields[key.name] = value
            elif key.required or key.kind == "tables":
                fields[key.name] = _blank(key)
        return fields

    def _value(self, key: Key, given: Any, path: Path) -> tuple[bool, Any]:
        """(True, the value for a Struct), or (False, None) with a finding."""
        if key.kind == "text" and isinstance(given, str):
            return True, given
        if key.kind == "flag" and isinstance(given, bool):
            return True, given
        # A datetime is a date to Python, and no day to us.
        if key.kind == "day" and isinstance(given, date) and not isinstance(given, datetime):
            return True, given
        # So is true a number to Python.
        if key.kind == "whole" and type(given) is int and 1 <= given <= key.most:
            return True, given
        if key.kind == "wholes" and _are_wholes(given, key.most):
            return True, tuple(given)
        if key.kind == "texts" and isinstance(given, list):
            return self._texts(key, given, path)
        if key.kind == "choice" and isinstance(given, str):
            return self._choice(key, given, path)
        if key.kind == "table" and isinstance(given, dict):
            return True, self.entry(key.name, given, path)
        if key.kind == "fields" and isinstance(given, dict):
            return True, self._fields(given, path)
        if key.kind == "tables":
            return self._tables(key, given, path)
        self._wrong(key, given, path)
        return False, None

    def _fields(self, given: Mapping[str, Any], path: Path) -> tuple[Field, ...]:
        found = [*fields_in(given, path)]
        self.findings.extend(one for one in found if isinstance(one, Finding))
        return tuple(one for one in found if isinstance(one, Field))

    def _texts(self, key: Key, given: list[Any], path: Path) -> tuple[bool, Any]:
        for index, one in enumerate(given):
            if not isinstance(one, str):
                self._wrong(key, one, (*path, index))
        return True, tuple(one if isinstance(one, str) else "" for one in given)

    def _choice(self, key: Key, given: str, path: Path) -> tuple[bool, Any]:
        if given in key.words:
            return True, given
        near = nearest(given, key.words)
        fix = f'Write {key.name} = "{near}".' if near else f"Write {_written(key)}."
        self._add(path, f"{key.name} has no value {shown(given)}.", fix)
        return False, None

    def _tables(self, key: Key, given: object, path: Path) -> tuple[bool, Any]:
        if isinstance(given, dict):
            self._add(
                path,
                f"[{key.name}] is one table; this file takes a list of them.",
                f"Write [[{'.'.join(str(one) for one in path if isinstance(one, str))}]],"
                " with two brackets.",
            )
            # Read on, so that what refers to this entry is no fault as well.
            given = [given]
        elif not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            self._wrong(key, given, path)
            return False, None
        return True, [self.entry(key.name, one, (*path, at)) for at, one in enumerate(given)]

    def _stands_without(self, table: str, key: Key, given: Mapping[str, Any], path: Path) -> bool:
        """Whether a word of another key leaves this one out; a finding where it is there."""
        if key.without is None:
            return False
        other, word = key.without
        first = next(one for one in TABLES[table] if one.name == other)
        if given.get(other, first.words[0]) != word:
            return False
        if key.name in given:
            self._add(
                (*path, key.name),
                f'A [[{table}]] with {other} = "{word}" has no {key.name}.',
                f"Take it out, or write another {other}.",
            )
        return True

    def _missing(self, table: str, key: Key, path: Path) -> None:
        place = f"This [[{table}]] has" if table else "The file has"
        where = "" if table else " at the top of the file"
        self._add(path, f"{place} no {key.name}.", f"Write {_written(key)}{where}.")

    def _wrong(self, key: Key, given: object, path: Path) -> None:
        value = seen(given)
        kind = kind_of(given)
        what = kind if value == kind else f"{value}, {kind}"
        self._add(path, f"{key.name} is {what}.", f"Write {_written(key)}.")

    def _add(self, path: Path, detail: str, fix: str) -> None:
        self.findings.append(Finding(path=path, detail=detail, fix=fix))


def _strangers(table: str, given: Mapping[str, Any], path: Path) -> Iterator[Finding]:
    """A finding for each key that the table does not have."""
    known = [key.name for key in TABLES[table]]
    top = [key.name for key in TABLES[""]]
    for name in given:
        if name in known:
            continue
        noun = "table or key" if not table else "key"
        near = nearest(name, known)
        if near:
            fix = f"Write {near}."
        elif name in top:
            # TOML gives a key to the table header above it.
            fix = f"Move {name} to the top of the file, above the first [[…]]."
        else:
            fix = f"Take it out; known here: {', '.join(known)}."
        where = f"[[{table}]]" if table else "A definitions file"
        yield Finding(path=(*path, name), detail=f"{where} has no {noun} {shown(name)}.", fix=fix)


def _are_wholes(given: object, most: int) -> bool:
    """An empty list would ask for nothing at all."""
    return (
        isinstance(given, list)
        and bool(given)
        and all(type(one) is int and 1 <= one <= most for one in given)
    )


def _blank(key: Key) -> Any:
    if key.kind == "tables":
        return []
    if key.kind == "texts":
        return ()
    return key.words[0] if key.words else ""


def _written(key: Key) -> str:
    return _WRITTEN[key.kind].format(key=key.name, words=", ".join(key.words), most=key.most)
