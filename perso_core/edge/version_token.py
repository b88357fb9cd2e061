"""The version token: what a browser has been told of its profile, by whichever process. Pure.

Whoever presents it gets no older answer (DESIGN.md, P2 and P3). A cookie of the SDK's carries it,
or two of them. Each is, in base64url: kid (1 byte), version (8), the instant at which consent was
last said (6, epoch ms), the epoch of the store that has that version (6), MAC (15: keyed BLAKE2b,
RFC 7693: 0.5 µs, where the cookies' HMAC takes 1.5 and, beside other code, 4 to 7).

One of another epoch, or of before tokens had one, is compared with nothing: it has the store asked
once, and is replaced by one of this epoch.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

from perso_core.edge.cookies import CookieKeys, cookie_names
from perso_core.engine.engine import NOTHING_SEEN, Seen
from perso_core.visitor import SetCookie

# Other processes hear of a change within a fraction of a second; the rest is for stalled ones.
MAX_AGE_S = 1_800
# More values than a browser sends are not looked at.
MAX_VALUES = 4
_PURPOSE = b"perso version 3"
_MAC_BYTES = 15
_BYTES = 1 + 8 + 6 + 6 + _MAC_BYTES
# Those of an earlier Perso, with another MAC; the first ones had no epoch. A browser that calls at
# least each MAX_AGE_S keeps the one of a device beside a person's until the device's own profile
# goes on; others have forgotten theirs that long after the last process that sets them has ended.
_EARLIER_MAC_BYTES = 12
_EARLIER = {
    1 + 8 + 6 + 6 + _EARLIER_MAC_BYTES: b"perso version 2",
    1 + 8 + 6 + _EARLIER_MAC_BYTES: b"perso version 1",
}
_CHARS = tuple(size // 3 * 4 for size in (_BYTES, *_EARLIER))
# So many tokens in one cookie: of the device and of the person. A dot is in none of them.
KEPT = 2
KEPT_READ = 256
_APART = "."
_MAX_VERSION = (1 << 63) - 1


def presented(received: Mapping[str, tuple[str, ...]], org: str) -> tuple[str, ...]:
    """The tokens that a browser sent, of whichever profiles; not checked yet."""
    values = received.get(cookie_names(org).version)
    if values is None:
        return ()
    return tuple(token for value in values[:MAX_VALUES] for token in value.split(_APART)[:KEPT])


def seen_in(tokens: Sequence[str], profile_key: str, *, org: str, keys: CookieKeys) -> Seen:
    """What the tokens say has been seen of this profile, all of them together. One of another
    profile, or with a wrong MAC, says nothing."""
    found = NOTHING_SEEN
    for token in tokens:
        seen = _seen(token, profile_key, org, keys) if len(token) in _CHARS else None
        if seen is not None:
            found = found.joined(seen)
    return found


def of_another(
    tokens: Sequence[str], profile_keys: Sequence[str], *, org: str, keys: CookieKeys
) -> bool:
    """Whether some token is of none of these profiles."""
    return any(
        len(one) in _CHARS and all(_seen(one, key, org, keys) is None for key in profile_keys)
        for one in tokens
    )


def token_cookies(
    tokens: Sequence[str],
    profile_key: str,
    now: Seen,
    *,
    org: str,
    keys: CookieKeys,
    beside: str | None = None,
) -> tuple[SetCookie, ...]:
    """The cookie to be set once a profile is committed so far, beside the token of another profile
    that the browser has: a device and the person who holds it. (): it says so already. tokens:
    those that the browser sent. beside: the key of the other one; None: whose it was last."""
    held, others = NOTHING_SEEN, list[str]()
    for one in tokens:
        if len(one) not in _CHARS:
            continue
        seen = _seen(one, profile_key, org, keys)
        if seen is not None:
            held = held.joined(seen)
        else:
            others.append(one)
    if held == now or (held is NOTHING_SEEN and not (now.version or now.consent_ms)):
        return ()
    if beside is not None:
        others = [one for one in others if _seen(one, beside, org, keys) is not None]
    value = _APART.join((_token(profile_key, now, org, keys), *others[-1:]))
    return (SetCookie(cookie_names(org).version, value, MAX_AGE_S),)


def tokens_to_hold(
    sent: Sequence[str],
    profile_key: str,
    seen: Callable[[str], Seen],
    *,
    org: str,
    keys: CookieKeys,
    beside: str | None = None,
) -> tuple[SetCookie, ...]:
    """The version token that a browser is to hold from now on, where it says something else. Call
    once what was decided is on disk. sent: the tokens that it holds. seen: how far a profile is
    committed here. beside: the key of the device's own profile, where the call is about another."""
    told: tuple[SetCookie, ...] = ()
    if beside is not None:
        of_device = seen(beside)
        # What it did may have become the person's: no process may answer by what was before.
        if of_device is not NOTHING_SEEN and of_device.beyond(
            seen_in(sent, beside, org=org, keys=keys)
        ):
            told = token_cookies(sent, beside, of_device, org=org, keys=keys)
            sent = told[-1].value.split(_APART) if told else sent
    now = seen(profile_key)
    if now is NOTHING_SEEN:  # it is in memory no more: what the browser holds stands
        return told
    return token_cookies(sent, profile_key, now, org=org, keys=keys, beside=beside) or told


def _token(profile_key: str, seen: Seen, org: str, keys: CookieKeys) -> str:
    head = b"".join(
        (
            keys.current.to_bytes(1),
            min(seen.version, _MAX_VERSION).to_bytes(8),
            seen.consent_ms.to_bytes(6),
            seen.epoch.to_bytes(6),
        )
    )
    written = head + _mac(keys.keys[keys.current], head, org, profile_key)
    return base64.urlsafe_b64encode(written).decode()


# One request asks for the same token three times. value: as long as one is, or it would be kept.
@lru_cache(maxsize=KEPT_READ)
def _seen(value: str, profile_key: str, org: str, keys: CookieKeys) -> Seen | None:
    try:
        as_base64 = value.replace("-", "+").replace("_", "/")
        written = binascii.a2b_base64(as_base64, strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    size = len(written)
    if size != _BYTES and size not in _EARLIER:
        return None
    head = written[: -(_MAC_BYTES if size == _BYTES else _EARLIER_MAC_BYTES)]
    key = keys.keys.get(head[0])
    if key is None:
        return None
    tag = (
        _mac(key, head, org, profile_key)
        if size == _BYTES
        else _earlier_mac(key, _EARLIER[size], head, org, profile_key)
    )
    if not hmac.compare_digest(written[len(head) :], tag):
        return None
    # Of the earliest ones nothing is left for the epoch: 0.
    return Seen(int.from_bytes(head[1:9]), int.from_bytes(head[9:15]), int.from_bytes(head[15:]))


def _mac(key: bytes, head: bytes, org: str, profile_key: str) -> bytes:
    """head: always as long."""
    named = org.encode()
    message = b"".join((head, len(named).to_bytes(4), named, profile_key.encode()))
    key = key[: blake2b.MAX_KEY_SIZE]  # 64 bytes; ours have 32
    return blake2b(message, key=key, person=_PURPOSE, digest_size=_MAC_BYTES).digest()


def _earlier_mac(key: bytes, purpose: bytes, head: bytes, org: str, profile_key: str) -> bytes:
    parts = (purpose, head, org.encode(), profile_key.encode())
    message = b"".join([len(part).to_bytes(4) + part for part in parts])
    return hmac.digest(key, message, "sha256")[:_EARLIER_MAC_BYTES]
