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


def server_key(identity: Identity, *, org: str, datastream_id: str) -> str:
    """The key under which an identity that an authenticated server names has its profile.

    Of one datastream of one organisation: another one's server, which can name any id, has
    profiles of its own. Neither org, datastream nor namespace can hold a space, and a device's key
    has none before its colon: no two kinds of key are ever the same.
    """
    assert " " not in org + datastream_id + identity.namespace, "the parts of a key stay apart"
    return f"{org} {datastream_id} {identity.profile_key}"


def identity_of(profile_key: str) -> Identity:
    """The identity whose profile has this key, of either kind; of a device its ECID."""
    head, _, rest = profile_key.partition(":")
    if " " not in head:
        # Only a device's key carries a suffix.
        return Identity(head, rest.partition("~")[0] if head == "ECID" else rest)
    # A datastream's id may hold colons.
    namespace, _, named = profile_key.split(" ", 2)[2].partition(":")
    return Identity(namespace, named)


def datastream_of(profile_key: str, *, org: str) -> str | None:
    """The datastream whose servers alone name this profile; None: a device's, the operator's, or
    another organisation's. So of a key that is none, as of a damaged row."""
    head, _, _ = profile_key.partition(":")
    parts = profile_key.split(" ", 2) if " " in head else []
    return parts[1] if len(parts) == 3 and parts[0] == org else None


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


def device_of(profile_key: str) -> Device:
    """The device whose profile has this key."""
    ecid, _, suffix = profile_key.removeprefix("ECID:").partition("~")
    return Device(ecid, suffix)


def device_named_by(profile_key: str) -> str | None:
    """The key of the device that a datastream's server names and that is not known there, where the
    profile is of such a one; None: it is of somebody else."""
    named = identity_of(profile_key)
    if named.namespace != "ECID" or profile_key.startswith("ECID:"):
        return None
    return Device(named.id).profile_key


def ecid_from(entropy: bytes) -> str:
    """An ECID from 16 random bytes: two 63-bit integers of 19 digits each (protocol.md, 6)."""
    assert len(entropy) == 16, "an ECID takes 16 random bytes"
    high = int.from_bytes(entropy[:8], "big") & _HALF_MASK
    low = int.from_bytes(entropy[8:], "big") & _HALF_MASK
    return f"{high:019d}{low:019d}"


def named_suffix(raw: bytes) -> str:
    """The suffix of a device whose ECID is not ours, from 8 bytes. Never that of all zeros: it
    would mean an ECID that we made, and so select its owner's profile."""
    assert len(raw) == 8, "a suffix is 16 hex digits"
    return raw.hex() if any(raw) else "1".rjust(16, "0")


def is_ecid(text: str) -> bool:
    """38 ASCII digits."""
    return ECID_PATTERN.fullmatch(text) is not None
