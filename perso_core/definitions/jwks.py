"""The public keys of an issuer: a JSON Web Key Set (RFC 7517), as far as we take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

MAX_JWKS_BYTES = 64 * 1024
MAX_KEYS = 64
MAX_KID_CHARS = 256
MIN_RSA_BITS = 2_048

# Algorithm -> what its key is. No symmetric one: whoever could verify could also sign.
ALGORITHMS: Mapping[str, tuple[str, str]] = {
    **{f"{kind}{bits}": ("RSA", "") for kind in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}


class VerifyingKey(Struct, frozen=True, eq=False):
    """A public key and the algorithms it may verify. key: as PyJWT takes it."""

    key: Any
    algorithms: frozenset[str]


class _Jwk(Struct, frozen=True):
    """What we read of one key; the rest of it is read by PyJWT."""

    kty: str
    kid: str | None = None
    use: str | None = None
    key_ops: tuple[str, ...] | None = None
    alg: str | None = None
    crv: str = ""


class _Jwks(Struct, frozen=True):
    keys: tuple[msgspec.Raw, ...]


def keys_from_jwks(text: str | bytes, algorithms: tuple[str, ...]) -> Mapping[str, VerifyingKey]:
    """Key id -> key, for those keys of a set that can verify one of the algorithms.

    Others are passed over: those without an id, of another kind, for encryption, private or
    symmetric ones, RSA below 2,048 bits, and of two with one id both. Raises ValueError for what
    is no key set, or a too large one.
    """
    if len(text) > MAX_JWKS_BYTES:
        raise ValueError(f"it is larger than {MAX_JWKS_BYTES:,} bytes")
    try:
        entries = msgspec.json.decode(text, type=_Jwks).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ValueError("it is no JSON object with a list of keys") from fault
    if len(entries) > MAX_KEYS:
        raise ValueError(f"it has more than {MAX_KEYS} keys")
    found: dict[str, VerifyingKey | None] = {}
    for entry in entries:
        kid, key = _key(bytes(entry), algorithms)
        if kid is not None:
            found[kid] = None if kid in found else key
    return {kid: key for kid, key in found.items() if key is not None}


def _key(entry: bytes, algorithms: tuple[str, ...]) -> tuple[str | None, VerifyingKey | None]:
    try:
        jwk = msgspec.json.decode(entry, type=_Jwk)
        fields: dict[str, Any] = msgspec.json.decode(entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, None
    if jwk.kid is None or len(jwk.kid) > MAX_KID_CHARS:
        return None, None
    # The set's own words narrow what a key may do, and never widen it.
    fit = frozenset(
        name
        for name in algorithms
        if jwk.alg in (None, name) and _is_of(jwk, *ALGORITHMS.get(name, ("", "")))
    )
    public = "d" not in fields and "k" not in fields
    verifies = jwk.use in (None, "sig") and (jwk.key_ops is None or "verify" in jwk.key_ops)
    if not (fit and public and verifies):
        return jwk.kid, None
    key = _public_key(fields, min(fit))
    return jwk.kid, None if key is None else VerifyingKey(key, fit)


def _is_of(jwk: _Jwk, kind: str, curve: str) -> bool:
    return jwk.kty == kind and curve in ("", jwk.crv)


def _public_key(fields: dict[str, Any], algorithm: str) -> Any:
    # Loaded here: 40 ms that a command line which only prints help does not need.
    from jwt import PyJWK, PyJWTError

    try:
        key = PyJWK(fields, algorithm=algorithm).key
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    return None if getattr(key, "key_size", MIN_RSA_BITS) < _least_bits(algorithm) else key


def _least_bits(algorithm: str) -> int:
    return MIN_RSA_BITS if ALGORITHMS[algorithm][0] == "RSA" else 0
