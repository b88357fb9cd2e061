"""The id of a request that has none, or one that cannot be told back. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from hashlib import blake2b


def made_request_id(entropy: Callable[[int], bytes]) -> str:
    return str(uuid.UUID(bytes=entropy(16), version=4))


def hashed_request_id(stated: str) -> str:
    """The same for the same text, so that what is sent again under it counts once."""
    digest = blake2b(stated.encode(errors="backslashreplace"), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))
