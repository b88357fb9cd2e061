"""Issuers and mappings as an operator writes them: what is taken, and what is a fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from msgspec import structs

from perso_core.definitions.export import definitions_to_toml
from perso_core.definitions.issuer import Issuer
from perso_core.definitions.jwks import keys_from_jwks
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.definitions.toml_file import definitions_from_toml
from tests.building import definitions
from tests.definitions.whole import WHOLE, fault_of, faults_of, line_of

RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def rsa_jwk(key: rsa.RSAPrivateKey = RSA_KEY, **more: Any) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k1", **more}


def issuer_table(**changes: str) -> str:
    """One [[issuer]] that is right, with some keys written otherwise; "" leaves one out."""
    lines = {
        "id": '"idp"',
        "name": '"Our identity provider"',
        "issuer": '"https://id.test"',
        "audience": '"perso"',
        "algorithms": '["RS256"]',
        "datastreams": '["demo"]',
        "jwks_url": '"https://id.test/jwks.json"',
        **changes,
    }
    written = "".join(f"{key} = {value}\n" for key, value in lines.items() if value)
    return f"\n[[issuer]]\n{written}"


def test_an_issuer_is_read_and_written_back_as_it_was() -> None:
    text = (
        WHOLE
        + issuer_table(may='["events"]')
        + issuer_table(
            id='"b"',
            name='"B"',
            issuer='"b"',
            jwks_url="",
            jwks=f"'{json.dumps({'keys': [rsa_jwk()]})}'",
        )
    )

    read = definitions_from_toml(text)

    assert read.issuers[0] == Issuer(
        id="idp",
        name="Our identity provider",
        issuer="https://id.test",
        audience="perso",
        algorithms=("RS256",),
        datastreams=("demo",),
        jwks_url="https://id.test/jwks.json",
        may=("events",),
    )
    assert definitions_from_toml(definitions_to_toml(read)) == read


def test_an_issuer_whose_tokens_may_do_nothing_more_is_not_exported_as_one_that_may() -> None:
    read = definitions_from_toml(WHOLE + issuer_table(may="[]"))

    assert definitions_from_toml(definitions_to_toml(read)).issuers[0].may == ()


@pytest.mark.parametrize(
    ("changes", "at", "told"),
    [
        ({"algorithms": '["HS256"]'}, "algorithms", "which is none of RS256"),
        ({"algorithms": '["none"]'}, "algorithms", "which is none of RS256"),
        ({"algorithms": "[]"}, "algorithms", "no token could be verified"),
        ({"issuer": '""'}, "issuer", "is not 1 to 512"),
        ({"audience": '""'}, "audience", "is not 1 to 512"),
        ({"datastreams": '["dmo"]'}, "datastreams", "No datastream has the id"),
        ({"may": '["everything"]'}, "may", "which is none of events, attributes, identities"),
        ({"jwks_url": '"http://id.test/jwks"'}, "jwks_url", "is not https"),
        ({"jwks_url": '"http://localhost.evil.test/jwks"'}, "jwks_url", "is not https"),
        ({"jwks_url": '"file:///etc/passwd"'}, "jwks_url", "is no URL"),
        ({"jwks_url": '"https://me@id.test/jwks"'}, "jwks_url", "has a user"),
        ({"jwks_url": '"https://id.test:99999/"'}, "jwks_url", "is no URL"),
        ({"jwks_url": ""}, "[[issuer]]", "neither jwks_url nor jwks"),
        ({"jwks": "'{}'"}, "[[issuer]]", "both jwks_url and jwks"),
        ({"jwks_url": "", "jwks": "'no json'"}, "jwks", "it is no JSON object"),
        ({"jwks_url": "", "jwks": "'{\"keys\": []}'"}, "jwks", "no key of it can be used"),
    ],
)
def test_an_issuer_that_would_let_strangers_in_or_nobody_is_a_fault(
    changes: dict[str, str], at: str, told: str
) -> None:
    text = WHOLE + issuer_table(**changes)

    fault = fault_of(text)

    assert told in fault.detail
    assert line_of(text, fault).startswith(at)


def test_two_issuers_with_one_iss_are_a_fault() -> None:
    text = WHOLE + issuer_table() + issuer_table(id='"b"', name='"B"')

    assert "stands in two entries" in fault_of(text).detail


def test_what_an_issuer_needs_and_has_not_is_told_once_each() -> None:
    faults = faults_of(WHOLE + "\n[[issuer]]\nid = 'a'\nname = 'A'\njwks_url = 'https://a.test'\n")

    assert [fault.detail.split(" has no ")[1] for fault in faults] == [
        "issuer.",
        "audience.",
        "algorithms.",
        "datastreams.",
    ]


def test_a_new_issuer_or_key_is_no_reason_to_evaluate_every_profile_again() -> None:
    before = definitions()
    after = structs.replace(before, issuers=definitions_from_toml(WHOLE + issuer_table()).issuers)

    first = compile_snapshot(before)
    second = compile_snapshot(after, before=first)

    assert second.id == first.id
    assert second.rules is first.rules


# ---- key sets ------------------------------------------------------------------


@pytest.mark.parametrize(
    "jwk",
    [
        rsa_jwk(kid=None),
        rsa_jwk(use="enc"),
        rsa_jwk(alg="RS512"),
        rsa_jwk(alg="HS256"),
        rsa_jwk(key_ops=["encrypt"]),
        rsa_jwk(n="AQAB"),
        rsa_jwk(kid="k" * 300),
        rsa_jwk(rsa.generate_private_key(public_exponent=65_537, key_size=1_024)),
        {**RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True), "kid": "k1", "key_ops": ["verify"]},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k1"},
        {**ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True),
         "kid": "k1"},
        "no object",
    ],
    ids=[
        "without an id", "for encryption", "for an algorithm that is not the issuer's",
        "for a symmetric algorithm", "for other operations", "that is no number", "with a huge id",
        "too short", "private", "symmetric", "of another kind", "that is none",
    ],
)  # fmt: skip
def test_a_key_that_must_not_verify_is_passed_over(jwk: Any) -> None:
    good = rsa_jwk(kid="good")

    assert set(keys_from_jwks(json.dumps({"keys": [jwk, good]}), ("RS256",))) == {"good"}


def test_of_two_keys_with_one_id_neither_is_taken() -> None:
    assert keys_from_jwks(json.dumps({"keys": [rsa_jwk(), rsa_jwk()]}), ("RS256",)) == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": {}}', b"\xff", "[" * 50_000])
def test_what_is_no_key_set_is_told_as_such(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="it is no JSON object"):
        keys_from_jwks(text, ("RS256",))


def test_a_key_set_has_at_most_64_kib_and_64_keys() -> None:
    with pytest.raises(ValueError, match="larger than"):
        keys_from_jwks(" " * 65_537, ("RS256",))
    with pytest.raises(ValueError, match="more than 64 keys"):
        keys_from_jwks(json.dumps({"keys": [{}] * 65}), ("RS256",))


# ---- mapped attributes -----------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ('"person.name.firstName" = "object"', "an object"),
        ('"person.name.firstName[]" = "text"', "a list"),
        ('"person.name.firstName.en" = "text"', "an object"),
        ('"person.name[].firstName" = "text"', "a list"),
    ],
)
def test_a_mapped_field_that_is_no_single_value_is_a_fault(field: str, what: str) -> None:
    text = WHOLE.replace("[[datastream]]", f"[schema.profile]\n{field}\n\n[[datastream]]", 1)

    fault = fault_of(text)

    assert f"is {what}, and an attribute is a single value" in fault.detail
    assert line_of(text, fault) == 'source = "person.name.firstName"'


def test_a_mapped_field_of_which_nothing_is_known_is_taken() -> None:
    text = WHOLE.replace("[[datastream]]", '[schema.profile]\n"a.b" = "text"\n\n[[datastream]]', 1)

    assert definitions_from_toml(text).destinations[1].attributes[0].target == "firstName"
