"""Visitors who send more than a person does: known again by their calls' head, and held to a few
calls that wait. For one event loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from cachetools import LRUCache

from perso_core.edge.abuse import SECOND_MS, VISITOR, too_often
from perso_core.edge.at_sight import told_by_header
from perso_core.edge.call import Call

# So many of one visitor's calls may wait for their turn: a browser has six on their way to a host,
# or a few dozen on one connection.
MOST_WAITING = 32
# Headers of so many are remembered, none that is longer.
KEPT_HEADERS = 1_000
MAX_HEADER_CHARS = 2_048


class HeavySenders:
    __slots__ = ("_keys", "_waiting")

    def __init__(self) -> None:
        # By datastream and Cookie header: the profile, whoever sent it before.
        self._keys: LRUCache[tuple[str, str], str] = LRUCache(KEPT_HEADERS)
        self._waiting: Counter[str] = Counter()  # by profile

    def remember(self, call: Call, profile_key: str) -> None:
        """The call was this visitor's."""
        if len(call.cookie_header) <= MAX_HEADER_CHARS and told_by_header(call):
            self._keys[call.datastream.id, call.cookie_header] = profile_key

    def key_of(self, call: Call) -> str | None:
        """The profile of the call's visitor, where it is one of them; None: nobody knows yet."""
        key: str | None = self._keys.get((call.datastream.id, call.cookie_header))
        return key if key is not None and told_by_header(call) else None

    @contextmanager
    def waiting(self, profile_key: str) -> Iterator[None]:
        """While one of this visitor's calls waits. Raises TooManyRequests where as many wait as
        may."""
        if self._waiting[profile_key] >= MOST_WAITING:
            raise too_often(VISITOR, SECOND_MS)
        self._waiting[profile_key] += 1
        try:
            yield
        finally:
            self._waiting[profile_key] -= 1
            if not self._waiting[profile_key]:
                del self._waiting[profile_key]
