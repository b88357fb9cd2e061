"""Rows of memberships: who, which audience, until when. Any bytes are rows or refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Literal

import msgspec
from msgspec import Struct

from perso_core.definitions.audience import Audience
from perso_core.definitions.external import membership_days
from perso_core.definitions.finding import nearest
from perso_core.errors import BadImportFile
from perso_core.imports.expiry import FIX, expiry_ms
from perso_core.imports.identity import is_plain, row_problem
from perso_core.imports.json_fault import json_fault
from perso_core.imports.refusal import RowRefused, shown
from perso_core.imports.table import Header, refuse_missing, refuse_twice, refuse_unknown
from perso_core.imports.twice import refuse_named_twice
from perso_core.pql.instants import DAY_MS

COLUMNS = ("namespace", "id", "audience", "expires", "status")
ENDED = 0  # an instant that is over
# Words of Adobe's (`existing`: was in before, and is).
IN = frozenset({"", "realized", "existing"})
OUT = "exited"
KEPT_TEXTS = 10_000

# namespace, id, audience id, until when (ENDED: the membership ends).
Member = tuple[str, str, str, int]
# namespace, id, audience, expiry, status; "" where the row says nothing.
Stated = tuple[str, str, str, str | int, str]


class Defaults(Struct, frozen=True):
    """What rows may leave out because the command says it."""

    namespace: str = ""
    audience: str = ""


class Memberships:
    """Checks rows against the definitions. now_ms: from when memberships count that do not say
    until when."""

    def __init__(self, audiences: Sequence[Audience], *, defaults: Defaults, now_ms: int) -> None:
        """Raises BadImportFile where nothing can be imported into."""
        self.defaults = defaults
        self._now_ms = now_ms
        self._audiences = _by_word(audiences)
        self._rules = {word for one in audiences for word in _words(one)} - self._audiences.keys()
        self._expiries: dict[str, int] = {}
        self._good_namespace: str | None = None  # found good last: most files have one
        if not self._audiences:
            raise BadImportFile(
                "No audience is external.",
                fix='Write source = "external" in its [[audience]], and apply it.',
            )

    def member(self, stated: Stated) -> Member:
        """Raises RowRefused."""
        namespace, identity, word, expires, status = stated
        namespace = namespace or self.defaults.namespace
        if namespace != self._good_namespace or not is_plain(identity):
            self._good_namespace = _checked(namespace, identity)
        audience = self._audiences.get(word or self.defaults.audience)
        if audience is None:
            raise self._unknown(word or self.defaults.audience)
        audience_id, lasting_ms = audience
        if status == OUT:
            return namespace, identity, audience_id, ENDED
        if status not in IN:
            raise RowRefused(
                f"The status {shown(status)} is neither realized nor exited. Write one of them."
            )
        until_ms = self._expiry(expires) if expires != "" else self._now_ms + lasting_ms
        return namespace, identity, audience_id, until_ms

    def _expiry(self, stated: str | int) -> int:
        if isinstance(stated, int):
            return expiry_ms(stated)
        known = self._expiries.get(stated)
        if known is None:
            if len(self._expiries) >= KEPT_TEXTS:
                self._expiries.clear()
            known = self._expiries[stated] = expiry_ms(stated)
        return known

    def _unknown(self, word: str) -> RowRefused:
        if not word:
            return RowRefused("The row names no audience. Write its id, alias or name.")
        if word in self._rules:
            return RowRefused(f"The audience {shown(word)} has a rule, which decides alone.")
        near = nearest(word, self._audiences)
        fix = f"Write {near}." if near else "Define it as external, and apply it."
        return RowRefused(f"There is no audience {shown(word)}. {fix}")


def _checked(namespace: str, identity: str) -> str | None:
    """A namespace of which an id need only be plain; None for ECID. Raises RowRefused."""
    if not namespace:
        raise RowRefused(
            "The row names no namespace. Write its code, e.g. ECID or CRMID; of a file, --namespace"
            " stands in for it."
        )
    problem = row_problem(namespace, identity)
    if problem:
        raise RowRefused(problem)
    return None if namespace == "ECID" else namespace


# ---- CSV and NDJSON -----------------------------------------------------------


def stated_in_csv(header: Header, defaults: Defaults) -> Callable[[bytes], Stated]:
    """How a line states a row. Raises BadImportFile for columns that are amiss."""
    columns = _columns(header.columns, defaults)
    # A column that is not there is the empty cell after the last one.
    picked = itemgetter(*(columns.index(name) if name in columns else -1 for name in COLUMNS))
    cells = header.cells

    def stated(line: bytes) -> Stated:
        found = cells(line)
        found.append("")
        row: Stated = picked(found)
        return row

    return stated


def _columns(names: Sequence[str], defaults: Defaults) -> list[str]:
    """The names as COLUMNS has them. Raises BadImportFile for what nobody would read, and for what
    is missing."""
    columns = [name.lower() for name in names]
    refuse_unknown(columns, COLUMNS)
    refuse_twice(columns)
    needed = {"id": "", "namespace": defaults.namespace, "audience": defaults.audience}
    refuse_missing(columns, needed)
    return columns


class _Identity(Struct, forbid_unknown_fields=True):
    namespace: str
    id: str


class _Row(Struct, forbid_unknown_fields=True):
    namespace: str | None = None
    id: str | None = None
    identity: _Identity | None = None
    audience: str | None = None
    expires: int | str | None = None
    status: Literal["", "realized", "existing", "exited"] | None = None


_decoder = msgspec.json.Decoder(_Row)
_NAMES = tuple(f'"{name}"'.encode() for name in _Row.__struct_fields__)


def stated_in_json(line: bytes) -> Stated:
    """{"namespace": …, "id": …, "audience": …, "expires": …, "status": …}, or "identity" with the
    first two. Raises RowRefused."""
    try:
        row = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RowRefused(json_fault(line, error)) from None
    # Most rows have each name once, and none in another spelling: that is seen at once.
    if b"\\" in line or any(line.count(name) > 1 for name in _NAMES):
        refuse_named_twice(line)
    namespace, identity = row.namespace or "", row.id or ""
    if row.identity is not None:
        if namespace or identity:
            raise RowRefused(
                'The row names somebody twice. Keep "identity", or "namespace" and "id".'
            )
        namespace, identity = row.identity.namespace, row.identity.id
    expires = "" if row.expires is None else row.expires
    return namespace, identity, row.audience or "", expires, row.status or ""


def stated_in_columns(
    names: Sequence[str], defaults: Defaults
) -> Callable[[Mapping[str, object]], Stated]:
    """How a row of a Parquet file states one. Raises BadImportFile for columns that are amiss."""
    called = dict(zip(_columns(names, defaults), names, strict=True))

    def stated(row: Mapping[str, object]) -> Stated:
        return _stated({column: row[name] for column, name in called.items()})

    return stated


def _stated(row: Mapping[str, object]) -> Stated:
    """Of values with their kinds. Raises RowRefused."""
    found: list[str] = []
    for name in ("namespace", "id", "audience", "status"):
        value = row.get(name)
        if value is not None and not isinstance(value, str):
            raise RowRefused(
                f"{name} is {shown(value)}, which is no text. Write the column as text."
            )
        found.append(value or "")
    namespace, identity, audience, status = found
    expires = row.get("expires")
    if expires is None:
        return namespace, identity, audience, "", status
    if isinstance(expires, int) and not isinstance(expires, bool):
        return namespace, identity, audience, expires, status
    # A timestamp of Parquet: isoformat has its zone where it has one.
    text = expires.isoformat() if hasattr(expires, "isoformat") else expires
    if not isinstance(text, str):
        raise RowRefused(f"expires is {shown(expires)}, which is no instant. {FIX}")
    return namespace, identity, audience, text, status


def _words(audience: Audience) -> tuple[str, ...]:
    return tuple(word for word in (audience.name, audience.alias, audience.id) if word)


def _by_word(audiences: Sequence[Audience]) -> dict[str, tuple[str, int]]:
    """External audiences by id, alias and name: the id, and how long a membership lasts."""
    found: dict[str, tuple[str, int]] = {}
    for one in audiences:
        if one.source == "external":
            for word in _words(one):
                found[word] = (one.id, membership_days(one) * DAY_MS)
    return found
