"""Whether a call proves who makes it, and what its maker may do."""

from __future__ import annotations

from collections.abc import Sequence

from multidict import CIMultiDictProxy

from perso_core.definitions.datastream import Datastream
from perso_core.definitions.permission import Permission
from perso_core.definitions.snapshot import Snapshot
from perso_core.edge.bearer import issuer_of, taken_apart, verify
from perso_core.edge.context import AuthContext
from perso_core.edge.credential import Token, WrittenKey, api_key_of, credential_from
from perso_core.edge.issuer_keys import KeyOf
from perso_core.edge.problem import ContextBad, ScopeBad, TokenBad, shown


async def authenticated(
    headers: CIMultiDictProxy[str],
    datastream: Datastream,
    snapshot: Snapshot,
    *,
    key_of: KeyOf,
    now_ms: int,
) -> AuthContext | None:
    """None: the call shows no credential, and the datastream answers such calls too.

    Raises TokenBad, SignatureBad, TokenExpired, ContextBad, ScopeBad for a credential that is not
    good here, IssuerUnreachable for one that cannot be verified now.
    """
    _refuse_other_org(headers.getall("x-gw-ims-org-id", ()), snapshot.org)
    shown_one = credential_from(
        headers.getall("Authorization", ()), headers.getall("x-api-key", ())
    )
    if shown_one is None:
        if datastream.access_type == "authenticated":
            raise TokenBad(
                "The datastream answers authenticated calls alone, and this one has no token.",
                fix="Send a bearer token or an API key.",
            )
        return None
    if isinstance(shown_one, Token):
        return await _of_token(shown_one, datastream, snapshot, key_of, now_ms)
    return _of_key(shown_one, datastream, snapshot, now_ms)


async def _of_token(
    token: Token, datastream: Datastream, snapshot: Snapshot, key_of: KeyOf, now_ms: int
) -> AuthContext:
    unverified = taken_apart(token.text)
    issuer = issuer_of(unverified, snapshot.issuers)
    key = await key_of(issuer, unverified.kid)
    verify(unverified, issuer, key, audience=issuer.audience, now_ms=now_ms)
    return _context(f"issuer:{issuer.id}", issuer.datastreams, issuer.may, datastream)


def _of_key(
    written: WrittenKey, datastream: Datastream, snapshot: Snapshot, now_ms: int
) -> AuthContext:
    key = api_key_of(written, snapshot.api_keys, now_ms=now_ms)
    return _context(f"key:{key.id}", key.datastreams, key.may, datastream)


def _context(
    caller: str, datastreams: Sequence[str], may: Sequence[Permission], datastream: Datastream
) -> AuthContext:
    if datastream.id not in datastreams:
        raise ScopeBad(
            "The credential is not for this datastream.", fix="Use one that is, or add it there."
        )
    return AuthContext(caller=caller, datastream_id=datastream.id, may=frozenset(may))


def _refuse_other_org(stated: Sequence[str], org: str) -> None:
    if any(one != org for one in stated):
        raise ContextBad(
            f"x-gw-ims-org-id is '{shown(stated[0])}'.", fix="Send the org of this edge, or none."
        )
