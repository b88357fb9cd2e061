"""Visitors who send more than a person does: known again by their cookies, and held to a few events
that wait. For one event loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from cachetools import LRUCache

from perso_core.edge.abuse import SECOND_MS, VISITOR, too_often
from perso_core.edge.at_sight import Shown, shown_by
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.problem import TooManyRequests

# So many of one visitor's events may wait for their turn: a browser has six calls on their way to a
# host, or a few dozen on one connection, with an event each. Of more in one call it may wait alone.
MOST_WAITING = 32
# So many of them are known again.
KEPT_SENDERS = 1_000


class HeavySenders:
    __slots__ = ("_keys", "_waiting")

    def __init__(self) -> None:
        # By the cookies that prove the device (600 bytes, in a body 5,000 at most): the profile.
        self._keys: LRUCache[Shown, str] = LRUCache(KEPT_SENDERS)
        self._waiting: Counter[str] = Counter()  # by profile

    def __len__(self) -> int:
        """Visitors who are known again, and visitors of whom a call waits."""
        return len(self._keys) + len(self._waiting)

    def remember(self, call: Call, caller: Caller) -> None:
        """Whose call it was, where its cookies prove them."""
        if caller.proof is not None and (shown := shown_by(call)) is not None:
            self._keys[shown] = caller.profile_key

    def key_of(self, call: Call) -> str | None:
        """The profile of the call's visitor, where it is one of them; None: nobody knows yet."""
        shown = shown_by(call) if self._keys else None
        key: str | None = self._keys.get(shown) if shown is not None else None
        return key

    def refused(self, profile_key: str, events: int) -> TooManyRequests | None:
        """What to tell this visitor, who sends so many events, where as many of theirs wait as may;
        None: they may wait as well."""
        waiting = self._waiting.get(profile_key)
        if not waiting or waiting + events <= MOST_WAITING:
            return None
        return too_often(VISITOR, SECOND_MS)

    @contextmanager
    def waiting(self, profile_key: str, events: int) -> Iterator[None]:
        """While so many of this visitor's events wait."""
        self._waiting[profile_key] += events
        try:
            yield
        finally:
            self._waiting[profile_key] -= events
            if not self._waiting[profile_key]:
                del self._waiting[profile_key]
