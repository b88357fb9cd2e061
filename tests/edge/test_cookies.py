"""What the cookies prove, and what they do not."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from perso_core.decision.identity import Device, ecid_from
from perso_core.edge import cookies
from perso_core.edge.cookies import (
    REISSUE_AFTER_MS,
    SOURCE_RANDOM,
    SOURCE_RECEIVED_IN_REQUEST,
    CookieKeys,
    Proof,
    StoredIdentity,
    cluster_cookie,
    consent_cookie,
    cookie_names,
    due_for_reissue,
    identity_bytes,
    identity_cookies,
    proven_device,
    received,
    stored_identity,
)
from perso_core.edge.wire import StateEntry
from tests.building import NOON_MS, ORG

NAMES = cookie_names(ORG)
KEYS = CookieKeys(1, {1: bytes(range(32)), 2: bytes(range(32, 64))})
OURS = Device(ecid_from(bytes(range(16))))
NAMED = Device(ecid_from(bytes(range(16))), suffix="00ff00ff00ff00ff")


def issued(
    device: Device = OURS,
    *,
    org: str = ORG,
    keys: CookieKeys = KEYS,
    at_ms: int = NOON_MS,
    source: int = SOURCE_RANDOM,
) -> tuple[str, str]:
    """The values of the identity and the MAC cookie."""
    identity, mac = identity_cookies(
        device, org=org, keys=keys, now_ms=at_ms, source=source, created_ms=NOON_MS
    )
    return identity.value, mac.value


def proof_of(
    identity: str | tuple[str, ...],
    mac: str | tuple[str, ...],
    *,
    org: str = ORG,
    keys: CookieKeys = KEYS,
) -> Proof | None:
    identities = (identity,) if isinstance(identity, str) else identity
    macs = (mac,) if isinstance(mac, str) else mac
    return proven_device({NAMES.identity: identities, NAMES.mac: macs}, org=org, keys=keys)


def flips(value: str) -> list[str]:
    """The value with each single bit of its bytes flipped, 8 per character."""
    raw = value.encode("ascii")
    return [
        (raw[:at] + bytes((raw[at] ^ 1 << bit,)) + raw[at + 1 :]).decode("latin-1")
        for at in range(len(raw))
        for bit in range(8)
    ]


# ---- names and lifetimes -----------------------------------------------------


def test_a_cookie_is_named_by_its_organisation_with_the_first_at_sign_replaced() -> None:
    names = cookie_names("5BFE274A5F6980A50A495C08@Adobe@Org")

    assert names.identity == "kndctr_5BFE274A5F6980A50A495C08_Adobe@Org_identity"
    assert names.mac == "kndctr_5BFE274A5F6980A50A495C08_Adobe@Org_rs"


def test_cookies_live_as_long_as_adobes() -> None:
    identity, mac = identity_cookies(
        OURS, org=ORG, keys=KEYS, now_ms=NOON_MS, source=0, created_ms=NOON_MS
    )

    assert (identity.max_age_s, mac.max_age_s) == (34_128_000, 34_128_000)
    assert consent_cookie(ORG, "out").max_age_s == 15_552_000
    assert consent_cookie(ORG, "out").value == "general=out"
    assert cluster_cookie(ORG, "perso").max_age_s == 1_800


# ---- the identity cookie -----------------------------------------------------


def test_the_identity_cookie_is_the_protobuf_that_the_sdk_reads() -> None:
    """Field by field as protobuf's own documents spell it, by a reader of its own."""
    identity = StoredIdentity(
        ecid=OURS.ecid,
        created_ms=300,
        source=SOURCE_RECEIVED_IN_REQUEST,
        written_ms=1,
    )

    encoded = identity_bytes(identity)

    assert encoded == (
        b"\x0a\x26"
        + OURS.ecid.encode()
        + b"\x52\x05"
        + b"\x08\xac\x02"
        + b"\x30\x03"
        + b"\xf0\x01\x01"
    )


