"""A site's own device id (FPID): the same one always gives the same ECID. Pure.

The ECID is a name, not a key: whoever brings an FPID without our cookies is called by its ECID,
and has a new, empty profile (DESIGN.md, Identity). A datastream may trust the cookie that its own
server sets; then the FPID in it selects the profile too.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence

from msgspec import Struct

from perso_core.decision.identity import Device, Identity, ecid_from, named_suffix
from perso_core.definitions.datastream import Datastream
from perso_core.edge.cookies import cookie_pairs

NAMESPACE = "FPID"
MAX_FPID_CHARS = 256
_NAME = b"perso fpid name 1"
_PROFILE = b"perso fpid profile 1"


class Fpid(Struct, frozen=True):
    """trusted: it was in the cookie of a datastream that trusts it, so it selects the profile."""

    id: str
    trusted: bool = False


def fpid_of(claims: Sequence[Identity], cookie_header: str, datastream: Datastream) -> Fpid | None:
    """What a call says: in an identity map, else in the site's cookie (protocol.md, 2.5). A cookie
    that a script carried into the body is none.
    """
    cookie = datastream.fpid_cookie
    in_cookie = fpid_in_cookie(cookie_header, cookie) if cookie else None
    if datastream.trust_fpid_cookie and in_cookie is not None:
        # A map can be written by anybody: it cannot take the cookie's visitor its profile.
        return Fpid(in_cookie, trusted=True)
    text = (fpid_claimed(claims) if claims else None) or in_cookie
    return Fpid(text) if text is not None else None


def fpid_claimed(claims: Iterable[Identity]) -> str | None:
    """The FPID among a request's identities; None: there is none, or two."""
    found = {claim.id for claim in claims if claim.namespace == NAMESPACE}
    return found.pop() if len(found) == 1 else None


def fpid_in_cookie(cookie_header: str, name: str) -> str | None:
    """The FPID in the site's own cookie; None: there is none, two different ones (nothing says
    which is the visitor's), or no usable text."""
    found = {value for key, value in cookie_pairs(cookie_header) if key == name}
    if len(found) != 1:
        return None
    (text,) = found
    return text if 0 < len(text) <= MAX_FPID_CHARS and text.isprintable() else None


def ecid_of(fpid: str, *, org: str, naming: bytes) -> str:
    """naming: the key that makes names; whoever has it can tell the ECID of an FPID."""
    return ecid_from(_derived(_NAME, fpid, org, naming)[:16])


def trusted_device(fpid: str, *, org: str, naming: bytes) -> Device:
    """The device whose profile the FPID selects, where the datastream trusts its cookie."""
    suffix = named_suffix(_derived(_PROFILE, fpid, org, naming)[:8])
    return Device(ecid_of(fpid, org=org, naming=naming), suffix)


def _derived(purpose: bytes, fpid: str, org: str, naming: bytes) -> bytes:
    parts = (purpose, org.encode(), fpid.encode())
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(naming, message, "sha256")
