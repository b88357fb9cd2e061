"""An issuer: who signs the bearer tokens of servers, and what their holders may do."""

from __future__ import annotations

from msgspec import Struct

from perso_core.definitions.permission import OF_A_SERVER, Permission


class Issuer(Struct, frozen=True, kw_only=True):
    """One issuer of JSON Web Tokens.

    issuer, audience: what `iss` and `aud` of a token must be, to the letter. algorithms: the only
    ones its tokens may be signed with; all of them asymmetric. jwks_url: where its public keys
    are fetched (RFC 7517); jwks: the keys themselves, as JSON. One of the two is "".
    datastreams: ids of those that its tokens may call. may: what they may do there.
    """

    id: str
    name: str
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    datastreams: tuple[str, ...]
    jwks_url: str = ""
    jwks: str = ""
    may: tuple[Permission, ...] = OF_A_SERVER