def test_the_identity_cookie_begins_as_adobes_does() -> None:
    """0x0A 0x26 and digits: `CiY` in base64 (protocol.md, 6)."""
    assert issued()[0].startswith("CiY")


@given(
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**48),
    st.integers(0, 3),
    st.integers(0, 2**48),
)
def test_an_identity_reads_back_as_it_was_written(
    entropy: bytes, created_ms: int, source: int, written_ms: int
) -> None:
    identity = StoredIdentity(
        ecid=ecid_from(entropy), created_ms=created_ms, source=source, written_ms=written_ms
    )

    assert stored_identity(identity_bytes(identity)) == identity


@given(st.binary(max_size=120))
def test_any_bytes_are_an_identity_in_one_spelling_or_none(encoded: bytes) -> None:
    identity = stored_identity(encoded)

    assert identity is None or identity_bytes(identity) == encoded


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_an_identity_that_was_cut_short_is_none(cut: int) -> None:
    whole = identity_bytes(
        StoredIdentity(ecid=OURS.ecid, created_ms=NOON_MS, source=3, written_ms=NOON_MS)
    )

    assert stored_identity(whole[:cut]) is None


def test_a_number_in_a_longer_spelling_is_none() -> None:
    whole = identity_bytes(StoredIdentity(ecid=OURS.ecid, created_ms=300, source=0, written_ms=1))

    assert stored_identity(whole[:-1] + b"\x81\x00") is None


# ---- proof -------------------------------------------------------------------


@pytest.mark.parametrize("device", [OURS, NAMED], ids=["ours", "named"])
def test_both_cookies_together_prove_their_device(device: Device) -> None:
    proof = proof_of(*issued(device, at_ms=NOON_MS + 5))

    assert proof == Proof(
        device=device,
        key=device.profile_key,
        written_ms=NOON_MS + 5,
        created_ms=NOON_MS,
        source=SOURCE_RANDOM,
        kid=1,
    )


def test_the_identity_cookie_alone_proves_nothing() -> None:
    identity, mac = issued()

    assert proof_of(identity, ()) is None
    assert proof_of((), mac) is None
    assert proof_of(identity, "") is None


@pytest.mark.parametrize("device", [OURS, NAMED], ids=["ours", "named"])
def test_no_single_bit_of_the_identity_cookie_can_change(device: Device) -> None:
    identity, mac = issued(device)

    assert [flip for flip in flips(identity) if proof_of(flip, mac)] == []


@pytest.mark.parametrize("device", [OURS, NAMED], ids=["ours", "named"])
def test_no_single_bit_of_the_mac_cookie_can_change(device: Device) -> None:
    identity, mac = issued(device)

    assert [flip for flip in flips(mac) if proof_of(identity, flip)] == []


def test_no_single_bit_of_a_thousand_visitors_cookies_can_change() -> None:
    """One bit of each character, another one from visitor to visitor; under the deep profile all,
    which are nearly a million flips."""
    bits = 8 if settings().max_examples >= 2_000 else 1
    flipped = 0
    for visitor in range(1, 1_001):
        identity, mac = cookies_of(visitor)
        assert proof_of(identity, mac), "as it was written it is proof"
        for bit in range(visitor, visitor + bits):
            changed = [(text, mac) for text in flips(identity)[bit % 8 :: 8]]
            changed += [(identity, text) for text in flips(mac)[bit % 8 :: 8]]
            assert [both for both in changed if proof_of(*both)] == []
            flipped += len(changed)

    assert flipped > bits * 110_000


def cookies_of(visitor: int) -> tuple[str, str]:
    """Devices of our own and named ones, both keys, all sources, many instants."""
    entropy = visitor.to_bytes(2, "big") * 8
    return issued(
        Device(ecid_from(entropy), suffix=entropy[:8].hex() if visitor % 3 == 0 else ""),
        keys=structs.replace(KEYS, current=1 + visitor % 2),
        at_ms=NOON_MS + visitor**3,
        source=visitor % 4,
    )


