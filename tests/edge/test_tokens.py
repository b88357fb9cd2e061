"""Bearer tokens under attack: each row says what an attacker, or an honest mistake, does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from jwt.algorithms import RSAAlgorithm, RSAPSSAlgorithm
from multidict import CIMultiDict

from perso_core.edge.bearer import issuer_of, taken_apart, verify
from perso_core.edge.problem import EdgeError
from tests.building import NOON_MS
from tests.edge.running import RunningEdge, Told
from tests.edge.servers import (
    AUD,
    ISS,
    JSON,
    NOW_S,
    asking,
    bearer,
    claims,
    ec_key,
    ed_key,
    issuer,
    part,
    rsa_key,
    server_call,
    server_edge,
    shown_key,
    token,
    with_attributes,
)

MALFORMED = "EXEG-0500-401"
UNVERIFIED = "EXEG-0502-401"
NOT_NOW = "EXEG-0503-401"
SOMEBODY_ELSES = "EXEG-0504-401"
NOT_THIS_DATASTREAM = "EXEG-0505-401"

Headers = Mapping[str, str] | list[tuple[str, str]]


def public_pem() -> bytes:
    return (
        rsa_key("k1")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def signed_with_hmac(secret: bytes, *, head: Mapping[str, Any] | None = None) -> str:
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1', **(head or {})})}.{part(claims())}"
    mac = hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{part(mac)}"


def signed_by_ours(
    header: bytes, payload: bytes, algorithm: type[RSAAlgorithm] = RSAAlgorithm
) -> str:
    """Signed with the issuer's own key, over parts that no library would write."""
    signed = f"{part(header)}.{part(payload)}".encode()
    signature = algorithm(RSAAlgorithm.SHA256).sign(signed, rsa_key("k1"))
    return f"{signed.decode()}.{part(signature)}"


def changed(index: int, value: object) -> str:
    """A good token with one part put in place of another."""
    parts = token().split(".")
    parts[index] = value if isinstance(value, str) else part(value)
    return ".".join(parts)


GOOD_HEAD = json.dumps({"alg": "RS256", "typ": "JWT", "kid": "k1"}).encode()
GOOD_CLAIMS = json.dumps(claims()).encode()
JWK = RSAAlgorithm.to_jwk(rsa_key("k1").public_key(), as_dict=True)
JWK_OF_ATTACKER = {
    **RSAAlgorithm.to_jwk(rsa_key("attacker").public_key(), as_dict=True),
    "kid": "k1",
}

