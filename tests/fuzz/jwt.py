"""Any credential at all: a bearer token, an API key, an identity assertion, a set of an issuer's
keys. Who proves nothing is refused or answered as a browser, soon; a set of keys is read or
refused.

`make fuzz` runs it under atheris (`__main__.py`), which need not be installed to import this.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import random
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from perso_core.definitions.issuer import Issuer
from perso_core.definitions.jwks import ALGORITHMS, keys_from_jwks
from tests.building import ORG
from tests.edge.servers import AUD, ISS, NOW_S, claims, identities, part, written_key
from tests.fuzz.edge import OWN, VICTIM, VICTIMS_CRM, answered, edge, own_cookies, state
from tests.fuzz.json_text import changed, cut
from tests.fuzz.request import Request, request_in, request_of
from tests.fuzz.timed import soon

MOST_BYTES = 16_384
MOST_MS = 1_000

# The headers of a bearer token and of an identity assertion that are to be signed here, so that
# changed claims get past the signature.
SIGN = b"x-sign"
ASSERT = b"x-assert"
JWKS = b"jwks"
_ISSUERS_ALGORITHMS = ("RS256", "ES256", "EdDSA")


@cache
def _ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"ed").digest())


@cache
def _ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(4_711, ec.SECP256R1())


@cache
def _rsa_public() -> rsa.RSAPublicKey:
    """Of no private key that anybody has: nothing that it verifies can be made."""
    digits = b"".join(hashlib.sha256(b"rsa%d" % at).digest() for at in range(8))
    modulus = int.from_bytes(digits, "big") | 1 << 2_047 | 1
    return rsa.RSAPublicNumbers(65_537, modulus).public_key()


def _key_set() -> dict[str, Any]:
    return {
        "keys": [
            {**RSAAlgorithm.to_jwk(_rsa_public(), as_dict=True), "kid": "r1", "alg": "RS256"},
            {**ECAlgorithm.to_jwk(_ec_key().public_key(), as_dict=True), "kid": "e1", "use": "sig"},
            {**OKPAlgorithm.to_jwk(_ed_key().public_key(), as_dict=True), "kid": "o1"},
        ]
    }


@cache
def issuer() -> Issuer:
    return Issuer(
        id="idp",
        name="Identity provider",
        issuer=ISS,
        audience=AUD,
        algorithms=_ISSUERS_ALGORITHMS,
        datastreams=("demo", "servers"),
        may=("events", "attributes", "identities"),
        jwks=json.dumps(_key_set()),
    )


def _token(kid: str, **more: Any) -> str:
    key, algorithm = (_ed_key(), "EdDSA") if kid == "o1" else (_ec_key(), "ES256")
    return jwt.encode(claims(**more), key, algorithm=algorithm, headers={"kid": kid})


GOOD = {_token("o1"), _token("e1"), written_key()}
_OF_NOBODY = [
    f"{part({'alg': 'RS256', 'kid': 'r1'})}.{part(claims())}.{part(bytes(256))}",
    f"{part({'alg': 'none', 'kid': 'o1'})}.{part(claims())}.{part(b'x')}",
    f"{part({'alg': 'HS256', 'kid': 'o1', 'typ': 'JWT'})}.{part(claims())}.{part(bytes(32))}",
    f"{part({'alg': 'EdDSA', 'kid': 'o1', 'jwk': _key_set()['keys'][2]})}.{part({})}.{part(b'')}",
    _token("o1", exp=NOW_S - 31),
    _token("o1", aud="another"),
    _token("o1", iss="https://stranger.test"),
    written_key(secret="t"),
    written_key("ba9876543210"),
    "perso_0123456789ab_",
]
_CLAIMS: list[Mapping[str, Any]] = [
    claims(),
    claims(nbf=NOW_S - 10, jti="j1", aud=[AUD, "another"], scope="a b"),
    claims(exp=NOW_S + 0.5, iat=NOW_S - 1e9),
]
ASSERTED: list[Mapping[str, Any]] = [
    claims(aud="demo", sub=OWN.ecid, identity={"namespace": "CRMID", "id": "c-1"}),
    claims(aud="demo", sub=VICTIM.ecid, identity={"namespace": "CRMID", "id": VICTIMS_CRM.id}),
    claims(aud="demo", sub=OWN.ecid, exp=NOW_S + 400, identity={"namespace": "E", "id": "a@b.c"}),
]
_HEADS: list[Mapping[str, Any]] = [
    {"alg": "EdDSA", "kid": "o1", "typ": "JWT"},
    {"alg": "EdDSA", "kid": "o1", "typ": "at+jwt", "x5u": "https://evil.test/", "jku": "file:///"},
    {"alg": "EdDSA", "kid": "o1"},
]
_ASSERTING = {"alg": "EdDSA", "kid": "o1", "typ": "perso-identity+jwt"}


def _body() -> dict[str, Any]:
    """Asks for the victim, who is told to servers alone."""
    named = {**identities(CRMID=VICTIMS_CRM.id), "ECID": [{"id": VICTIM.ecid}]}
    return {"event": {"xdm": {"identityMap": named}}}


def shown(headers: Mapping[str, str], path: str = "v2/interact?dataStreamId=demo") -> Request:
    return request_of(path, _body(), headers)


def asserting(said: Mapping[str, Any]) -> Request:
    """A page's event of a visitor with its cookies, and the word of a site."""
    body = {"events": [{"xdm": {"eventType": "page"}}], "meta": {"state": state(own_cookies())}}
    headers = {"X-Assert": f"{json.dumps(_ASSERTING)}\t{json.dumps(said)}"}
    return request_of("v1/interact?configId=demo", body, headers)


