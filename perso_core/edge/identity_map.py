"""What an identity map says: an ECID that names the visitor, claims, and, for servers, the primary
identity."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import UNSET, Struct

from perso_core.decision.attributes import encodable
from perso_core.decision.identity import Identity, is_ecid
from perso_core.edge.problem import (
    FieldBad,
    FieldMissing,
    IdentityBad,
    IdentityUnexpected,
    shown,
)

MAX_CLAIMS_PER_REQUEST = 20
MAX_ID_CHARS = 256
MAX_NAMESPACE_CHARS = 64
# What an id or a namespace has none of: control and format characters, spaces other than " ", and
# private ones. As text for a pattern that callers' tools read too; `str.isprintable` would differ
# from one Python to the next.
UNSEEN = (
    r"\x00-\x1f\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000"
    r"\ue000-\uf8ff\ufeff\ufff9-\uffff"
)
_SEEN = re.compile(f"[^{UNSEEN}]+")


class Claimed(Struct, frozen=True):
    """One identity map, checked. ecid: named in it, None when it names none. claims: the other
    namespaces' identities, each once. `authenticatedState` is not here: from a browser it
    proves nothing.
    """

    ecid: str | None = None
    claims: tuple[Identity, ...] = ()


NOBODY = Claimed()


def claimed(identity_map: Any, path: str) -> Claimed:
    """Check an identity map. UNSET: there is none. path: where it stood, for what is raised.

    Raises FieldBad and FieldMissing for a wrong shape, IdentityBad for an id that is none.
    """
    if identity_map is UNSET:
        return NOBODY
    identities = tuple(dict.fromkeys(_identities(identity_map, path)))
    ecids = [identity.id for identity in identities if identity.namespace == "ECID"]
    if len(ecids) > 1:
        raise IdentityBad(
            f"'{path}' names two visitors, ECID {ecids[0]} and {ecids[1]}.", fix="Send one ECID."
        )
    others = tuple(identity for identity in identities if identity.namespace != "ECID")
    return Claimed(ecids[0] if ecids else None, others)


def primary_of(identity_map: Any, path: str) -> Identity | None:
    """The identity that a map, which `claimed` has checked, says is the primary one; where it
    says so of none, the ECID in it; None: neither.

    Raises IdentityUnexpected for two of them.
    """
    if identity_map is UNSET:
        return None
    flagged = [
        Identity(namespace, entry["id"])
        for namespace, entries in identity_map.items()
        for entry in entries
        if entry.get("primary", False)
    ]
    if len(set(flagged)) > 1:
        raise IdentityUnexpected(f"'{path}' has two primary identities.", fix="Flag one of them.")
    ecid = claimed(identity_map, path).ecid
    return flagged[0] if flagged else Identity("ECID", ecid) if ecid else None


def authenticated_in(identity_map: Any) -> tuple[Identity, ...]:
    """The identities of which a map, which `claimed` has checked, says that they are
    authenticated, in its order. Worth something from a proven server alone."""
    if identity_map is UNSET:
        return ()
    return tuple(
        Identity(namespace, entry["id"])
        for namespace, entries in identity_map.items()
        for entry in entries
        if entry.get("authenticatedState") == "authenticated"
    )


def claims_of(maps: Iterable[Claimed]) -> tuple[Identity, ...]:
    """All claims of one request, each once. Raises FieldBad when they are too many."""
    found: dict[Identity, None] = {}
    for one in maps:
        if one.claims:
            found |= dict.fromkeys(one.claims)
    claims = tuple(found)
    if len(claims) > MAX_CLAIMS_PER_REQUEST:
        raise FieldBad(
            f"'identityMap': {len(claims)} identities in one request, the limit is "
            f"{MAX_CLAIMS_PER_REQUEST}.",
            fix="Send the visitor's own identities alone.",
        )
    return claims


def checked_identity(namespace: str, text: str, path: str) -> Identity:
    """An identity that stands by itself. Raises FieldBad, IdentityBad."""
    if not _is_name(namespace, MAX_NAMESPACE_CHARS):
        raise FieldBad(f"'{path}.namespace' is no namespace.", fix="Send a short printable name.")
    return _identity(namespace, {"id": text}, path)


def _identities(identity_map: Any, path: str) -> Iterator[Identity]:
    if not isinstance(identity_map, dict):
        raise _expected("an object of lists, by namespace", path)
    for namespace, entries in identity_map.items():
        where = f"{path}.{shown(namespace)}"
        if not _is_name(namespace, MAX_NAMESPACE_CHARS):
            raise FieldBad(f"'{where}' is no namespace.", fix="Send a short printable name.")
        if not isinstance(entries, list):
            raise _expected("a list of identities", where)
        for index, entry in enumerate(entries):
            yield _identity(namespace, entry, f"{where}[{index}]")


def _identity(namespace: str, entry: Any, path: str) -> Identity:
    if not isinstance(entry, dict):
        raise _expected("an object", path)
    if not isinstance(entry.get("primary", False), bool):
        raise _expected("true or false", f"{path}.primary")
    if "id" not in entry:
        raise FieldMissing(f"'{path}.id' is required.", fix="Send it.")
    text = entry["id"]
    if not isinstance(text, str):
        raise _expected("a string", f"{path}.id")
    if namespace == "ECID" and not is_ecid(text):
        raise IdentityBad(
            f"'{path}.id' is '{shown(text)}', which is no ECID.", fix="Send 38 digits."
        )
    if not _is_name(text, MAX_ID_CHARS):
        raise IdentityBad(
            f"'{path}.id' is '{shown(text)}', which is no id.",
            fix=f"Send 1 to {MAX_ID_CHARS} printable characters.",
        )
    return Identity(namespace, text)


def _is_name(text: str, max_chars: int) -> bool:
    return len(text) <= max_chars and _SEEN.fullmatch(text) is not None and encodable(text)


def _expected(what: str, path: str) -> FieldBad:
    return FieldBad(f"'{path}' must be {what}.", fix="Correct the field and send it again.")
