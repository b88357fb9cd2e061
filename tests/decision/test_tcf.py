"""TC strings: a whole one says what it says; anything else is no consent, and says why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perso_core.decision.tcf import (
    DISCLOSED_FROM_DS,
    MAX_CHARS,
    TcString,
    Undecodable,
    decode,
    refusal,
)
from tests.decision.tc_encoder import (
    ALPHABET,
    Padding,
    core,
    disclosed,
    number,
    publisher,
    ranges,
    tc_string,
    text,
    vendors,
)

# Protocol.md, 5: Adobe's own.
AGREED = "CO052l-O052l-DGAMBFRACBgAIBAAAAAAIYgEawAQEagAAAA"
NO_PURPOSE_1 = "CO052oTO052oTDGAMBFRACBgAABAAAAAAIYgEawAQEagAAAA"
NO_PURPOSE_10 = "CO052kIO052kIDGAMBFRACBgAIAAAAAAAIYgEawAQEagAAAA"
NO_VENDOR = "CO052qdO052qdDGAMBFRACBgAIBAAAAAAIYgAAoAAAAA"
# The example in the framework's own documents.
PUBLISHED = "COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA"


def why_not(string: str, *, vendor: int = 565, purposes: tuple[int, ...] = (1,)) -> str:
    """Why a string does not consent; "": it does."""
    decoded = decode(string)
    if isinstance(decoded, Undecodable):
        return decoded.reason
    return refusal(decoded, vendor_id=vendor, purposes=purposes)


def read(string: str) -> TcString:
    decoded = decode(string)
    assert isinstance(decoded, TcString), decoded
    return decoded


# ---- strings worked out by hand ------------------------------------------------

NOT_1, NOT_565 = "there is no consent to purpose 1", "there is no consent to vendor 565"
SHORT, LONG = "it is cut short", "it is longer than what it says"
NOT_BASE64, PADDED = "it is not base64url", "its padding is not zero"
RANGE, LIMIT = "a range of vendors is none", "a publisher restriction is none"
BARRED = "the publisher bars vendor 565 from consent to purpose 1"
UNDISCLOSED = "vendor 565 was not disclosed to the visitor"
UNSAID = "it does not say which vendors were disclosed, as TCF 2.3 requires"
NEW: dict[str, Any] = {"created": DISCLOSED_FROM_DS, "updated": DISCLOSED_FROM_DS}
OLD: dict[str, Any] = {"updated": DISCLOSED_FROM_DS - 1}

STRINGS: dict[str, tuple[str, str]] = {
    "Adobe's, agreed": (AGREED, ""),
    "Adobe's, without purpose 1": (NO_PURPOSE_1, NOT_1),
    "Adobe's, without purpose 10": (NO_PURPOSE_10, ""),
    "Adobe's, without the vendor": (NO_VENDOR, NOT_565),
    "a bit field": (tc_string(), ""),
    "a bit field in which the vendor is among others": (tc_string(vendors=(1, 565, 900)), ""),
    "a bit field without the vendor": (tc_string(vendors=(1, 564, 566)), NOT_565),
    "ranges": (tc_string(as_ranges=True), ""),
    "a range that holds the vendor": (tc_string(vendors=range(500, 601), as_ranges=True), ""),
    "a range that ends before": (tc_string(vendors=range(500, 565), as_ranges=True), NOT_565),
    "a range that begins after": (tc_string(vendors=range(566, 600), as_ranges=True), NOT_565),
    "no vendors": (tc_string(vendors=()), NOT_565),
    "no purposes": (tc_string(purposes=()), NOT_1),
    "legitimate interest is no consent to a purpose": (
        tc_string(purposes=(), purposes_legitimate=(1,)),
        NOT_1,
    ),
    "legitimate interest is no consent to a vendor": (
        tc_string(vendors=(), vendors_legitimate=(565,)),
        NOT_565,
    ),
    "padded to characters": (tc_string(padding="characters"), ""),
    "padded to 24 bits": (tc_string(padding="24"), ""),
    "TCF 2.2": (tc_string(policy=4), ""),
    "TCF 2.3": (tc_string(disclosed([565]), policy=5, **NEW), ""),
    "TCF 2.3 with all segments": (tc_string(disclosed([565]), publisher(3), **NEW), ""),
    "segments in another order": (tc_string(publisher(), disclosed([565]), **NEW), ""),
    "disclosed as a bit field": (tc_string(disclosed([565], as_ranges=False)), ""),
    "TCF 2.3 without what was disclosed": (tc_string(policy=5, **NEW), UNSAID),
    "the last instant before TCF 2.3": (tc_string(**OLD), ""),
    "a vendor that was not disclosed": (tc_string(disclosed([1, 564])), UNDISCLOSED),
    "allowed vendors say nothing of disclosed ones": (tc_string(disclosed([1], kind=2)), ""),
    "the publisher allows no purpose 1": (tc_string(limits=[(1, 0, [(565, 565)])]), BARRED),
    "the publisher wants consent": (tc_string(limits=[(1, 1, [(565, 565)])]), ""),
    "the publisher wants legitimate interest": (tc_string(limits=[(1, 2, [(1, 900)])]), BARRED),
    "the publisher bars another purpose": (tc_string(limits=[(2, 0, [(565, 565)])]), ""),
    "the publisher bars other vendors": (tc_string(limits=[(1, 0, [(1, 564)])]), ""),
    "nothing": ("", NOT_BASE64),
    "no letters of base64url": ("CO05!", NOT_BASE64),
    "base64's own letters": (AGREED.replace("-", "+"), NOT_BASE64),
    "padding characters": (AGREED + "==", NOT_BASE64),
    "not ASCII": ("Ｃ" + AGREED[1:], NOT_BASE64),
    "a line's end": (AGREED + "\n", NOT_BASE64),
    "a lone surrogate": ("\ud800" + AGREED, NOT_BASE64),
    "a length that no base64url has": (AGREED + "A", "no base64url text has this length"),
    "a dot at the end": (AGREED + ".", NOT_BASE64),
    "version 1": ("B" + AGREED[1:], "its version is 1, not 2"),
    "version 3": ("D" + AGREED[1:], "its version is 3, not 2"),
    "made with TCF 2.3 and updated before": (tc_string(created=DISCLOSED_FROM_DS), UNSAID),
    "a language of no letters": (
        tc_string(language="E["),
        "a language or country is not made of letters",
    ),
    "a country of no letters": (
        tc_string(country="[E"),
        "a language or country is not made of letters",
    ),
    "more than padding behind": (AGREED + "AAAAAA", LONG),
    "padding that is not zero": (AGREED + "AAAB", PADDED),
    "a range with vendor 0": (
        tc_string(vendor_bits=number(900, 16) + "1" + ranges([(0, 565)])),
        RANGE,
    ),
    "a range that ends before it begins": (
        tc_string(vendor_bits=number(900, 16) + "1" + ranges([(566, 565)])),
        RANGE,
    ),
    "a range beyond the highest vendor": (
        tc_string(vendor_bits=number(564, 16) + "1" + ranges([(565, 565)])),
        RANGE,
    ),
    "a bit field that promises more than there is": (
        tc_string(vendor_bits=number(65_535, 16) + "0"),
        SHORT,
    ),
    "a restriction of no purpose": (tc_string(limits=[(0, 0, [(1, 2)])]), LIMIT),
    "a restriction of an unknown kind": (tc_string(limits=[(1, 3, [(1, 2)])]), LIMIT),
    "a segment of an unknown type": (
        tc_string(disclosed([565], kind=4)),
        "it has a segment of an unknown type",
    ),
    "a core that comes second": (
        f"{AGREED}.{AGREED}",
        "it has a segment of an unknown type",
    ),
    "the same segment twice": (
        tc_string(disclosed([565]), disclosed([565])),
        "it has two disclosed-vendors segments",
    ),
    "a segment that is cut short": (f"{AGREED}.IA", SHORT),
    "a segment with more behind": (f"{AGREED}.{text(disclosed([565]))}AAAAAAAA", LONG),
    "a publisher segment that is cut short": (f"{AGREED}.{text(publisher(9))[:10]}", SHORT),
    "a text without end": ("C" * (MAX_CHARS + 1), f"it has more than {MAX_CHARS:,} characters"),
}


def test_the_table_of_strings_has_at_least_30_rows() -> None:
    assert len(STRINGS) >= 30


@pytest.mark.parametrize("name", STRINGS)
def test_a_string_consents_or_says_why_not(name: str) -> None:
    string, why = STRINGS[name]

    assert why_not(string) == why


def test_what_a_site_needs_besides_purpose_1_is_asked_of_the_string_too() -> None:
    assert why_not(AGREED, purposes=(1, 10)) == ""
    assert why_not(NO_PURPOSE_10, purposes=(1, 10)) == "there is no consent to purpose 10"


def test_a_site_with_a_vendor_of_its_own_asks_for_that_one() -> None:
    assert why_not(AGREED, vendor=7) == "there is no consent to vendor 7"
    assert why_not(tc_string(vendors=(7,)), vendor=7) == ""


def test_the_frameworks_own_example_is_read() -> None:
    said = read(PUBLISHED)

    assert (said.language, said.cmp_id, said.policy_version) == ("EN", 675, 2)
    assert (set(said.purposes), set(said.purposes_legitimate)) == ({2, 10}, {2, 9})


def test_a_string_of_few_characters_that_names_a_quarter_of_a_billion_vendors_is_read_at_once() -> (
    None
):
    everyone = number(65_535, 16) + "1" + ranges([(1, 65_535)] * 1_400)

    assert why_not(tc_string(vendor_bits=everyone)) == ""


# ---- broken strings --------------------------------------------------------------

WHOLE = {
    "Adobe's": AGREED,
    "a bit field": tc_string(vendors=(1, 565, 900)),
    "ranges, padded to 24 bits": tc_string(vendors=range(1, 600), as_ranges=True, padding="24"),
    "all segments": tc_string(
        disclosed([565]), publisher(2), limits=[(1, 1, [(1, 9)])], padding="24", **NEW
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_string_that_is_cut_anywhere_says_what_it_said_or_nothing(name: str) -> None:
    """What can go unnoticed is padding, and a last segment as a whole: neither makes a consent."""
    whole = WHOLE[name]
    said = read(whole)

    read_again = [
        cut
        for cut in range(len(whole))
        if isinstance(decoded := decode(whole[:cut]), TcString) and decoded == said
    ]

    for cut in set(range(len(whole))) - set(read_again):
        assert isinstance(decode(whole[:cut]), Undecodable), cut
    dots = [at for at, letter in enumerate(whole) if letter == "."]
    for cut in read_again:
        rest = whole[cut : next((dot for dot in dots if dot >= cut), None)]
        assert (set(rest) <= {"A"} and len(rest) <= 4) or cut in dots


@pytest.mark.parametrize("string", [AGREED, NO_PURPOSE_1, NO_PURPOSE_10, NO_VENDOR])
def test_one_of_adobes_strings_that_is_cut_anywhere_is_no_consent(string: str) -> None:
    assert not any(isinstance(decode(string[:cut]), TcString) for cut in range(len(string)))


@pytest.mark.parametrize("string", [AGREED, NO_PURPOSE_1, NO_VENDOR, *WHOLE.values()])
def test_a_single_bit_that_flips_never_breaks_the_reader(string: str) -> None:
    for at, letter in enumerate(string):
        if letter == ".":
            continue
        for bit in range(6):
            other = ALPHABET[ALPHABET.index(letter) ^ 1 << bit]
            why_not(string[:at] + other + string[at + 1 :])


def test_a_flipped_bit_of_a_refusal_makes_a_consent_only_where_it_is_the_refusals_own() -> None:
    """Purpose 1 is bit 152 of the core: the third of character 25."""
    flips = {
        (at, bit)
        for at, letter in enumerate(NO_PURPOSE_1)
        for bit in range(6)
        if why_not(
            NO_PURPOSE_1[:at]
            + ALPHABET[ALPHABET.index(letter) ^ 32 >> bit]
            + NO_PURPOSE_1[at + 1 :]
        )
        == ""
    }

    assert flips == {(152 // 6, 152 % 6)}


# ---- laws ------------------------------------------------------------------------

ids = st.sets(st.integers(1, 1_200), max_size=30)
purposes = st.sets(st.integers(1, 24), max_size=24)
pairs = st.lists(
    st.tuples(st.integers(1, 900), st.integers(0, 90)).map(lambda one: (one[0], sum(one))),
    max_size=3,
)
limits = st.lists(st.tuples(st.integers(1, 24), st.integers(0, 2), pairs), max_size=3)
paddings = st.sampled_from(["characters", "bytes", "24"])


@given(
    agreed=ids,
    legitimate=ids,
    shown=st.none() | ids,
    to=purposes,
    to_legitimate=purposes,
    bounds=limits,
    as_ranges=st.booleans(),
    padding=paddings,
)
def test_what_an_encoder_wrote_is_what_is_read(
    agreed: set[int],
    legitimate: set[int],
    shown: set[int] | None,
    to: set[int],
    to_legitimate: set[int],
    bounds: list[tuple[int, int, list[tuple[int, int]]]],
    as_ranges: bool,
    padding: Padding,
) -> None:
    bits = core(
        vendors=agreed,
        vendors_legitimate=legitimate,
        purposes=to,
        purposes_legitimate=to_legitimate,
        limits=bounds,
        as_ranges=as_ranges,
    )
    segments = [bits, publisher(1)]
    if shown is not None:
        segments.append(disclosed(shown, as_ranges=as_ranges))
    written = ".".join(
        text(bits, padding="24" if len(bits) % 24 == 6 and padding == "characters" else padding)
        for bits in segments
    )

    said = read(written) if all(len(one) % 4 != 1 for one in written.split(".")) else None

    if said is None:
        assert isinstance(decode(written), Undecodable)
        return
    for one in range(1, 1_202):
        assert (one in said.vendors) == (one in agreed)
        assert (one in said.vendors_legitimate) == (one in legitimate)
        assert said.disclosed is None or (one in said.disclosed) == (one in (shown or ()))
    assert (said.disclosed is None) == (shown is None)
    assert (set(said.purposes), set(said.purposes_legitimate)) == (to, to_legitimate)
    read_bounds = [(one.purpose, one.kind, list(one.vendors.ranges)) for one in said.restrictions]
    assert read_bounds == bounds


@given(st.text(max_size=80) | st.text(ALPHABET + ".", max_size=200).map(lambda rest: "C" + rest))
def test_any_text_is_read_or_says_why_not(string: str) -> None:
    decoded = decode(string)

    assert isinstance(decoded, TcString) or decoded.reason


@given(st.sampled_from([*WHOLE.values()]), st.integers(0, 400), st.text(max_size=3))
def test_a_string_with_text_written_into_it_is_read_or_says_why_not(
    string: str, at: int, more: str
) -> None:
    decoded = decode(string[:at] + more + string[at:])

    assert isinstance(decoded, TcString) or decoded.reason


def test_no_vendors_are_written_as_no_vendors() -> None:
    assert vendors(()) == "0" * 17
