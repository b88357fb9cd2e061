"""What a caller shows to prove who it is: one bearer token, or one API key of ours. Pure."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from perso_core.definitions.api_key import WRITTEN, ApiKey, digest
from perso_core.edge.problem import SignatureBad, TokenBad, TokenExpired

MAX_TOKEN_BYTES = 8_192
_BEARER = re.compile(r"(?i:bearer) +([\x21-\x2b\x2d-\x7e]+)")
_OURS = "perso_"
# Compared with where no key has the id, so that both take the same time.
_NO_KEY = digest("")


class Token(Struct, frozen=True):
    """A bearer token that is not a key of ours."""

    text: str

    def __repr__(self) -> str:  # a traceback or a log must not show it
        return "Token(…)"


class WrittenKey(Struct, frozen=True):
    """An API key of ours, by its form."""

    text: str

    def __repr__(self) -> str:
        return "WrittenKey(…)"


def credential_from(
    authorization: Sequence[str], x_api_key: Sequence[str]
) -> Token | WrittenKey | None:
    """The one credential of a call; None where it shows none, and so is a browser's.

    authorization, x_api_key: all values of these headers. Beside a bearer token, an `x-api-key`
    of another form is Adobe's client id, which proves nothing and is not read. Raises TokenBad
    for more than one credential and for a malformed one: nobody who tried to prove something is
    answered as if he had not.
    """
    if len(authorization) > 1 or len(x_api_key) > 1:
        raise TokenBad("A header with a credential was sent twice.", fix="Send one credential.")
    if authorization:
        if x_api_key and x_api_key[0].startswith(_OURS):
            raise TokenBad("Two credentials were sent.", fix="Send a token or an API key.")
        return _from_authorization(authorization[0])
    if x_api_key:
        return _own_key(x_api_key[0])
    return None


def _from_authorization(value: str) -> Token | WrittenKey:
    found = _BEARER.fullmatch(value)
    if found is None:
        raise TokenBad("The Authorization header is no bearer token.", fix="Send `Bearer …`.")
    text = found[1]
    if len(text) > MAX_TOKEN_BYTES:
        raise TokenBad(f"The token is longer than {MAX_TOKEN_BYTES:,} bytes.", fix="Send less.")
    return _own_key(text) if text.startswith(_OURS) else Token(text)


def _own_key(text: str) -> WrittenKey:
    if not WRITTEN.fullmatch(text):
        raise TokenBad(
            "The API key is not of the form of ours.", fix="Send it as `perso key create` wrote it."
        )
    return WrittenKey(text)


def api_key_of(written: WrittenKey, keys: Mapping[str, ApiKey], *, now_ms: int) -> ApiKey:
    """The key that was shown. keys: by key id.

    Raises SignatureBad for one that is unknown or revoked, or whose secret is another, all alike;
    TokenExpired for a secret that is no longer taken.
    """
    found = WRITTEN.fullmatch(written.text)
    assert found, "credential_from has looked"
    key, shown = keys.get(found[1]), digest(written.text)
    # Every secret is compared, and whole: how long it takes says nothing about any.
    kept = [(one.sha256, one.until_ms) for one in key.secrets] if key else [(_NO_KEY, 0)]
    matches = [until for sha256, until in kept if hmac.compare_digest(sha256, shown)]
    if key is None or not matches:
        raise SignatureBad("No such API key is in force.", fix="Send a key that is not revoked.")
    if now_ms >= max(matches):
        raise TokenExpired("The API key has expired.", fix="Rotate it, and send the new one.")
    return key