def _requests() -> list[Request]:
    texts = [*sorted(GOOD), *_OF_NOBODY]
    signing = [f"{json.dumps(head)}\t{json.dumps(said)}" for head in _HEADS for said in _CLAIMS]
    return [
        *(shown({"Authorization": f"Bearer {text}"}) for text in texts),
        *(shown({"x-api-key": text}) for text in texts if text.startswith("perso_")),
        *(shown({"X-Sign": line}) for line in signing),
        *(asserting(said) for said in ASSERTED),
        shown({"Authorization": f"Bearer {texts[0]}", "x-api-key": "adobe-client-id"}),
        shown({"Authorization": f"Bearer {texts[0]}", "x-gw-ims-org-id": ORG}),
        shown({"Authorization": "Basic dTpw"}, "v1/interact?configId=servers"),
    ]


REQUESTS = _requests()
_SETS = [json.dumps(_key_set()), json.dumps({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]})]
TEXTS = [
    *(request.written() for request in REQUESTS),
    *(JWKS + b"\n\n" + text.encode() for text in _SETS),
]
_TEXTS_OF_JSON = [json.dumps(one) for one in (*_HEADS, *_CLAIMS, *ASSERTED, _key_set())]


def fuzz_one(data: bytes) -> None:
    """Raises what no credential may cause: Wrong, TooSlow, or what the edge failed with."""
    request = request_in(data)
    if request.path == JWKS:
        _read_keys(request.body)
        return
    signed = with_assertion(with_token(request))
    sent = signed.as_http().decode("latin-1")
    proven = any(text in sent for text in GOOD) or is_sound(request)
    answered(signed, edge(issuer()), proven=proven)


def _read_keys(text: bytes) -> None:
    """A set is read, or refused with a ValueError; no key in it is private or symmetric."""
    try:
        keys = soon(text, lambda: keys_from_jwks(text, tuple(ALGORITHMS)), most_ms=MOST_MS)
    except ValueError:
        return
    for kid, key in keys.items():
        assert isinstance(kid, str)
        assert key.algorithms <= ALGORITHMS.keys()
        assert not hasattr(key.key, "private_bytes"), "a private key"


# ---- tokens that are signed here -----------------------------------------------


def with_token(request: Request) -> Request:
    """With a bearer token in place of the header that tells what to sign."""
    told = _told(request, SIGN)
    if told is None:
        return request
    others = tuple(one for one in request.headers if one[0].lower() != SIGN)
    shown_one = (b"Authorization", f"Bearer {_signed(*told)}".encode())
    return Request(request.path, (*others, shown_one), request.body)


def with_assertion(request: Request) -> Request:
    """With an assertion on the first event in place of the header that tells what to sign."""
    told = _told(request, ASSERT)
    if told is None:
        return request
    others = tuple(one for one in request.headers if one[0].lower() != ASSERT)
    try:
        body = json.loads(request.body)
        body["events"][0]["data"] = {"__perso": {"identityAssertion": _signed(*told)}}
    except (ValueError, LookupError, TypeError, RecursionError):
        return request
    return Request(request.path, others, json.dumps(body).encode())


