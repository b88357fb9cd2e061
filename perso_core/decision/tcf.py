"""TC strings: what a visitor agreed to, by IAB Europe's Transparency and Consent Framework 2.x.

Strict: a string that is not wholly one that the framework defines is read as nothing at all.
Layout: IAB Tech Lab, "Consent string and vendor list formats v2" (TCF 2.0 to 2.3 share it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from perso_core.decision.tcf_bits import Bits, Unreadable

# The longest seen in the field have about 4,000.
MAX_CHARS: Final = 8_192
# Encoders fill up to bytes, to characters or to 24 bits, the longest by 24 bits of zero.
MAX_PADDING_BITS: Final = 24
# TCF 2.3: strings from 1 March 2026 on say which vendors were shown to the visitor; deciseconds.
DISCLOSED_FROM_DS: Final = 17_723_232_000
VERSION: Final = 2

Kind = Literal["disclosed-vendors", "allowed-vendors", "publisher-tc"]
_KINDS: Final[Mapping[int, Kind]] = {
    1: "disclosed-vendors",
    2: "allowed-vendors",
    3: "publisher-tc",
}


class Vendors(Struct, frozen=True):
    """Vendor ids as (first, last) pairs, both inclusive, in the string's order: a string of 8 KB
    may name hundreds of millions."""

    ranges: tuple[tuple[int, int], ...] = ()

    def __contains__(self, vendor_id: int) -> bool:
        return any(first <= vendor_id <= last for first, last in self.ranges)


class Restriction(Struct, frozen=True):
    """The publisher's own limit on some vendors' use of one purpose. kind: 0 not allowed, 1 with
    consent alone, 2 on legitimate interest alone."""

    purpose: int
    kind: int
    vendors: Vendors


class TcString(Struct, frozen=True, kw_only=True):
    """A TC string, as far as it decides something. Times in deciseconds since 1970, UTC.

    disclosed: the vendors that were shown to the visitor; None: the string does not say.
    """

    created_ds: int
    updated_ds: int
    cmp_id: int
    language: str
    policy_version: int
    purposes: frozenset[int]
    purposes_legitimate: frozenset[int]
    vendors: Vendors
    vendors_legitimate: Vendors
    restrictions: tuple[Restriction, ...] = ()
    disclosed: Vendors | None = None


class Undecodable(Struct, frozen=True):
    """reason: a clause that continues "the string cannot be read: "."""

    reason: str


def decode(text: str) -> TcString | Undecodable:
    """The whole string, or why there is none. Never raises. O(length)."""
    if len(text) > MAX_CHARS:
        return Undecodable(f"it has more than {MAX_CHARS:,} characters")
    first, *others = text.split(".")
    try:
        core = _core(Bits(first))
        disclosed = _others(others)
    except Unreadable as why:
        return Undecodable(str(why))
    if disclosed is None and max(core["created_ds"], core["updated_ds"]) >= DISCLOSED_FROM_DS:
        return Undecodable("it does not say which vendors were disclosed, as TCF 2.3 requires")
    return TcString(**core, disclosed=disclosed)


def refusal(string: TcString, *, vendor_id: int, purposes: tuple[int, ...]) -> str:
    """Why the string does not consent to the vendor's use of all these purposes, as a clause;
    "": it consents. Legitimate interest is no consent."""
    for purpose in purposes:
        if purpose not in string.purposes:
            return f"there is no consent to purpose {purpose}"
    if vendor_id not in string.vendors:
        return f"there is no consent to vendor {vendor_id}"
    if string.disclosed is not None and vendor_id not in string.disclosed:
        return f"vendor {vendor_id} was not disclosed to the visitor"
    for limit in string.restrictions:
        if limit.purpose in purposes and limit.kind != 1 and vendor_id in limit.vendors:
            return f"the publisher bars vendor {vendor_id} from consent to purpose {limit.purpose}"
    return ""


# ---- segments ----------------------------------------------------------------


def _core(bits: Bits) -> dict[str, Any]:
    version = bits.number(6)
    if version != VERSION:
        raise Unreadable(f"its version is {version}, not {VERSION}")
    core: dict[str, Any] = {"created_ds": bits.number(36), "updated_ds": bits.number(36)}
    core["cmp_id"] = bits.number(12)
    bits.number(12 + 6)  # the CMP's version, its screen
    core["language"] = bits.letters()
    bits.number(12)  # the version of the vendor list
    core["policy_version"] = bits.number(6)
    bits.number(1 + 1 + 12)  # service-specific, non-standard texts, special features
    core["purposes"] = bits.numbered(24)
    core["purposes_legitimate"] = bits.numbered(24)
    bits.flag()  # purpose one treatment: its consent bit decides, whether it was shown or not
    bits.letters()  # the publisher's country
    core["vendors"] = _vendors(bits)
    core["vendors_legitimate"] = _vendors(bits)
    core["restrictions"] = tuple(_restriction(bits) for _ in range(bits.number(12)))
    _end(bits)
    return core


def _others(segments: list[str]) -> Vendors | None:
    """The vendors that the segments after the first say were disclosed; None: no segment says."""
    found: dict[Kind, Vendors | None] = {}
    for text in segments:
        bits = Bits(text)
        kind = _KINDS.get(bits.number(3))
        if kind is None:
            raise Unreadable("it has a segment of an unknown type")
        if kind in found:
            raise Unreadable(f"it has two {kind} segments")
        found[kind] = _SEGMENTS[kind](bits)
        _end(bits)
    return found.get("disclosed-vendors")


def _publisher_tc(bits: Bits) -> None:
    """The publisher's own consents. They decide nothing here."""
    bits.number(24 + 24)
    customs = bits.number(6)
    bits.number(2 * customs)


def _end(bits: Bits) -> None:
    left = bits.left
    if left > MAX_PADDING_BITS:
        raise Unreadable("it is longer than what it says")
    if bits.number(left):
        raise Unreadable("its padding is not zero")


# ---- vendors -----------------------------------------------------------------


def _vendors(bits: Bits) -> Vendors:
    most = bits.number(16)
    if bits.flag():
        return _ranges(bits, most)
    held = bits.number(most)
    return Vendors(tuple(_runs(held, most)))


def _runs(held: int, most: int) -> list[tuple[int, int]]:
    """Runs of set bits in a field of `most` bits, the highest being vendor 1."""
    runs = []
    field = f"{held:0{most}b}" if most else ""
    first = field.find("1")
    while first >= 0:
        last = field.find("0", first)
        last = most if last < 0 else last
        runs.append((first + 1, last))
        first = field.find("1", last)
    return runs


def _ranges(bits: Bits, most: int) -> Vendors:
    return Vendors(tuple(_range(bits, most) for _ in range(bits.number(12))))


def _range(bits: Bits, most: int) -> tuple[int, int]:
    several = bits.flag()
    first = bits.number(16)
    last = bits.number(16) if several else first
    if not 1 <= first <= last <= most:
        raise Unreadable("a range of vendors is none")
    return first, last


def _restriction(bits: Bits) -> Restriction:
    purpose, kind = bits.number(6), bits.number(2)
    if not 1 <= purpose <= 24 or kind > 2:
        raise Unreadable("a publisher restriction is none")
    return Restriction(purpose, kind, _ranges(bits, 0xFFFF))


_SEGMENTS: Final[Mapping[Kind, Callable[[Bits], Vendors | None]]] = {
    "disclosed-vendors": _vendors,
    "allowed-vendors": _vendors,
    "publisher-tc": _publisher_tc,
}
