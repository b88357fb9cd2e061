"""An API key of ours: a server's secret, of which only the hash is kept."""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct, structs

from perso_core.definitions.permission import OF_A_SERVER, Permission

KEY_ID_HEX = 12
SECRET_BYTES = 32
# `perso_<key id>_<secret>`: what a person pastes, and a scanner for leaked secrets finds.
WRITTEN = re.compile(r"perso_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
# A caller that changes its secret needs the old one for a while, and never a third.
MAX_LIVE_SECRETS = 2


class KeySecret(Struct, frozen=True):
    """sha256: of the whole key as written, in hex. until_ms: from then on it is refused; epoch
    milliseconds."""

    sha256: str
    until_ms: int


class ApiKey(Struct, frozen=True, kw_only=True):
    """One key. id: the part of it that is no secret. datastreams: ids of those that it may call.

    secrets: the newest first; two while it is being rotated.
    """

    id: str
    name: str
    datastreams: tuple[str, ...]
    created_ms: int
    secrets: tuple[KeySecret, ...]
    may: tuple[Permission, ...] = OF_A_SERVER

    def live(self, now_ms: int) -> tuple[KeySecret, ...]:
        """The secrets that are taken now."""
        return tuple(one for one in self.secrets if now_ms < one.until_ms)


def digest(written: str) -> str:
    """What is kept of a key. Its 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(written.encode()).hexdigest()


def rotated(key: ApiKey, fresh: KeySecret, *, now_ms: int, old_until_ms: int) -> ApiKey | None:
    """The key with a new secret; the one before it is taken until old_until_ms, or its own end if
    that is earlier. None: two are live already."""
    live = key.live(now_ms)
    if len(live) >= MAX_LIVE_SECRETS:
        return None
    old = tuple(KeySecret(one.sha256, min(one.until_ms, old_until_ms)) for one in live)
    return structs.replace(key, secrets=(fresh, *old))
