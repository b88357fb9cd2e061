"""Identities that are one person's, and a profile that becomes part of another one."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from perso_core.decision.event import Event
from perso_core.decision.graph import MAX_IDENTITIES
from perso_core.decision.profile import Moved, Profile
from perso_core.decision.union import United


class Link(Struct, frozen=True):
    """An identity, by its key, whose profile is another one's, since when."""

    key: str
    linked_ms: int


class Joining(Struct, frozen=True, kw_only=True):
    """All of it is kept, or nothing.

    united: what becomes of both profiles; None: nothing is to be moved. source_version,
    target_version: the ones on which that was decided, which must be stored; 0: no row. linked:
    the source's identity is part of the target's profile from now on, and so is whatever was part
    of the source's. max_identities: of one profile, the target's own with them. epoch: of the store
    that it was decided on; 0: of any. left: what an identity that makes room leaves in the target's
    profile, and is to know of as it begins anew; None: nothing. by: the event whose server says so;
    None: it is known from before. led: the source's identity leads to the target by now; where it
    does no more, nothing is kept.
    """

    source: str
    target: str
    decided_ms: int
    united: United | None = None
    source_version: int = 0
    target_version: int = 0
    linked: bool = False
    max_identities: int = MAX_IDENTITIES
    epoch: int = 0
    left: Moved | None = None
    by: Event | None = None
    led: bool = False

    @property
    def dated_ms(self) -> int:
        """When it was said: an event may be dated before it was decided."""
        return min(self.decided_ms, self.by.timestamp_ms) if self.by else self.decided_ms

    def begun_anew(self, keys: Sequence[str]) -> tuple[Profile, ...]:
        """The profiles of identities that made room."""
        if self.left is None:
            return ()
        at_ms = self.decided_ms
        return tuple(
            Profile(
                key=key,
                version=at_ms,
                evaluated_ms=at_ms,
                touched_ms=at_ms,
                moved=(self.left,),
            )
            for key in keys
        )


class Joined(Struct, frozen=True):
    """kept: False: nothing was; decide anew. links: keys of other identities whose link changed.
    dropped: how many of those made room. dropped_events: how many of the target's did. barred: it
    was said before one of the two was erased, and is not kept."""

    kept: bool
    links: tuple[str, ...] = ()
    dropped: int = 0
    dropped_events: int = 0
    barred: bool = False


NOT_JOINED = Joined(False)
BARRED = Joined(False, barred=True)
