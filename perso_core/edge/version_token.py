"""The version token: what a browser has been told of its profile, by whichever process. Pure.

Whoever presents it gets no older answer (DESIGN.md, P2 and P3). A cookie of the SDK's carries it:
kid (1 byte), version (8), when consent was last said (6, ms), MAC (12).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping

from perso_core.edge.cookies import CookieKeys, cookie_names
from perso_core.engine.engine import NOTHING_SEEN, Seen
from perso_core.visitor import SetCookie

# Other processes hear of a change within a fraction of a second; the rest is for stalled ones.
MAX_AGE_S = 1_800
# More values than a browser sends are not looked at.
MAX_VALUES = 4
_PURPOSE = b"perso version 1"
_MAC_BYTES = 12
_BYTES = 1 + 8 + 6 + _MAC_BYTES
_MAX_VERSION = (1 << 63) - 1


def token_cookie(profile_key: str, seen: Seen, *, org: str, keys: CookieKeys) -> SetCookie:
    """The token for a profile as far as it is committed."""
    head = b"".join(
        (
            bytes((keys.current,)),
            min(seen.version, _MAX_VERSION).to_bytes(8, "big"),
            seen.consent_ms.to_bytes(6, "big"),
        )
    )
    written = head + _mac(keys.keys[keys.current], head, org, profile_key)
    return SetCookie(
        cookie_names(org).version, base64.urlsafe_b64encode(written).decode(), MAX_AGE_S
    )


def token_cookies(
    profile_key: str, before: Seen, now: Seen, *, org: str, keys: CookieKeys
) -> tuple[SetCookie, ...]:
    """The token to be set, where the browser's says something else. before: what it says."""
    return () if now == before else (token_cookie(profile_key, now, org=org, keys=keys),)


def seen_in(
    received: Mapping[str, tuple[str, ...]], profile_key: str, *, org: str, keys: CookieKeys
) -> Seen:
    """What the received cookies say has been seen of this profile; of several, the newest.
    A token of another profile, or with a wrong MAC, says nothing."""
    found = NOTHING_SEEN
    for value in received.get(cookie_names(org).version, ())[:MAX_VALUES]:
        seen = _seen(value, profile_key, org, keys)
        if seen is not None and seen.beyond(found):
            found = seen
    return found


def _seen(value: str, profile_key: str, org: str, keys: CookieKeys) -> Seen | None:
    try:
        written = base64.b64decode(value, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(written) != _BYTES:
        return None
    head, tag = written[:-_MAC_BYTES], written[-_MAC_BYTES:]
    key = keys.keys.get(head[0])
    if key is None or not hmac.compare_digest(tag, _mac(key, head, org, profile_key)):
        return None
    return Seen(int.from_bytes(head[1:9], "big"), int.from_bytes(head[9:], "big"))


def _mac(key: bytes, head: bytes, org: str, profile_key: str) -> bytes:
    parts = (_PURPOSE, head, org.encode(), profile_key.encode())
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(key, message, "sha256")[:_MAC_BYTES]