# What is sent as the token -> the answer's code.
ROWS: dict[str, tuple[Callable[[], str], str]] = {
    # the algorithm
    "says that it needs no signature": (
        lambda: f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims())}.{part(b'x')}", UNVERIFIED),
    "says so and leaves the signature empty": (
        lambda: f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims())}.", MALFORMED),
    "writes none as NoNe": (lambda: changed(0, {"alg": "NoNe", "kid": "k1"}), UNVERIFIED),
    "names no algorithm": (lambda: changed(0, {"kid": "k1"}), MALFORMED),
    "names an empty algorithm": (lambda: changed(0, {"alg": "", "kid": "k1"}), MALFORMED),
    "names a list of algorithms": (lambda: changed(0, {"alg": ["RS256"], "kid": "k1"}), MALFORMED),
    "names null as the algorithm": (lambda: changed(0, {"alg": None, "kid": "k1"}), MALFORMED),
    "writes the algorithm in small letters": (
        lambda: signed_by_ours(b'{"alg":"rs256","kid":"k1"}', GOOD_CLAIMS), UNVERIFIED),
    "signs by HMAC with the public key as the secret": (
        lambda: signed_with_hmac(public_pem()), UNVERIFIED),
    "signs by HMAC with the key's modulus": (
        lambda: signed_with_hmac(JWK["n"].encode()), UNVERIFIED),
    "signs by HMAC with an empty secret": (lambda: signed_with_hmac(b""), UNVERIFIED),
    "signs with RS512 where the issuer has RS256 alone": (
        lambda: token(algorithm="RS512"), UNVERIFIED),
    "signs with PS256 where the issuer has RS256 alone": (
        lambda: token(algorithm="PS256"), UNVERIFIED),
    "signs with the issuer's own elliptic key, which RS256 rules out": (
        lambda: token(ec_key(), algorithm="ES256", head={"kid": "e1"}), UNVERIFIED),
    "signs with the issuer's Ed25519 key, which RS256 rules out": (
        lambda: token(ed_key(), algorithm="EdDSA", head={"kid": "o1"}), UNVERIFIED),
    "says RS256 and signs with PS256": (
        lambda: signed_by_ours(GOOD_HEAD, GOOD_CLAIMS, RSAPSSAlgorithm), UNVERIFIED),
    "says RS256 of the elliptic key's id": (lambda: token(head={"kid": "e1"}), UNVERIFIED),
    # the key
    "signs with a key of the attacker's": (lambda: token(rsa_key("attacker")), UNVERIFIED),
    "names another of the issuer's keys than it is signed with": (
        lambda: token(head={"kid": "k2"}), UNVERIFIED),
    "names a key that the issuer has not": (lambda: token(head={"kid": "k9"}), UNVERIFIED),
    "names no key": (lambda: changed(0, {"alg": "RS256"}), MALFORMED),
    "names an empty key": (lambda: changed(0, {"alg": "RS256", "kid": ""}), MALFORMED),
    "names a key by a number": (lambda: changed(0, {"alg": "RS256", "kid": 1}), MALFORMED),
    "names a file as the key": (lambda: token(head={"kid": "../../../../dev/null"}), UNVERIFIED),
    "names a file with a NUL in it": (lambda: token(head={"kid": "/dev/null\x00k1"}), UNVERIFIED),
    "names a key by SQL": (lambda: token(head={"kid": "x' UNION SELECT 'k"}), UNVERIFIED),
    "names a key by a URL": (lambda: token(head={"kid": "https://evil.test/k.pem"}), UNVERIFIED),
    "names a key by a shell command": (lambda: token(head={"kid": "|sleep 10"}), UNVERIFIED),
    "names a key by an attribute of Python's": (lambda: token(head={"kid": "__class__"}),
                                                UNVERIFIED),
    "names a key by 300 characters": (lambda: token(head={"kid": "k" * 300}), MALFORMED),
    "names a key in other capitals": (lambda: token(head={"kid": "K1"}), UNVERIFIED),
    "brings a key set's URL (jku)": (
        lambda: token(rsa_key("attacker"), head={"jku": "https://evil.test/jwks"}), UNVERIFIED),
    "brings its own key (jwk)": (
        lambda: token(rsa_key("attacker"), head={"jwk": JWK_OF_ATTACKER}), UNVERIFIED),
    "brings a certificate's URL (x5u)": (
        lambda: token(rsa_key("attacker"), head={"x5u": "https://evil.test/c.pem"}), UNVERIFIED),
    "brings a certificate (x5c)": (
        lambda: token(rsa_key("attacker"), head={"x5c": ["MIIB"]}), UNVERIFIED),
    # the signature
    "keeps the signature of another payload": (
        lambda: changed(1, claims(sub="admin")), UNVERIFIED),
    "keeps the signature of another header": (
        lambda: changed(0, {"typ": "JWT", "alg": "RS256", "kid": "k1"}), UNVERIFIED),
    "has an empty signature": (lambda: changed(2, ""), MALFORMED),
    "has a signature of zeros": (lambda: changed(2, bytes(256)), UNVERIFIED),
    "has half a signature": (lambda: token()[:-174], UNVERIFIED),
    "has a signature and more": (lambda: token() + "AAAA", UNVERIFIED),
    "is the same bytes in another base64": (lambda: other_last_character(token()), MALFORMED),
    # the form
    "is one word": (lambda: "garbage", MALFORMED),
    "is two parts": (lambda: ".".join(token().split(".")[:2]), MALFORMED),
    "is four parts": (lambda: token() + ".e30", MALFORMED),
    "is five parts, as an encrypted one": (lambda: token() + ".e30.e30", MALFORMED),
    "is twice the payload": (
        lambda: "{0}.{1}.{1}.{2}".format(*token().split(".")), MALFORMED),
    "has a dot at the end": (lambda: token() + ".", MALFORMED),
    "is padded with =": (lambda: changed(1, part(claims()) + "=="), MALFORMED),
    "is in base64 with + and /": (
        lambda: changed(2, base64.b64encode(b"\xfb\xff" * 96).decode()), MALFORMED),
    "has a header that is no JSON": (lambda: changed(0, b"{"), MALFORMED),
    "has a header that is a list": (lambda: changed(0, ["RS256"]), MALFORMED),
    "has a payload that is a text": (
        lambda: signed_by_ours(GOOD_HEAD, b'"shop-backend"'), MALFORMED),
    "has a payload that is not UTF-8": (
        lambda: signed_by_ours(GOOD_HEAD, b'{"iss":"\xff"}'), MALFORMED),
    "has a payload nested 5,000 deep": (
        lambda: signed_by_ours(GOOD_HEAD, b"[" * 2_500 + b"]" * 2_500), MALFORMED),
    "has exp twice": (
        lambda: signed_by_ours(GOOD_HEAD, GOOD_CLAIMS[:-1] + b',"exp":9999999999}'), MALFORMED),
    "has alg twice in its header": (
        lambda: signed_by_ours(b'{"alg":"none","alg":"RS256","kid":"k1"}', GOOD_CLAIMS), MALFORMED),
    "has NaN as exp": (
        lambda: signed_by_ours(GOOD_HEAD, b'{"iss":"https://id.test","exp":NaN}'), MALFORMED),
    "has an extension that must be understood": (
        lambda: token(head={"crit": ["exp"], "exp": NOW_S + 300}), MALFORMED),
    "says that its payload is not encoded": (lambda: token(head={"b64": False}), MALFORMED),
    "says that it is compressed": (lambda: token(head={"zip": "DEF"}), MALFORMED),
    "says that it holds another token": (lambda: token(head={"cty": "JWT"}), MALFORMED),
    "says that it is a logout token": (lambda: token(head={"typ": "logout+jwt"}), MALFORMED),
    "is longer than 8 KiB": (lambda: token(filler="x" * 6_000), MALFORMED),
    # the claims
    "does not expire": (lambda: token(exp=None), MALFORMED),
    "has no time of issue": (lambda: token(iat=None), MALFORMED),
    "has no audience": (lambda: token(aud=None), MALFORMED),
    "has an empty list of audiences": (lambda: token(aud=[]), MALFORMED),
    "has a number among its audiences": (lambda: token(aud=[1, AUD]), MALFORMED),
    "has no issuer": (lambda: token(iss=None), MALFORMED),
    "has a list of issuers": (
        lambda: signed_by_ours(GOOD_HEAD, json.dumps(claims(iss=[ISS])).encode()), MALFORMED),
    "has no subject": (lambda: token(sub=None), MALFORMED),
    "has an empty subject": (lambda: token(sub=""), MALFORMED),
    "has its end as text": (
        lambda: signed_by_ours(GOOD_HEAD, json.dumps(claims(exp="9999999999")).encode()),
        MALFORMED),
    "has true as its end": (
        lambda: signed_by_ours(GOOD_HEAD, json.dumps(claims(exp=True)).encode()), MALFORMED),
    "ends in the year 300,000": (lambda: token(exp=10**13), MALFORMED),
    "ends in a number beyond all floats": (
        lambda: signed_by_ours(GOOD_HEAD, b'{"iss":"https://id.test","exp":1e999}'),
        MALFORMED),
    "began before 1970": (lambda: token(iat=-1), MALFORMED),
    "ended 30 seconds ago": (lambda: token(exp=NOW_S - 30), NOT_NOW),
    "ended a year ago": (lambda: token(exp=NOW_S - 31_536_000), NOT_NOW),
    "ended in 1970": (lambda: token(exp=0), NOT_NOW),
    "was issued 31 seconds from now": (lambda: token(iat=NOW_S + 31), NOT_NOW),
    "is not valid for another 31 seconds": (lambda: token(nbf=NOW_S + 31), NOT_NOW),
    "is not valid from a text on": (
        lambda: signed_by_ours(GOOD_HEAD, json.dumps(claims(nbf="0")).encode()), MALFORMED),
    "is for another audience": (lambda: token(aud="console"), SOMEBODY_ELSES),
    "is for an audience that ours is a part of": (lambda: token(aud=f"{AUD}-admin"),
                                                  SOMEBODY_ELSES),
    "is for ours in other capitals": (lambda: token(aud=AUD.upper()), SOMEBODY_ELSES),
    "is for several others": (lambda: token(aud=["a", "b"]), SOMEBODY_ELSES),
    "is of an issuer that nobody defined": (lambda: token(iss="https://evil.test"),
                                            SOMEBODY_ELSES),
    "is of ours with a slash more": (lambda: token(iss=f"{ISS}/"), SOMEBODY_ELSES),
    "is of ours in other capitals": (lambda: token(iss=ISS.upper()), SOMEBODY_ELSES),
    "is for another datastream": (
        lambda: token(iss="https://other.test", head={"kid": "k1"}), NOT_THIS_DATASTREAM),
}  # fmt: skip


