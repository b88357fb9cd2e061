"""A site's own device id: the same one names the same visitor, and proves nothing by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perso_core.decision.identity import Identity, is_ecid
from perso_core.edge.cookies import CookieKeys
from perso_core.edge.fpid import ecid_of, fpid_claimed, fpid_in_cookie, trusted_device
from tests.building import ORG

NAMING = bytes(range(32))
UUID = "7d9a5d0e-7f0e-4a0b-8f1d-0f3e5a1c2b3d"


@given(st.text(min_size=1, max_size=256))
def test_an_fpid_always_gives_the_same_ecid(fpid: str) -> None:
    ecid = ecid_of(fpid, org=ORG, naming=NAMING)

    assert is_ecid(ecid)
    assert ecid == ecid_of(fpid, org=ORG, naming=NAMING)


def test_organisations_and_keys_name_an_fpid_differently() -> None:
    own = ecid_of(UUID, org=ORG, naming=NAMING)

    assert own != ecid_of(UUID, org="OTHER@AdobeOrg", naming=NAMING)
    assert own != ecid_of(UUID, org=ORG, naming=bytes(32))


def test_no_two_pairs_of_organisation_and_fpid_are_one() -> None:
    assert ecid_of("bc", org="a", naming=NAMING) != ecid_of("c", org="ab", naming=NAMING)


def test_a_trusted_fpid_selects_a_profile_that_no_named_ecid_has() -> None:
    device = trusted_device(UUID, org=ORG, naming=NAMING)

    assert device == trusted_device(UUID, org=ORG, naming=NAMING)
    assert device.ecid == ecid_of(UUID, org=ORG, naming=NAMING)
    assert len(device.suffix) == 16
    assert not device.new
    # The profile's name cannot be told from the visitor's.
    assert device.suffix not in device.ecid


def test_the_cookie_is_read_from_the_header_by_its_name() -> None:
    assert fpid_in_cookie(f"a=b; myFpid={UUID}; c=d", "myFpid") == UUID
    assert fpid_in_cookie(f"a=b; myFpid={UUID}", "FPID") is None
    assert fpid_in_cookie("", "FPID") is None


def test_two_different_cookies_of_the_name_are_nobodys() -> None:
    assert fpid_in_cookie("FPID=a; FPID=b", "FPID") is None
    assert fpid_in_cookie("FPID=a; FPID=a", "FPID") == "a"


def test_an_unusable_text_is_no_fpid() -> None:
    assert fpid_in_cookie("FPID=", "FPID") is None
    assert fpid_in_cookie(f"FPID={'a' * 257}", "FPID") is None
    assert fpid_in_cookie("FPID=a\x07b", "FPID") is None


def test_an_fpid_among_the_claims_is_found_and_two_are_none() -> None:
    one, other = Identity("FPID", "a"), Identity("FPID", "b")

    assert fpid_claimed([Identity("CRMID", "c"), one]) == "a"
    assert fpid_claimed([one, other]) is None
    assert fpid_claimed([]) is None


def test_names_outlive_the_keys_that_sign() -> None:
    before = CookieKeys(1, {1: bytes(range(32))})
    renewed = CookieKeys(2, {1: bytes(range(32)), 2: bytes(range(32, 64))})
    written = CookieKeys(2, {2: bytes(range(32, 64))}, naming=bytes(range(32)))

    assert before.naming_key == renewed.naming_key == written.naming_key