def test_no_bit_of_the_decoded_mac_cookie_can_change() -> None:
    """Also where the text is canonical again after the change."""
    identity, mac = issued()
    raw = base64.urlsafe_b64decode(mac + "==")
    changed = [
        raw[:at] + bytes((raw[at] ^ 1 << bit,)) + raw[at + 1 :]
        for at in range(len(raw))
        for bit in range(8)
    ]
    texts = [base64.urlsafe_b64encode(one).decode().rstrip("=") for one in changed]

    assert len(texts) == 31 * 8
    assert [text for text in texts if proof_of(identity, text)] == []


def test_a_mac_belongs_to_its_own_identity() -> None:
    other = Device(ecid_from(bytes(range(1, 17))))
    (identity, mac), (others_identity, others_mac) = issued(), issued(other)

    assert proof_of(identity, others_mac) is None
    assert proof_of(others_identity, mac) is None


def test_the_suffix_of_a_named_device_cannot_be_left_out() -> None:
    """Whoever names a victim's ECID gets a MAC for it, with a suffix: it must not lose it."""
    identity, mac = issued(NAMED)
    raw = base64.urlsafe_b64decode(mac + "==")
    without = raw[:7] + bytes(8) + raw[15:]

    assert proof_of(identity, base64.urlsafe_b64encode(without).decode().rstrip("=")) is None


def test_a_cookie_of_another_organisation_proves_nothing() -> None:
    other = ORG.replace("5BFE", "5BFF")  # of the same length
    assert proof_of(*issued(org=other)) is None


def test_a_replaced_key_is_believed_until_it_is_taken_away() -> None:
    old = issued(keys=structs.replace(KEYS, current=2))

    proof = proof_of(*old)

    assert proof is not None
    assert proof.device == OURS
    assert due_for_reissue(proof, keys=KEYS, now_ms=NOON_MS)
    assert proof_of(*old, keys=CookieKeys(1, {1: KEYS.keys[1]})) is None


def test_the_same_key_id_with_another_key_proves_nothing() -> None:
    assert proof_of(*issued(), keys=CookieKeys(1, {1: bytes(32)})) is None


def test_cookies_are_written_again_once_a_day() -> None:
    proof = proof_of(*issued(at_ms=NOON_MS))
    assert proof is not None

    assert not due_for_reissue(proof, keys=KEYS, now_ms=NOON_MS + REISSUE_AFTER_MS - 1)
    assert due_for_reissue(proof, keys=KEYS, now_ms=NOON_MS + REISSUE_AFTER_MS)


# ---- spellings ---------------------------------------------------------------


def respelled(value: str) -> list[str]:
    """Texts that lenient base64 reads as the same bytes."""
    return [
        value + "=",
        value + "==",
        value + "\n",
        " " + value,
        value.replace("=", ""),
        value.replace("=", "%3D"),
        value[:4] + "." + value[4:],
        value[:4] + "\n" + value[4:],
        value.replace("-", "+").replace("_", "/"),
        value + "AAAA",
    ]


def test_base64_in_any_other_spelling_proves_nothing() -> None:
    # An instant that puts both characters in which the two alphabets differ into the MAC cookie;
    # with its source, the identity cookie ends in padding.
    identity, mac = next(
        both
        for both in (issued(at_ms=NOON_MS + step, source=3) for step in range(10_000))
        if "-" in both[1] and "_" in both[1] and both[0].endswith("=")
    )
    assert proof_of(identity, mac)

    others = [text for text in respelled(identity) if text != identity]
    assert [text for text in others if proof_of(text, mac)] == []
    assert [text for text in respelled(mac) if text != mac and proof_of(identity, text)] == []


def test_stray_bits_after_the_last_byte_are_refused() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    identity, mac = issued()
    last = alphabet.index(mac[-1])
    assert last % 16 == 0, "31 bytes leave four bits unused"

    strays = [mac[:-1] + alphabet[last + stray] for stray in range(1, 16)]

    assert [stray for stray in strays if proof_of(identity, stray)] == []


