"""A token of an issuer: a JSON Web Token (RFC 7519), taken apart and checked. Pure.

PyJWT verifies the signature. All else is checked here, by our clock: what a token says of its own
verification (`jku`, `jwk`, `x5u`, `x5c`, its algorithm) is never followed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jwt.algorithms import get_default_algorithms
from msgspec import Struct

from perso_core.definitions.issuer import Issuer
from perso_core.definitions.jwks import MAX_KID_CHARS, VerifyingKey
from perso_core.edge.problem import (
    ContextBad,
    FieldBad,
    JsonBad,
    SignatureBad,
    TokenBad,
    TokenExpired,
)
from perso_core.edge.strict_json import parsed

LEEWAY_S = 30  # clocks of two servers differ
MAX_TIME_S = 253_402_300_799  # the end of the year 9999
MAX_SUBJECT_CHARS = 512

_PART = re.compile(r"[A-Za-z0-9_-]+")
# What `typ` of a bearer token may be; None: it has none.
BEARER_TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
# Headers that change what is signed or how: whoever does not know them must refuse (RFC 7515).
_UNKNOWN = ("crit", "b64", "zip", "enc", "cty")
_VERIFIERS = get_default_algorithms()


class Unverified(Struct, frozen=True):
    """A token taken apart; nothing of it is believed. signed: what the signature is over."""

    algorithm: str
    kid: str
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def taken_apart(token: str, types: Sequence[str | None] = BEARER_TYPES) -> Unverified:
    """types: what its `typ` may be, in small letters: a token for one use is none for another.

    Raises TokenBad for what is no signed token in its one and only form.
    """
    parts = token.split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        raise _malformed("It is not three parts in base64url with dots between")
    header, claims, signature = (_decoded(part) for part in parts)
    head = _object(header, "header")
    stated = next((name for name in _UNKNOWN if name in head), None)
    if stated:
        raise _malformed(f"Its header has {stated}")
    kind = head.get("typ")
    if (kind.lower() if isinstance(kind, str) else kind) not in types:
        raise _malformed("Its typ is not that of such a token")
    return Unverified(
        algorithm=_text(head, "alg", 32),
        kid=_text(head, "kid", MAX_KID_CHARS),
        claims=_object(claims, "payload"),
        signed=f"{parts[0]}.{parts[1]}".encode(),
        signature=signature,
    )


def issuer_of(token: Unverified, issuers: Mapping[str, Issuer]) -> Issuer:
    """Whose keys the token is to be verified with. issuers: by `iss`.

    Raises TokenBad without `iss`, ContextBad for a stranger, SignatureBad for an algorithm that
    the issuer does not use.
    """
    name = token.claims.get("iss")
    if not isinstance(name, str):
        raise _malformed("It has no iss")
    issuer = issuers.get(name)
    if issuer is None:
        raise ContextBad("Its issuer is not known here.", fix="Define it as an [[issuer]].")
    if token.algorithm not in issuer.algorithms:
        raise SignatureBad(
            "It is signed with an algorithm that its issuer does not use.",
            fix="Send the token as its issuer made it.",
        )
    return issuer


def verify(
    token: Unverified, issuer: Issuer, key: VerifyingKey | None, *, audience: str, now_ms: int
) -> None:
    """Returns where the token is its issuer's, for this audience, and good now. key: the issuer's
    key of the token's kid; None: it has none such.

    Raises SignatureBad, TokenExpired, ContextBad, TokenBad.
    """
    if key is None or token.algorithm not in key.algorithms:
        raise SignatureBad("Its issuer has no such key.", fix="Get a new token.")
    verifier = _VERIFIERS[token.algorithm]
    if not verifier.verify(token.signed, key.key, token.signature):
        raise SignatureBad("The signature is not its issuer's.", fix="Get a new token.")
    _check_times(token.claims, now_ms / 1_000)
    _check_audience(token.claims, audience)
    _text(token.claims, "sub", MAX_SUBJECT_CHARS)


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    if time_claim(claims, "exp") <= now_s - LEEWAY_S:
        raise TokenExpired("The token has expired.", fix="Get a new one.")
    begins = [time_claim(claims, "iat")]
    if "nbf" in claims:
        begins.append(time_claim(claims, "nbf"))
    if max(begins) > now_s + LEEWAY_S:
        raise TokenExpired("The token is not valid yet.", fix="Set the issuer's clock.")


def _check_audience(claims: Mapping[str, Any], audience: str) -> None:
    stated = claims.get("aud")
    audiences = stated if isinstance(stated, list) else [stated]
    if not stated or not all(isinstance(one, str) for one in audiences):
        raise _malformed("It has no aud")
    if audience not in audiences:
        raise ContextBad("The token is for another audience.", fix="Get one for this edge.")


def time_claim(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate. Raises TokenBad for none."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _malformed(f"It has no {name}")
    if not 0 <= value <= MAX_TIME_S:
        raise _malformed(f"Its {name} is no time")
    return value


def _text(fields: Mapping[str, Any], name: str, max_chars: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= max_chars:
        raise _malformed(f"It has no {name}")
    return value


def _decoded(part: str) -> bytes:
    padded = part + "=" * (-len(part) % 4)
    try:
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True)
    except binascii.Error:
        raise _malformed("A part of it is not base64url") from None
    # The last character may have bits that mean nothing: two texts must not be one token.
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise _malformed("A part of it is not base64url as it is written")
    return decoded


def _object(written: bytes, what: str) -> dict[str, Any]:
    try:
        value = parsed(written)
    except (JsonBad, FieldBad):
        raise _malformed(f"Its {what} is not JSON, each name once") from None
    if not isinstance(value, dict):
        raise _malformed(f"Its {what} is no object")
    return value


def _malformed(what: str) -> TokenBad:
    # Nothing of the token is told back: whoever may read the answer may not be its holder.
    return TokenBad(f"The token is malformed. {what}.", fix="Send it as it was issued.")
