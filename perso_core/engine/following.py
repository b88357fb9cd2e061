"""Which incarnation of the store (stores/incarnation.py) the profiles in memory were read from, and
what others wrote to it meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from perso_core.decision.consent import Consent, may_collect
from perso_core.definitions.snapshot import Snapshot
from perso_core.engine.apply import barred, seen_of
from perso_core.engine.decided_again import DecidedAgain
from perso_core.engine.hot_profiles import Hot, HotProfiles
from perso_core.engine.interaction import NOTHING_SEEN, Seen
from perso_core.engine.journal import Change, EventArrived


class Following:
    """epoch: of the store that is followed; 0: none is known yet. decided_again: what waited for
    its commit as another process wrote its profile."""

    def __init__(self, hot: HotProfiles) -> None:
        self._hot = hot
        self.epoch = 0
        self.decided_again = DecidedAgain()
        self._left: set[str] = set()  # in memory, and not what is stored: to be read first
        self._written: set[str] = set()  # so, too, but a template is answered by it meanwhile

    def follow(self, epoch: int) -> None:
        """Profiles are of this incarnation from now on. Those of another one are forgotten; where
        something waits for its commit it is decided again once the profile is renewed."""
        if epoch == self.epoch:
            return
        if self.epoch:
            self.leave_all()
        self.epoch = epoch

    def leave_all(self) -> None:
        """Forget all profiles: the store has others, or more of them."""
        self._left |= self._hot.drop_all()
        self._written.clear()

    def renewed(self, key: str) -> None:
        """The profile was read again, or is in memory no more."""
        self._left.discard(key)
        self._written.discard(key)

    def written(self, keys: Iterable[str]) -> frozenset[str]:
        """Others wrote of these profiles: whoever asks for one waits until it is read. Returns
        those of them that are in memory; each is to be read, or found gone: see renewed."""
        found = self._hot.among(keys)
        self._written |= found
        return found

    def unreadable(self, key: str) -> None:
        """What others wrote of this profile cannot be read: nobody is answered by what is here of
        it before it can be."""
        self._written.discard(key)
        if not self._hot.forget(key):
            self._left.add(key)

    def let_go(self) -> None:
        """Forget those that had to stay for what waited for its commit, where nothing does any
        more: a template is answered by what is in memory, and asks nobody."""
        if self._left:
            self._left = {key for key in self._left if not self._hot.forget(key)}

    def behind(self, hot: Hot, seen: Seen) -> bool:
        """Whether the store has to be asked before whoever has seen so much is answered."""
        if self._written and hot.key in self._written:
            return True
        if self._left and hot.key in self._left:
            return True
        return seen is not NOTHING_SEEN and seen.beyond(seen_of(hot.committed, self.epoch))

    def seen(self, hot: Hot) -> Seen:
        """How far it is committed, as far as is known here."""
        return NOTHING_SEEN if hot.key in self._left else seen_of(hot.committed, self.epoch)


def withheld(change: Change, consent: Consent | None, snapshot: Snapshot) -> bool:
    """Whether consent as it is by now, such as none any more, stands against a change that was
    decided before it was heard of."""
    if not isinstance(change, EventArrived) or barred(change, consent):
        return barred(change, consent)
    datastream = snapshot.datastreams.get(change.datastream_id)
    return datastream is not None and not may_collect(consent, datastream.default_consent)
