"""The profiles kept in memory, bounded: those in use as they are decided on, the others parked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from cachetools import FIFOCache
from msgspec import structs

from perso_core.engine.hits import Hot as Hot
from perso_core.engine.hits import Kept as Kept
from perso_core.engine.parking import Parked, Parking
from perso_core.engine.state import MOST_PUT_BY
from perso_core.engine.state import Appended as Appended
from perso_core.engine.state import State as State

# So many profiles are looked at for each one that comes: at most so many are parked at once.
LOOKS = 4


class HotProfiles:
    """At most `most` profiles, of which about `unparked` are as they are decided on; the others,
    which nobody asked for the longest, lie parked until somebody does; of those who came once the
    store has all, and they go. parking: under the rules in
    force. Never parks nor evicts one with uncommitted entries: those are fewer than the bound, as
    the journal is (Engine checks it). A read only marks `used`, which spares the profile once:
    reordering on every read would cost more than the read.
    """

    def __init__(self, most: int, unparked: int, parking: Parking) -> None:
        self.parking = parking
        self._most = most
        self._unparked = unparked
        # Those that are not parked. A plain dict beside the ordered one: it is read faster.
        self.by_key: dict[str, Hot] = {}
        # Whoever has not been looked at for the longest is first.
        self._order: OrderedDict[str, Hot] = OrderedDict()
        # Whoever was parked, or heard of, the longest ago goes first.
        self._parked: FIFOCache[str, Parked] = FIFOCache(most)

    def __len__(self) -> int:
        return len(self.by_key) + len(self._parked)

    def __contains__(self, key: str) -> bool:
        """For any thread: one that is woken or parked meanwhile is here all the time."""
        return key in self.by_key or key in self._parked or key in self.by_key

    def keys(self) -> frozenset[str]:
        return frozenset((*self.by_key, *self._parked))

    def among(self, keys: Iterable[str]) -> frozenset[str]:
        """Those of them that are here."""
        return frozenset(key for key in keys if key in self)

    def add(self, key: str, state: State) -> Hot:
        """Of a profile that is not here yet. Others are parked for it, or go."""
        while len(self) >= self._most:
            self._evict()
        return self._ready(Hot(key, state))

    def woken(self, key: str) -> Hot | None:
        """The parked profile of this key, parked no more; None: there is none."""
        parked = self._parked.get(key)
        if parked is None:
            return None
        hot = Hot(key, self.parking.woken(key, parked))
        hot.appended = parked.appended
        # In between it is in both: whoever looks from another thread finds it.
        self._ready(hot)
        del self._parked[key]
        return hot

    def put_by(self, key: str, news: Appended) -> bool:
        """Whether the profile is parked, and stays so with what others added to it."""
        parked = self._parked.get(key)
        if parked is None:
            return False
        appended = news if parked.appended is None else parked.appended.then(news)
        if len(appended.events) > MOST_PUT_BY:
            return False
        self._parked[key] = structs.replace(parked, appended=appended)
        return True

    def drop(self, key: str) -> None:
        del self.by_key[key], self._order[key]

    def forget(self, key: str) -> bool:
        """Whether it is not here any more: it stays where something waits for its commit."""
        self._parked.pop(key, None)
        hot = self.by_key.get(key)
        if hot is not None and not hot.pending:
            self.drop(key)
        return key not in self.by_key

    def drop_all(self) -> frozenset[str]:
        """But for those of which something waits for its commit: their keys."""
        self._parked.clear()
        for key in [key for key, hot in self.by_key.items() if not hot.pending]:
            self.drop(key)
        return frozenset(self.by_key)

    def _ready(self, hot: Hot) -> Hot:
        self.by_key[hot.key] = self._order[hot.key] = hot
        self._park()
        return hot

    def _park(self) -> None:
        """Looks at those that were not looked at for the longest, never at the last one."""
        for _ in range(min(LOOKS, len(self.by_key) - 1)):
            if len(self.by_key) <= self._unparked:
                return
            key, hot = next(iter(self._order.items()))
            if hot.pending or hot.used:
                hot.used = False
                self._order.move_to_end(key)
                continue
            # Most who came once do not come back. To park one takes a quarter of what the visit
            # took, and a place of somebody who does.
            came_once = hot.committed.first_visit_ms > 0
            parked = None if came_once else self.parking.parked(hot.committed, hot.appended)
            # Where it has values that no packing takes, too, its next request loads it.
            if parked is not None:
                self._parked[key] = parked
            self.drop(key)

    def _evict(self) -> None:
        if self._parked:
            self._parked.popitem()
            return
        while True:
            key, hot = next(iter(self._order.items()))
            if not hot.pending and not hot.used:
                self.drop(key)
                return
            hot.used = False
            self._order.move_to_end(key)