@given(st.text(max_size=250), st.text(max_size=60))
def test_no_text_raises(identity: str, mac: str) -> None:
    assert proof_of(identity, mac) is None


# ---- which cookies count -----------------------------------------------------


def test_the_same_cookie_twice_is_no_conflict() -> None:
    identity, mac = issued()

    assert proof_of((identity, identity), (mac, mac)) == proof_of(identity, mac)


def test_two_valid_identities_prove_nobody() -> None:
    """A sibling subdomain can set cookies of the same name: nothing says which are ours."""
    ours, theirs = issued(), issued(Device(ecid_from(bytes(16))))

    assert proof_of((ours[0], theirs[0]), (ours[1], theirs[1])) is None


def test_a_valid_identity_beside_rubbish_still_counts() -> None:
    identity, mac = issued()

    proof = proof_of(("rubbish", identity), (mac, "rubbish"))

    assert proof is not None
    assert proof.device == OURS


def test_one_device_written_twice_is_proved_by_the_newer_pair() -> None:
    older, newer = issued(at_ms=NOON_MS), issued(at_ms=NOON_MS + 10)

    proof = proof_of((older[0], newer[0]), (older[1], newer[1]))

    assert proof is not None
    assert proof.written_ms == NOON_MS + 10


def test_a_flood_of_cookies_proves_nobody() -> None:
    identity, mac = issued()

    assert proof_of((identity,) * 5, mac) is None


def test_a_name_in_the_cookie_header_hides_the_bodys() -> None:
    values = received(
        "a=1; a=2", [StateEntry("a", "3"), StateEntry("b", "4"), StateEntry("b", "5")]
    )

    assert values == {"a": ("1", "2"), "b": ("4", "5")}


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("", {}),
        ("a", {}),
        ("a=", {"a": ("",)}),
        ("a=b=c", {"a": ("b=c",)}),
        (' a = b ;c="d=e" ;;', {"a ": (" b",), "c": ("d=e",)}),
        ('a="', {"a": ('"',)}),
        ('a=""', {"a": ("",)}),
    ],
)
def test_a_cookie_header_is_read_as_browsers_write_it(
    header: str, values: dict[str, tuple[str, ...]]
) -> None:
    assert received(header) == values


def test_of_many_cookies_of_one_name_each_costs_the_same() -> None:
    values = [str(number) for number in range(100_000)]
    began_s = time.process_time()

    in_header = received("; ".join(f"a={value}" for value in values))
    in_body = received("", [StateEntry("a", value) for value in values])

    assert time.process_time() - began_s < 2
    assert in_header == in_body == {"a": tuple(values)}


@pytest.mark.parametrize("long", [NAMES.identity, NAMES.mac])
@pytest.mark.parametrize("times", [1, 2])
def test_of_cookies_that_are_too_long_to_prove_anything_nothing_is_kept(
    long: str, times: int
) -> None:
    shown: dict[str, tuple[str, ...]] = {NAMES.identity: ("a",), NAMES.mac: ("b",)}
    shown[long] = ("c" * 60_000,) * times
    cookies._proof.cache_clear()

    assert proven_device(shown, org=ORG, keys=KEYS) is None
    assert not cookies._proof.cache_info().currsize


# ---- keys --------------------------------------------------------------------


def test_keys_are_not_shown_in_logs_and_tracebacks() -> None:
    assert repr(KEYS) == str(KEYS) == "CookieKeys(current=1, ids=[1, 2])"


@pytest.mark.parametrize(
    ("current", "keys"), [(1, {}), (1, {1: b"short"}), (300, {300: bytes(32)})]
)
def test_unusable_keys_are_refused(current: int, keys: dict[int, bytes]) -> None:
    with pytest.raises(AssertionError):
        CookieKeys(current, keys)
