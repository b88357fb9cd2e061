"""The site of the visitors in history.py: it signs who is signed in, and links identities."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import jwt

from perso_core.decision.identity import Identity, server_key
from perso_core.definitions.issuer import Issuer
from tests.building import ORG
from tests.edge.servers import AUD, ISS, bearer, ec_key, issuer

DATASTREAM = "demo"


def site() -> Issuer:
    """The signer that the definitions let say who somebody is."""
    return issuer(algorithms=("ES256",), may=("events", "identities"))


def account_key(account: Identity) -> str:
    """The key of the account's profile, unless it is part of another one."""
    return server_key(account, org=ORG, datastream_id=DATASTREAM)


def assertion(ecid: str, account: Identity) -> str:
    """That the account's owner is signed in on the device, for as long as any test goes on."""
    named = {"namespace": account.namespace, "id": account.id}
    return _signed("perso-identity+jwt", aud=DATASTREAM, sub=ecid, identity=named)


@lru_cache(maxsize=1)
def server_headers(_minute: int) -> dict[str, str]:
    """What the site's server proves itself with."""
    return bearer(_signed("JWT", aud=AUD, sub="shop-backend"))


def one_person(first: Identity, *others: Identity) -> dict[str, Any]:
    """A server's event: these are one person's."""
    identity_map: dict[str, list[dict[str, Any]]] = {}
    for one in (first, *others):
        entry = {"id": one.id, "primary": one == first, "authenticatedState": "authenticated"}
        identity_map.setdefault(one.namespace, []).append(entry)
    return {"event": {"xdm": {"eventType": "view", "identityMap": identity_map}}}


def _signed(typ: str, **claims: Any) -> str:
    now_s = int(time.time())
    return jwt.encode(
        {"iss": ISS, "iat": now_s, "exp": now_s + 300, **claims},
        ec_key(),
        algorithm="ES256",
        headers={"kid": "e1", "typ": typ},
    )
