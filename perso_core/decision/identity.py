"""Which profile a caller may touch.

A browser proves a device with a signed cookie (edge/cookies.py). What it merely claims may name
a visitor, and never selects a profile (DESIGN.md, Identity).
"""

from __future__ import annotations

import re

from msgspec import Struct

ECID_PATTERN = re.compile(r"[0-9]{38}")
# A 63-bit integer, so that it fits a signed 64-bit one: alloy's own form of an ECID half.
_HALF_MASK = (1 << 63) - 1


class Identity(Struct, frozen=True):
    """A namespace (`ECID`, `CRMID`, …) and an id in it."""

    namespace: str
    id: str

    @property
    def profile_key(self) -> str:
        """The key under which the profile of this identity is stored."""
        return f"{self.namespace}:{self.id}"


class Device(Struct, frozen=True):
    """A browser as its cookies prove it, or as it was just named.

    suffix: empty for an ECID that we made. Where a caller merely named an ECID, 16 hex digits
    made at random: such a device has a profile of its own, never that of the ECID's owner.
    new: no cookie proved it on this request, so its profile cannot exist yet.
    """

    ecid: str
    suffix: str = ""
    new: bool = False

    @property
    def profile_key(self) -> str:
        return f"ECID:{self.ecid}~{self.suffix}" if self.suffix else f"ECID:{self.ecid}"


def ecid_from(entropy: bytes) -> str:
    """An ECID from 16 random bytes: two 63-bit integers of 19 digits each (protocol.md, 6)."""
    assert len(entropy) == 16, "an ECID takes 16 random bytes"
    high = int.from_bytes(entropy[:8], "big") & _HALF_MASK
    low = int.from_bytes(entropy[8:], "big") & _HALF_MASK
    return f"{high:019d}{low:019d}"


def is_ecid(text: str) -> bool:
    """38 ASCII digits."""
    return ECID_PATTERN.fullmatch(text) is not None
