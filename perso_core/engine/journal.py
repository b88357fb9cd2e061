"""What the engine decided and the store has yet to keep, in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from perso_core.decision.consent import Consent, Statement
from perso_core.decision.event import Event
from perso_core.decision.identity import Identity
from perso_core.decision.profile import Profile


class EventArrived(Struct, frozen=True, kw_only=True):
    """A browser or server reported an event. segmentation: run the rules it can touch.
    datastream_id: over which; "": over none. sender: the profile key of whom it was said to be of,
    whatever profile that is part of by now; "": of the profile's own. known: what is stored of it,
    where it is a second report and somebody looked; no entry has it.
    """

    event: Event
    claims: tuple[Identity, ...] = ()
    segmentation: bool = True
    datastream_id: str = ""
    sender: str = ""
    known: Event | None = None


class AttributesPatched(Struct, frozen=True):
    """The site said something about the visitor: a JSON merge patch. said_ms: when, where it is
    written later, as by an import that began then; 0: now."""

    patch: Mapping[str, Any]
    said_ms: int = 0


class ConsentChosen(Statement, frozen=True):
    """The visitor said what may be done. `out` also removes profile and events. by: the event that
    brings along what was said of another profile, and without which it is not said; None: none."""

    by: Event | None = None


class PrivacySignalled(Struct, frozen=True):
    """The visitor's browser sent `Sec-GPC: 1`. by: as in ConsentChosen. of: as in Statement."""

    by: Event | None = None
    of: str = ""


class Forgotten(Struct, frozen=True):
    """The visitor asked to be forgotten: profile, events and consent go. linked_to: the profile
    that the identity was known to be part of, "" for none: what became another one's by the time
    this is kept lies there, and nothing is forgotten. None: whichever it is."""

    linked_to: str | None = None


class Visited(Struct, frozen=True):
    """Whoever proved to be the visitor, or to speak of them, is here: no first visit any more."""


class Expired(Struct, frozen=True):
    """Nobody touched the profile within its retention: it goes, and refusals stay. version,
    first_visit_ms: of the state that was so old; another one is not."""

    version: int
    first_visit_ms: int


class Nothing(Struct, frozen=True):
    """What was decided has come to nothing, as another process was faster."""


Change = (
    EventArrived
    | AttributesPatched
    | ConsentChosen
    | PrivacySignalled
    | Forgotten
    | Visited
    | Expired
    | Nothing
)


def brought_by(change: Change) -> Event | None:
    """The event that brings along what is said of consent; None: it is said by itself."""
    return change.by if isinstance(change, (ConsentChosen, PrivacySignalled)) else None


class Entry(Struct, frozen=True, kw_only=True):
    """One change to one profile, decided and not yet durable.

    sequence: 1, 2, 3 … in this process. now_ms: the instant at which it was decided.
    base_version: the profile version it was decided on, 0 for none; profile.version is the next.
    profile: after the change; None when there is none (forgotten, or consent alone).
    event: the event to append, or to replace under the same id; None when there is none.
    evicted: older events made room: as many are kept as the profile has. redated: events that are
    there, to be kept with another instant.
    consent: the visitor's choice after the change; None when none was made. events_from_ms:
    events older than that count for no audience, and need not be kept. first_visit_ms: as of the
    state after the change. epoch: of the store that it was decided on; 0: none is known. linked:
    the identity was known to be part of another profile.
    """

    sequence: int
    key: str
    now_ms: int
    change: Change
    base_version: int
    profile: Profile | None
    event: Event | None = None
    consent: Consent | None = None
    events_from_ms: int = 0
    evicted: bool = False
    first_visit_ms: int = 0
    epoch: int = 0
    redated: tuple[Event, ...] = ()
    linked: bool = False

    @property
    def dated_ms(self) -> int:
        """When what it tells was: an event may be dated, and a patch have been said, before it was
        decided."""
        change = self.change
        event = change.event if isinstance(change, EventArrived) else brought_by(change)
        if event is not None:
            return min(self.now_ms, event.timestamp_ms)
        if isinstance(change, AttributesPatched) and change.said_ms:
            return min(self.now_ms, change.said_ms)
        return self.now_ms