def other_last_character(text: str) -> str:
    """256 bytes end in two characters, of whose last only two bits count."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def in_force() -> Any:
    other = issuer(id="o", name="O", issuer="https://other.test", datastreams=("elsewhere",))
    return with_attributes(datastreams=("demo", "elsewhere"), issuers=(issuer(), other))


@pytest.fixture
async def edge() -> AsyncIterator[RunningEdge]:
    async with server_edge(in_force()) as running:
        yield running


async def call(edge: RunningEdge, headers: Headers) -> Told:
    """With headers as they are, also one twice."""
    async with edge.http.post(
        f"{edge.url}/ee/v2/interact?dataStreamId=demo",
        json=asking(CRMID="anna"),
        headers=CIMultiDict(headers),
    ) as answer:
        body = await answer.read()
        return Told(answer.status, answer.headers, json.loads(body), body)


async def test_the_table_has_at_least_sixty_rows() -> None:
    assert len(ROWS) >= 60


@pytest.mark.parametrize("row", ROWS)
async def test_a_token_is_refused_that(edge: RunningEdge, row: str) -> None:
    make, code = ROWS[row]

    told = await call(edge, bearer(make()))

    assert (told.status, told.code) == (401, code)
    assert told.headers["WWW-Authenticate"] == "Bearer"


# How the header is sent -> the answer's code, None for a good answer.
HEADERS: dict[str, tuple[Callable[[], Headers], str | None]] = {
    "the scheme in small letters": (lambda: {"Authorization": f"bearer {token()}"}, None),
    "the scheme in capitals": (lambda: {"Authorization": f"BEARER {token()}"}, None),
    "two spaces after the scheme": (lambda: {"Authorization": f"Bearer  {token()}"}, None),
    "spaces around the value": (lambda: {"Authorization": f"  Bearer {token()}  "}, None),
    "the header's name in small letters": (lambda: {"authorization": f"Bearer {token()}"}, None),
    "Adobe's client id beside the token": (
        lambda: {"Authorization": f"Bearer {token()}", "x-api-key": "abc123"}, None),
    "the org beside the token": (
        lambda: {**bearer(), "x-gw-ims-org-id": "5BFE274A5F6980A50A495C08@AdobeOrg"}, None),
    "another org beside the token": (
        lambda: {**bearer(), "x-gw-ims-org-id": "OTHER@AdobeOrg"}, SOMEBODY_ELSES),
    "another org and no token": (
        lambda: {**JSON, "x-gw-ims-org-id": "OTHER@AdobeOrg"}, SOMEBODY_ELSES),
    "no scheme": (lambda: {"Authorization": token()}, MALFORMED),
    "a tab after the scheme": (lambda: {"Authorization": f"Bearer\t{token()}"}, MALFORMED),
    "another scheme": (lambda: {"Authorization": f"Basic {token()}"}, MALFORMED),
    "the scheme alone": (lambda: {"Authorization": "Bearer"}, MALFORMED),
    "the scheme and a space": (lambda: {"Authorization": "Bearer "}, MALFORMED),
    "an empty header": (lambda: {"Authorization": ""}, MALFORMED),
    "two tokens in one header": (
        lambda: {"Authorization": f"Bearer {token()}, Bearer {token()}"}, MALFORMED),
    "two tokens with a space between": (
        lambda: {"Authorization": f"Bearer {token()} {token()}"}, MALFORMED),
    "two headers": (
        lambda: [("Authorization", f"Bearer {token()}"), ("Authorization", f"Bearer {token()}")],
        MALFORMED),
    "a token and a key of ours": (
        lambda: {"Authorization": f"Bearer {token()}", **shown_key()}, MALFORMED),
    "a client id and no token": (lambda: {"x-api-key": "abc123"}, MALFORMED),
    "a token as the key": (lambda: {"x-api-key": token()}, MALFORMED),
}  # fmt: skip


@pytest.mark.parametrize("row", HEADERS)
async def test_the_header_is_read_as_it_should_with(edge: RunningEdge, row: str) -> None:
    make, code = HEADERS[row]

    told = await call(edge, make())

    assert (told.sent.get("type", "").rpartition("/")[2] or None) == code


@pytest.mark.parametrize(
    "more",
    [
        {"exp": NOW_S - 29},
        {"iat": NOW_S + 30},
        {"nbf": NOW_S + 30},
        {"aud": ["console", AUD]},
        {"exp": NOW_S + 0.5},
        {"extra": {"deep": [1, 2]}},
    ],
    ids=str,
)
async def test_a_token_is_taken_with(edge: RunningEdge, more: dict[str, Any]) -> None:
    assert (await call(edge, bearer(token(**more)))).status == 200


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+JWT"])
async def test_a_token_is_taken_with_the_type(edge: RunningEdge, kind: str) -> None:
    assert (await call(edge, bearer(token(head={"typ": kind})))).status == 200


@pytest.mark.parametrize("key", ["rsa", "ps", "ec", "ed"])
async def test_each_kind_of_signature_is_taken_where_the_issuer_uses_it(key: str) -> None:
    made = {
        "rsa": lambda: token(),
        "ps": lambda: token(algorithm="PS256"),
        "ec": lambda: token(ec_key(), algorithm="ES256", head={"kid": "e1"}),
        "ed": lambda: token(ed_key(), algorithm="EdDSA", head={"kid": "o1"}),
    }[key]()
    every = issuer(algorithms=("RS256", "PS256", "ES256", "EdDSA"))
    async with server_edge(with_attributes(issuers=(every,))) as edge:
        assert (await call(edge, bearer(made))).status == 200


# ---- bits ------------------------------------------------------------------------


def every_bit_flipped(text: str) -> Iterator[str]:
    raw = text.encode()
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        yield flipped.decode("latin-1")


def refused(text: str) -> bool:
    """Whether the core refuses a token, and as the caller's fault."""
    from perso_core.definitions.jwks import keys_from_jwks

    by_name = issuer()
    try:
        unverified = taken_apart(text)
        found = issuer_of(unverified, {ISS: by_name})
        key = keys_from_jwks(found.jwks, found.algorithms).get(unverified.kid)
        verify(unverified, found, key, audience=AUD, now_ms=NOON_MS)
    except EdgeError as fault:
        return fault.status == 401
    return False