def _told(request: Request, header: bytes) -> tuple[bytes, bytes] | None:
    """The header and the claims of a token that is to be signed; None: there is none."""
    told = [value for name, value in request.headers if name.lower() == header]
    if not told:
        return None
    head, _, said = told[0].partition(b"\t")
    return head, said


def _signed(head: bytes, said: bytes) -> str:
    signing = f"{part(head)}.{part(said)}"
    return f"{signing}.{part(_ed_key().sign(signing.encode()))}"


def is_sound(request: Request) -> bool:
    """Whether what is signed says, in the plainest reading, that it is for this edge and now; an
    assertion, that it is for the device whose cookies are sent with it."""
    for header, audience in ((SIGN, AUD), (ASSERT, "demo")):
        told = _told(request, header)
        try:
            if told and _is_good(json.loads(told[0]), json.loads(told[1]), audience):
                return header == SIGN or json.loads(told[1])["sub"] == OWN.ecid
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass
    return False


def _is_good(head: Any, said: Any, audience: str) -> bool:
    return bool(
        (head["alg"], head["kid"]) == ("EdDSA", "o1")
        and said["iss"] == ISS
        and (said["aud"] == audience or audience in list(said["aud"]))
        and said["exp"] > NOW_S - 30
        and said["iat"] <= NOW_S + 30
        and said.get("nbf", 0) <= NOW_S + 30
    )


# ---- changes -------------------------------------------------------------------


def mutated(data: bytes, most: int, seed: int) -> bytes:
    """With another credential, or one that is nearly the same."""
    chance = random.Random(seed)
    request = request_in(data)
    if request.path == JWKS:
        body = changed(request.body.decode("utf-8", "replace"), _TEXTS_OF_JSON, chance)
        return Request(JWKS, (), body.encode("utf-8", "surrogatepass")).written()[:most]
    headers = [(name, _changed(name, value, chance)) for name, value in request.headers]
    if chance.random() < 0.1:
        headers += chance.choice(REQUESTS).headers
    path = request.path
    if chance.random() < 0.1:
        path = chance.choice((b"v1/interact?configId=servers", b"v2/collect?dataStreamId=demo"))
    return Request(path, headers, request.body).written()[:most]


def _changed(name: bytes, value: bytes, chance: random.Random) -> bytes:
    text = value.decode("latin-1")
    if name.lower() in (SIGN, ASSERT):
        head, _, said = text.partition("\t")
        if chance.random() < 0.4:
            head = _one_line(changed(head, _TEXTS_OF_JSON, chance))
        else:
            said = _one_line(changed(said, _TEXTS_OF_JSON, chance))
        return f"{head}\t{said}".encode("utf-8", "surrogatepass")
    if name.lower() == b"authorization" and chance.random() < 0.8:
        word, space, token = text.partition(" ")
        return (word + space + _other_token(token, chance)).encode("latin-1", "replace")
    others = [*GOOD, *_OF_NOBODY, " ", ",", "Bearer ", "bearer\t"]
    return cut(text, others, chance).encode("latin-1", "replace")


def _one_line(text: str) -> str:
    return re.sub(r"[\r\n\t]", " ", text)


def _other_token(token: str, chance: random.Random) -> str:
    """A part changed as what it holds, or exchanged for another token's, or spelled otherwise."""
    parts = token.split(".")
    at = chance.randrange(len(parts))
    other = chance.choice([*GOOD, *_OF_NOBODY]).split(".")
    kind = chance.random()
    if kind < 0.5:
        parts[at] = _other_part(parts[at], chance)
    elif kind < 0.7:
        parts[at] = other[min(at, len(other) - 1)]
    elif kind < 0.8:
        parts[at] += chance.choice(("=", "==", "%3d", "A", "+", "/", "\xe9", ""))
    elif kind < 0.9:
        parts.insert(at, chance.choice(("", parts[at])))
    else:
        return cut(token, [*GOOD, *_OF_NOBODY], chance)
    return ".".join(parts)


def _other_part(text: str, chance: random.Random) -> str:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return cut(text, [], chance)
    if raw[:1] == b"{" and chance.random() < 0.8:
        inner = changed(raw.decode("utf-8", "replace"), _TEXTS_OF_JSON, chance)
        return part(inner.encode("utf-8", "surrogatepass"))
    at = chance.randrange(len(raw) + 1)
    return part(raw[:at] + chance.randbytes(chance.randint(0, 2)) + raw[at + 1 :])
