"""One visitor at one moment: all that decisions know of them, and what others added."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, structs

from perso_core.decision.consent import Consent
from perso_core.decision.event import Event
from perso_core.decision.membership import Memberships
from perso_core.decision.profile import Profile
from perso_core.decision.qualification import Qualified


class State(Struct, frozen=True):
    """One profile key at one moment. qualified None: nothing is kept of this visitor.

    complete: every audience was run after the last event; False after an event of a datastream
    without edge segmentation. linked_to: the key of the profile that this identity is part of; "":
    of none. first_visit_ms: when it began by a request that no cookie proved, where none has since;
    0: one has, or proved it at once.
    """

    qualified: Qualified | None = None
    consent: Consent | None = None
    complete: bool = True
    linked_to: str = ""
    first_visit_ms: int = 0

    @property
    def version(self) -> int:
        return self.qualified.profile.version if self.qualified else 0


# Of a visitor who goes on elsewhere so many events are put by; then they are taken over, which
# makes a hundredth of them.
MOST_PUT_BY = 4


class Appended(Struct, frozen=True):
    """Events that other processes added to a profile, as they are stored. version: of the profile
    then. profile, events: unpack it but for its events, with its first_visit_ms, and each event, in
    order of arrival. They raise UnreadableRecord. Some of the events may be known already. The
    memberships that profile is given are the profile's, where it has no others."""

    version: int
    profile: Callable[[Memberships], tuple[Profile, int]]
    events: tuple[Callable[[], Event], ...]

    def then(self, later: Appended) -> Appended:
        """With what was added after that."""
        return structs.replace(later, events=self.events + later.events)
