"""Servers that call /v2: their tokens, their keys, and an edge that knows them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from msgspec import structs

from perso_core.definitions.api_key import ApiKey, KeySecret, digest
from perso_core.definitions.datastream import AccessType, Datastream, DefaultConsent
from perso_core.definitions.destination import AttributeMapping, Destination
from perso_core.definitions.document import Definitions
from perso_core.definitions.issuer import Issuer
from perso_core.definitions.permission import OF_A_SERVER, Permission
from perso_core.edge.services import EdgeServices
from tests.building import DAY_MS, NOON_MS, definitions
from tests.edge.running import RunningEdge, Told, running_edge

NOW_S = NOON_MS // 1_000
ISS = "https://id.test"
AUD = "perso"
KEY_ID = "0123456789ab"
JSON = {"Content-Type": "application/json"}


@lru_cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """One key for each name; making one takes a while."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@lru_cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@lru_cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def jwks(*names: str) -> str:
    """The public RSA keys of those names, as their issuer publishes them."""
    keys = [
        {**RSAAlgorithm.to_jwk(rsa_key(name).public_key(), as_dict=True), "kid": name}
        for name in names
    ]
    return json.dumps({"keys": keys})


def jwks_of_all_kinds() -> str:
    return json.dumps(
        {
            "keys": [
                *json.loads(jwks("k1", "k2"))["keys"],
                {**ECAlgorithm.to_jwk(ec_key().public_key(), as_dict=True), "kid": "e1"},
                {**OKPAlgorithm.to_jwk(ed_key().public_key(), as_dict=True), "kid": "o1"},
            ]
        }
    )


def issuer(**more: Any) -> Issuer:
    """Signs with RS256, for the datastream `demo`; its keys k1 and k2 are written down."""
    keys = {} if "jwks_url" in more else {"jwks": jwks_of_all_kinds()}
    told: dict[str, Any] = {
        "id": "idp",
        "name": "Identity provider",
        "issuer": ISS,
        "audience": AUD,
        "algorithms": ("RS256",),
        "datastreams": ("demo",),
        **keys,
        **more,
    }
    return Issuer(**told)


def claims(**more: Any) -> dict[str, Any]:
    """What a good token says; None leaves a claim out."""
    good = {"iss": ISS, "aud": AUD, "sub": "shop-backend", "iat": NOW_S, "exp": NOW_S + 300}
    return {name: value for name, value in {**good, **more}.items() if value is not None}


def token(
    key: Any = None, *, algorithm: str = "RS256", head: Mapping[str, Any] | None = None, **more: Any
) -> str:
    """A token of the issuer. head: of its header."""
    return jwt.encode(
        claims(**more),
        key or rsa_key("k1"),
        algorithm=algorithm,
        headers={"kid": "k1", **(head or {})},
    )


def part(value: object) -> str:
    """One part of a token, as its maker writes it."""
    written = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(written).rstrip(b"=").decode()


def bearer(text: str | None = None) -> dict[str, str]:
    return {**JSON, "Authorization": f"Bearer {token() if text is None else text}"}


# ---- API keys ------------------------------------------------------------------


def written_key(key_id: str = KEY_ID, secret: str = "s") -> str:
    return f"perso_{key_id}_{secret * 43}"


def api_key(
    key_id: str = KEY_ID,
    *,
    secrets: Mapping[str, int] | None = None,
    datastreams: tuple[str, ...] = ("demo",),
    may: tuple[Permission, ...] = OF_A_SERVER,
) -> ApiKey:
    """secrets: by the letter of which they are made, until when each is taken."""
    return ApiKey(
        id=key_id,
        name=f"Key {key_id}",
        datastreams=datastreams,
        created_ms=NOON_MS,
        secrets=tuple(
            KeySecret(digest(written_key(key_id, letter)), until_ms)
            for letter, until_ms in (secrets or {"s": NOON_MS + DAY_MS}).items()
        ),
        may=may,
    )


def shown_key(written: str | None = None) -> dict[str, str]:
    return {**JSON, "x-api-key": written or written_key()}


# ---- what is defined -------------------------------------------------------------


MAPPED = (
    AttributeMapping(source="person.name.firstName", target="firstName"),
    AttributeMapping(source="loyalty.points", target="points"),
    AttributeMapping(source="flags.vip", target="vip"),
)


def with_attributes(
    *,
    mapped: tuple[AttributeMapping, ...] = MAPPED,
    rules: Mapping[str, str] | None = None,
    access_type: AccessType = "mixed",
    default_consent: DefaultConsent = "in",
    datastreams: tuple[str, ...] = ("demo",),
    **more: Any,
) -> Definitions:
    """On each datastream a destination `cms` for pages, and `server` with attributes; all
    audiences go to both. One issuer and one key for `demo`.
    """
    ordinary = definitions(rules)
    streams = tuple(
        Datastream(
            id=name,
            name=name,
            default_consent=default_consent,
            access_type=access_type,
            allowed_origins=("https://www.shop.test",),
        )
        for name in datastreams
    )
    destinations = tuple(
        Destination(
            id=f"d-{alias}" if name == "demo" else f"d-{alias}-{name}",
            kind="custom-personalization-with-attributes"
            if alias == "server"
            else "custom-personalization",
            name=f"{alias} on {name}",
            integration_alias=alias,
            datastream=name,
            attributes=mapped if alias == "server" else (),
        )
        for name in datastreams
        for alias in ("cms", "server")
    )
    activations = tuple(
        structs.replace(activation, destination=destination.id)
        for destination in destinations
        for activation in ordinary.activations
    )
    told: dict[str, Any] = {
        "datastreams": streams,
        "destinations": destinations,
        "activations": activations,
        "issuers": (issuer(),),
        "api_keys": (api_key(),),
        **more,
    }
    return structs.replace(ordinary, **told)


# ---- calls -----------------------------------------------------------------------


def identities(**ids: str) -> dict[str, Any]:
    """An identity map; the first one is the primary."""
    return {
        namespace: [{"id": name, "primary": at == 0}]
        for at, (namespace, name) in enumerate(ids.items())
    }


def asking(**ids: str) -> dict[str, Any]:
    """A request that says who is meant and nothing else."""
    return {"event": {"xdm": {"identityMap": identities(**ids)}}}


def telling(event_type: str = "web.webpagedetails.pageViews", /, **ids: str) -> dict[str, Any]:
    """A request with one event of somebody."""
    return {"event": {"xdm": {"eventType": event_type, "identityMap": identities(**ids)}}}


def batch(*requests: dict[str, Any]) -> dict[str, Any]:
    return {"events": [request["event"] for request in requests]}


async def server_call(
    edge: RunningEdge,
    body: Any,
    action: str = "interact",
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Told:
    """A call to /v2 with a good token, unless other headers are given."""
    sent = bearer() if headers is None else headers
    return await edge.call(action, body, version="v2", headers=sent, **more)


def attributes(told: Told, alias: str = "server") -> Any:
    """What the destination of an alias was told; None: there is no such field."""
    (entry,) = [one for one in told.payload("activation:pull") if one["alias"] == alias]
    return entry.get("attributes")


@asynccontextmanager
async def server_edge(
    in_force: Definitions | None = None, **services: Any
) -> AsyncIterator[RunningEdge]:
    def given(edge: RunningEdge) -> EdgeServices:
        return edge.services(**services)

    async with running_edge(in_force or with_attributes(), services=given) as edge:
        yield edge