async def test_no_single_bit_of_a_token_can_be_changed() -> None:
    good = token()

    assert not refused(good)
    assert all(refused(flipped) for flipped in every_bit_flipped(good))


async def test_no_stretch_of_a_token_can_be_left_out_or_doubled() -> None:
    good, draw = token(), random.Random(4)
    for _ in range(500):
        begin, end = sorted(draw.sample(range(len(good)), 2))
        assert refused(good[:begin] + good[end:])
        assert refused(good[:end] + good[begin:])


async def test_random_texts_are_refused_as_malformed() -> None:
    draw = random.Random(5)
    for _ in range(2_000):
        text = "".join(draw.choices("ey.J0-_ =\x00é{}", k=draw.randrange(60)))
        with pytest.raises(EdgeError) as raised:
            taken_apart(text)
        assert raised.value.code == MALFORMED


async def test_a_refusal_tells_nothing_of_the_token_and_the_log_nothing_at_all(
    edge: RunningEdge, caplog: pytest.LogCaptureFixture
) -> None:
    for make, _ in ROWS.values():
        sent = make()
        told = await call(edge, bearer(sent))
        assert sent not in told.body.decode()
        assert "shop-backend" not in told.body.decode()
    assert caplog.records == []


async def test_a_token_is_for_v2_and_proves_nothing_on_v1(edge: RunningEdge) -> None:
    told = await edge.call(headers={**JSON, "Authorization": "Bearer garbage"})

    assert told.status == 200


async def test_what_is_refused_leaves_nothing_behind(edge: RunningEdge) -> None:
    before = len(edge.engine)
    await server_call(edge, asking(CRMID="zoe"), headers=bearer("garbage"))

    assert len(edge.engine) == before


async def test_this_table_stands_beside_the_library_that_verifies() -> None:
    """PyJWT alone takes a token that never ends: what we check besides is needed."""
    endless = token(exp=None)

    assert jwt.decode(
        endless, rsa_key("k1").public_key(), algorithms=["RS256"], audience=AUD,
        options={"verify_iat": False},
    )  # fmt: skip
    assert refused(endless)
