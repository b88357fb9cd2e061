"""The cookies by which a browser shows who it is, and the proof in them.

The identity cookie is readable by the SDK and proves nothing. The cookie beside it (`_rs`) carries
a MAC over it; only the two together select a profile (DESIGN.md, Identity). Pure: what time it is
comes as an argument.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from perso_core.decision.identity import Device, is_ecid
from perso_core.edge.wire import StateEntry
from perso_core.visitor import SetCookie

# Lifetimes as Adobe's edge sets them (protocol.md, 6).
IDENTITY_MAX_AGE_S = 34_128_000  # 395 days
CONSENT_MAX_AGE_S = 15_552_000  # 180 days
CLUSTER_MAX_AGE_S = 1_800

# What the names of all of them begin with (protocol.md, 6).
PREFIX = "kndctr_"

# The identity is written again at most this often, so that a visitor who returns never loses it.
REISSUE_AFTER_MS = 24 * 60 * 60 * 1000

# Where an ECID comes from, as the identity cookie says it.
SOURCE_RANDOM = 0
SOURCE_FIRST_PARTY_ID = 2
SOURCE_RECEIVED_IN_REQUEST = 3

# One name with more values than this is an attack or a broken client: none of them is believed.
MAX_VALUES = 4

# Proofs kept in memory, about 700 bytes each.
KEPT_PROOFS = 10_000

MIN_KEY_BYTES = 32
_MAX_IDENTITY_CHARS = 200  # ours are 80 to 84
_MAC_BYTES = 16
_OWN = bytes(8)  # the suffix of a device whose ECID we made
_MAC_PURPOSE = b"perso device proof 1"


class CookieKeys(Struct, frozen=True, eq=False):
    """keys: key id (0..255) -> at least 32 random bytes. current: the id of the key that signs;
    all are believed. The edge's cookies live 395 days: so long a replaced key stays here.
    naming: makes ECIDs of FPIDs (fpid.py), and is never replaced; none: the key of the lowest id.
    What is kept by keys is kept by these very ones: others are others, whatever is in them.
    """

    current: int
    keys: Mapping[int, bytes]
    naming: bytes = b""

    def __post_init__(self) -> None:
        assert self.current in self.keys, "the signing key is among the keys"
        assert all(0 <= kid <= 255 for kid in self.keys), "a key id is one byte"
        assert all(len(key) >= MIN_KEY_BYTES for key in self.keys.values()), "keys take 32 bytes"

    @property
    def naming_key(self) -> bytes:
        return self.naming or self.keys[min(self.keys)]

    def __repr__(self) -> str:  # a traceback or a log must not show the keys
        return f"CookieKeys(current={self.current}, ids={sorted(self.keys)})"


class StoredIdentity(Struct, frozen=True, kw_only=True):
    """What the identity cookie says. Epoch milliseconds; source as in the constants above."""

    ecid: str
    created_ms: int
    source: int
    written_ms: int


class Proof(Struct, frozen=True, kw_only=True):
    """A device that its two cookies prove. key: of its profile. written_ms: when they were last
    written; kid: by which key; created_ms and source: what a re-issued identity cookie goes on
    saying.
    """

    device: Device
    key: str
    written_ms: int
    created_ms: int
    source: int
    kid: int


# ---- names and values --------------------------------------------------------


class CookieNames(Struct, frozen=True):
    """The names under which the SDK keeps and returns the cookies of one organisation."""

    identity: str
    mac: str
    consent: str
    cluster: str
    version: str


@lru_cache(maxsize=64)
def cookie_names(org: str) -> CookieNames:
    """alloy replaces the first `@` alone (protocol.md, 6)."""
    prefix = f"{PREFIX}{org.replace('@', '_', 1)}_"
    return CookieNames(
        identity=f"{prefix}identity",
        mac=f"{prefix}rs",
        consent=f"{prefix}consent",
        cluster=f"{prefix}cluster",
        version=f"{prefix}v",
    )


def received(
    cookie_header: str, entries: Iterable[StateEntry] = ()
) -> Mapping[str, tuple[str, ...]]:
    """All values of each cookie name, in order.

    cookie_header: the Cookie header, "" when absent. entries: those of the body
    (`meta.state.entries`). A name in the header hides the body's: a page's script writes the
    body, so it must not choose between two cookies that the browser holds.
    """
    values: dict[str, tuple[str, ...]] = {}
    # A tuple for each further one took 3 s of 60,000, and a request may have six times as many.
    further: dict[str, list[str]] = {}
    for name, value in cookie_pairs(cookie_header) if cookie_header else ():
        if name in values:
            further.setdefault(name, []).append(value)
        else:
            values[name] = (value,)
    in_header = frozenset(values)
    for entry in entries:
        name = entry.key
        if name in in_header:
            continue
        if name in values:
            further.setdefault(name, []).append(entry.value)
        else:
            values[name] = (entry.value,)
    for name, more in further.items():
        values[name] += tuple(more)
    return values


def cookie_pairs(cookie_header: str) -> list[tuple[str, str]]:
    """(name, value) of each cookie, in order."""
    pairs = []
    for part in cookie_header.split(";"):
        name, separator, value = part.strip(" \t").partition("=")
        if separator:
            # Some frameworks quote a value that holds "="; the browser sends the quotes back.
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            pairs.append((name, value[1:-1] if quoted else value))
    return pairs


# ---- proof -------------------------------------------------------------------


def proven_device(
    received: Mapping[str, tuple[str, ...]], *, org: str, keys: CookieKeys
) -> Proof | None:
    """The device that the received cookies prove.

    None: no identity with a valid MAC, or valid ones of two different devices, since nothing
    says which is the visitor's. Never raises for what a caller sends.
    """
    names = cookie_names(org)
    identities = received.get(names.identity, ())
    macs = received.get(names.mac, ())
    if len(identities) == len(macs) == 1:  # as browsers send them
        short = _are_short(identities[0], macs[0])
        return _proof(identities[0], macs[0], org, keys) if short else None
    if max(len(identities), len(macs)) > MAX_VALUES:
        return None
    proofs = [
        proof
        for identity in identities
        for mac in macs
        if _are_short(identity, mac)
        if (proof := _proof(identity, mac, org, keys))
    ]
    if len({proof.device for proof in proofs}) != 1:
        return None
    return max(proofs, key=lambda proof: proof.written_ms)


def due_for_reissue(proof: Proof, *, keys: CookieKeys, now_ms: int) -> bool:
    """Whether the cookies are to be written again: a day old, or signed by a key on its way out."""
    return proof.kid != keys.current or now_ms - proof.written_ms >= REISSUE_AFTER_MS


def _are_short(identity: str, mac: str) -> bool:
    """Longer ones prove nothing, and are not kept: of 60 KB each, KEPT_PROOFS would be 600 MB."""
    return len(identity) <= _MAX_IDENTITY_CHARS and len(mac) <= _MAX_IDENTITY_CHARS


# A visitor's cookies stay the same for a day, and the same texts and keys always give the same
# answer: 3 µs a request instead of 28.
@lru_cache(maxsize=KEPT_PROOFS)
def _proof(identity: str, mac: str, org: str, keys: CookieKeys) -> Proof | None:
    identity_bytes = _bytes_of(identity)
    stored = stored_identity(identity_bytes)
    signed = _bytes_of(mac, padded=False)
    if stored is None or len(signed) != 15 + _MAC_BYTES:
        return None
    head, tag = signed[:15], signed[15:]
    kid = head[0]
    key = keys.keys.get(kid)
    if key is None or not hmac.compare_digest(tag, _mac(key, head, org, identity_bytes)):
        return None
    suffix = head[7:]
    device = Device(stored.ecid, "" if suffix == _OWN else suffix.hex())
    return Proof(
        device=device,
        key=device.profile_key,
        written_ms=stored.written_ms,
        created_ms=stored.created_ms,
        source=stored.source,
        kid=kid,
    )


def _mac(key: bytes, head: bytes, org: str, identity: bytes) -> bytes:
    """head: kid (1 byte), issued at (6, ms), device suffix (8). Each part has a fixed length or
    its length before it, so no two sets of parts give the same message.
    """
    org_bytes = org.encode()
    message = b"".join(
        (
            _MAC_PURPOSE,
            head,
            len(org_bytes).to_bytes(4, "big"),
            org_bytes,
            len(identity).to_bytes(4, "big"),
            identity,
        )
    )
    return hmac.digest(key, message, "sha256")[:_MAC_BYTES]


# ---- cookies to set ----------------------------------------------------------


def identity_cookies(
    device: Device, *, org: str, keys: CookieKeys, now_ms: int, source: int, created_ms: int
) -> tuple[SetCookie, SetCookie]:
    """The identity cookie and the MAC cookie that proves it, to be set together."""
    identity = identity_bytes(
        StoredIdentity(ecid=device.ecid, created_ms=created_ms, source=source, written_ms=now_ms)
    )
    suffix = bytes.fromhex(device.suffix) if device.suffix else _OWN
    assert len(suffix) == len(_OWN), "a device suffix is 16 hex digits"
    head = bytes((keys.current,)) + now_ms.to_bytes(6, "big") + suffix
    mac = head + _mac(keys.keys[keys.current], head, org, identity)
    names = cookie_names(org)
    return (
        SetCookie(names.identity, _text_of(identity), IDENTITY_MAX_AGE_S),
        SetCookie(names.mac, _text_of(mac).rstrip("="), IDENTITY_MAX_AGE_S),
    )


def reissued(
    proof: Proof, *, org: str, keys: CookieKeys, now_ms: int
) -> tuple[SetCookie, SetCookie]:
    """The cookies of a proven device, written anew."""
    return identity_cookies(
        proof.device,
        org=org,
        keys=keys,
        now_ms=now_ms,
        source=proof.source,
        created_ms=proof.created_ms,
    )


def consent_cookie(org: str, general: Literal["in", "out", "pending"]) -> SetCookie:
    """What the SDK reads to know whether it may send."""
    return SetCookie(cookie_names(org).consent, f"general={general}", CONSENT_MAX_AGE_S)


@lru_cache(maxsize=64)
def cluster_cookie(org: str, hint: str) -> SetCookie:
    """The path segment that the SDK puts before /v1 in its next requests."""
    return SetCookie(cookie_names(org).cluster, hint, CLUSTER_MAX_AGE_S)


# ---- the identity cookie's bytes ---------------------------------------------
# proto3 (protocol.md, 6): 1 ecid, 10 metadata {1 created_at, 6 source}, 30 write_time.

_ECID_TAG = b"\x0a\x26"  # field 1, 38 bytes long
_CREATED_TAG = b"\x08"
_SOURCE_TAG = b"\x30"
_METADATA_TAG = b"\x52"
_WRITTEN_TAG = b"\xf0\x01"
_METADATA_AT = len(_ECID_TAG) + 38


def identity_bytes(identity: StoredIdentity) -> bytes:
    """The one encoding that we write, and the only one that we read."""
    metadata = _CREATED_TAG + _varint(identity.created_ms)
    if identity.source:
        metadata += _SOURCE_TAG + _varint(identity.source)
    return b"".join(
        (
            _ECID_TAG,
            identity.ecid.encode("ascii"),
            _METADATA_TAG,
            _varint(len(metadata)),
            metadata,
            _WRITTEN_TAG,
            _varint(identity.written_ms),
        )
    )


def stored_identity(encoded: bytes) -> StoredIdentity | None:
    """What identity_bytes encoded; None for anything else, such as another spelling of it."""
    ecid = encoded[2:_METADATA_AT].decode("latin-1")
    if not is_ecid(ecid):
        return None
    try:
        created_ms, at = _varint_at(encoded, _METADATA_AT + 3)
        source, at = _varint_at(encoded, at + 1) if encoded[at] == _SOURCE_TAG[0] else (0, at)
        written_ms, _ = _varint_at(encoded, at + 2)
    except IndexError:  # cut short
        return None
    identity = StoredIdentity(
        ecid=ecid, created_ms=created_ms, source=source, written_ms=written_ms
    )
    return identity if identity_bytes(identity) == encoded else None


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _varint_at(encoded: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where the next field begins. Raises IndexError."""
    number = shift = 0
    while encoded[at] & 0x80:
        number |= (encoded[at] & 0x7F) << shift
        shift += 7
        at += 1
    return number | encoded[at] << shift, at + 1


def _text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii")


def _bytes_of(text: str, *, padded: bool = True) -> bytes:
    """The bytes of canonical url-safe base64; none for any other text, however it might be read."""
    if not text.isascii() or (not padded and "=" in text):
        return b""
    whole = text if padded else text + "=" * (-len(text) % 4)
    try:
        raw = base64.urlsafe_b64decode(whole)
    except binascii.Error:
        return b""
    # Python reads past foreign characters and stray padding bits: only the way back is strict.
    return raw if _text_of(raw) == whole else b""
