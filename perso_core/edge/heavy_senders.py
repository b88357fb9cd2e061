"""Visitors who send more than a person does: known again by their cookies, and held to a few calls
that wait. For one event loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from cachetools import LRUCache

from perso_core.edge.abuse import SECOND_MS, VISITOR, too_often
from perso_core.edge.at_sight import Shown, shown_by, told_by_header
from perso_core.edge.call import Call

# So many of one visitor's calls may wait for their turn: a browser has six on their way to a host,
# or a few dozen on one connection.
MOST_WAITING = 32
# So many visitors are known again, by cookies that are no longer than that.
KEPT_SENDERS = 1_000
MAX_SHOWN_CHARS = 1_024


class HeavySenders:
    __slots__ = ("_keys", "_waiting")

    def __init__(self) -> None:
        # By datastream and cookies: the profile.
        self._keys: LRUCache[tuple[str, Shown], str] = LRUCache(KEPT_SENDERS)
        self._waiting: Counter[str] = Counter()  # by profile

    def __len__(self) -> int:
        """Visitors who are known again, or have a call that waits."""
        return len(self._keys) + len(self._waiting)

    def remember(self, call: Call, profile_key: str) -> None:
        """The call was this visitor's."""
        if told_by_header(call):
            shown = shown_by(call)
            if sum(len(value) for _, value in shown) <= MAX_SHOWN_CHARS:
                self._keys[call.datastream.id, shown] = profile_key

    def key_of(self, call: Call) -> str | None:
        """The profile of the call's visitor, where it is one of them; None: nobody knows yet."""
        if not self._keys or not told_by_header(call):
            return None
        key: str | None = self._keys.get((call.datastream.id, shown_by(call)))
        return key

    def refuse_more(self, profile_key: str) -> None:
        """Raises TooManyRequests where as many of this visitor's calls wait as may."""
        if self._waiting[profile_key] >= MOST_WAITING:
            raise too_often(VISITOR, SECOND_MS)

    @contextmanager
    def waiting(self, profile_key: str) -> Iterator[None]:
        """While one of this visitor's calls waits."""
        self._waiting[profile_key] += 1
        try:
            yield
        finally:
            self._waiting[profile_key] -= 1
            if not self._waiting[profile_key]:
                del self._waiting[profile_key]
