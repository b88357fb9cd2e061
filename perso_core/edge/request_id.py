"""The id of a request that has none. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Callable


def made_request_id(entropy: Callable[[int], bytes]) -> str:
    return str(uuid.UUID(bytes=entropy(16), version=4))
