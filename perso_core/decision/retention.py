"""For how long a profile is kept that nobody touches: the store and the engine agree by it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from perso_core.decision.consent import Consent, refused
from perso_core.decision.identity import datastream_of
from perso_core.decision.profile import Profile

DAY_MS = 24 * 60 * 60 * 1000
# An instant that never comes.
NEVER_MS = 2**63 - 1
# Of those who only look a twentieth of the retention is noted anew, a day at most: else every
# look-up would be a write.
TOUCHES_PER_RETENTION = 20
# A record that cannot be read is there for whoever looks into why.
SET_ASIDE_MS = 30 * DAY_MS


class Retention(Struct, frozen=True):
    """first_visit_ms: how long a device is kept that was seen once and never again; 0: as any
    other. by_datastream: id -> how long a profile is kept untouched; none there: for ever. org:
    whose datastreams these are.
    """

    first_visit_ms: int = 0
    by_datastream: Mapping[str, int] = {}
    org: str = ""

    def kept_ms(self, profile: Profile) -> int | None:
        """How long a profile is kept untouched; None: for ever. A device that several datastreams
        had events of is kept for the shortest time: a promise to forget is kept."""
        if not self.by_datastream:
            return None
        own = datastream_of(profile.key, org=self.org)
        known = profile.datastreams if own is None else (own,)
        limits = [self.by_datastream[one] for one in known if one in self.by_datastream]
        return min(limits, default=None)

    def set_aside_ms(self, profile_key: str) -> int:
        """How long a record of it is kept that cannot be read: it does not tell whose events it
        had, so of a device's the shortest retention counts."""
        own = datastream_of(profile_key, org=self.org)
        if own is None:
            return min([SET_ASIDE_MS, *self.by_datastream.values()])
        return min(SET_ASIDE_MS, self.by_datastream.get(own, SET_ASIDE_MS))


def touched_ms(profile: Profile) -> int:
    """When it was last touched. Records of an earlier Perso say when memberships were decided,
    which was then as well."""
    return profile.touched_ms or profile.evaluated_ms


def expires_ms(profile: Profile | None, first_visit_ms: int, retention: Retention) -> int:
    """From when on nothing is answered from a profile, and it is removed. first_visit_ms: when it
    began by a request that no cookie proved, where none has since; 0: one has."""
    due_ms = NEVER_MS
    if first_visit_ms and retention.first_visit_ms:
        due_ms = first_visit_ms + retention.first_visit_ms
    kept_ms = retention.kept_ms(profile) if profile is not None else None
    # Of whom nothing is known but what was imported: that goes by its own end.
    if profile is not None and profile.version and kept_ms is not None:
        due_ms = min(due_ms, touched_ms(profile) + kept_ms)
    return due_ms


def returned(one_ms: int, other_ms: int) -> bool:
    """Whether two decisions about one device tell that it came back. Of each its first_visit_ms:
    those of one request have the same."""
    return one_ms != other_ms


def erased_since(erased_ms: int, *, dated_ms: int, now_ms: int) -> bool:
    """Whether what is written now was before the erasure. One that is yet to come was dated
    by a clock that has stepped back since: it is over, and bars nothing."""
    return dated_ms < erased_ms <= now_ms


def erased_from_ms(began_ms: int, *, now_ms: int) -> int:
    """From when on, and up to now, an erasure was since something began that goes on. What is yet
    to begin was dated by a clock that has stepped back since: it began nobody knows when."""
    return began_ms if began_ms <= now_ms else 0


def what_stays(profile: Profile | None) -> Profile | None:
    """Of a profile past its retention what was imported, which goes by its own end; None: there is
    nothing."""
    if profile is None or not profile.imported:
        return None
    return Profile(key=profile.key, imported=profile.imported)


def touch_due(profile: Profile, retention: Retention, *, now_ms: int) -> bool:
    """Whether it is to be noted that somebody looked who changes nothing."""
    kept_ms = retention.kept_ms(profile)
    if kept_ms is None or not profile.version:
        return False
    return now_ms - touched_ms(profile) >= min(kept_ms // TOUCHES_PER_RETENTION, DAY_MS)


def outlives(consent: Consent | None, *, first_visit: bool) -> bool:
    """Whether a consent stays where its profile goes: what a visitor chose does, whom nobody asks
    again. Of a first visit only a refusal does; a browser's signal comes with every request."""
    if consent is None:
        return False
    return not first_visit or refused(consent) or consent.share == "n"
