"""Journal entries and profiles for stores to keep."""

from __future__ import annotations

from itertools import count

from msgspec import structs

from perso_core.decision.consent import Choice, Consent
from perso_core.decision.event import Event
from perso_core.decision.identity import Identity
from perso_core.decision.membership import Membership
from perso_core.decision.profile import Profile
from perso_core.engine.journal import (
    AttributesPatched,
    ConsentChosen,
    Entry,
    EventArrived,
    Forgotten,
    PrivacySignalled,
)
from perso_core.stores.protocol import Store, Stored
from tests.building import NOON_MS

ANNA = "ECID:" + "1" * 38
BERT = "ECID:" + "2" * 38
_sequences = count(1)


def profile(key: str = ANNA, *, version: int = 1, tier: str = "gold") -> Profile:
    """A profile with something in every field but events, which a store keeps beside it."""
    return Profile(
        key=key,
        version=version,
        attributes={"loyalty": {"tier": tier}},
        claims=(Identity("CRMID", "c-17"),),
        memberships={
            "a": Membership(audience_id="a", status="realized", since_ms=NOON_MS),
            "b": Membership(audience_id="b", status="exited", since_ms=NOON_MS + 1),
        },
        evaluated_ms=NOON_MS,
        snapshot_id="0123456789abcdef",
        datastreams=("demo",),
    )


async def held(store: Store, key: str) -> Stored:
    """What a store has under a key, of whichever incarnation it is, but for marks of the erased."""
    return structs.replace(await store.load(key), epoch=0, erased_events=frozenset())


def arrived(
    event: Event | None,
    key: str = ANNA,
    *,
    base: int = 0,
    now_ms: int = NOON_MS,
    tier: str = "gold",
    events_from_ms: int = 0,
) -> Entry:
    """An event was merged into the profile of version `base`. event None: attributes changed."""
    after = profile(key, version=base + 1, tier=tier)
    return Entry(
        sequence=next(_sequences),
        key=key,
        now_ms=now_ms,
        change=EventArrived(event=event) if event else AttributesPatched({}),
        base_version=base,
        profile=structs.replace(after, events=(event,)) if event else after,
        event=event,
        events_from_ms=events_from_ms,
    )


def chose(general: Choice, key: str = ANNA, *, base: int = 0) -> Entry:
    return Entry(
        sequence=next(_sequences),
        key=key,
        now_ms=NOON_MS,
        change=ConsentChosen(general),
        base_version=base,
        profile=None,
        consent=Consent(general, NOON_MS),
    )


def signalled(key: str = ANNA, *, now_ms: int = NOON_MS) -> Entry:
    return Entry(
        sequence=next(_sequences),
        key=key,
        now_ms=now_ms,
        change=PrivacySignalled(),
        base_version=0,
        profile=None,
        consent=Consent(None, 0, gpc_since_ms=now_ms),
    )


def forgot(key: str = ANNA, *, base: int = 0, now_ms: int = NOON_MS) -> Entry:
    return Entry(
        sequence=next(_sequences),
        key=key,
        now_ms=now_ms,
        change=Forgotten(),
        base_version=base,
        profile=None,
    )
