"""All that is kept under a key, as JSON values: what an export holds, at the command line and over
HTTP alike. Instants as the store has them, epoch milliseconds. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from perso_core.decision.identity import Identity
from perso_core.decision.profile import Profile, attributes_of
from perso_core.pql.instants import iso_exact
from perso_core.stores.protocol import Whole


def exported(identity: Identity, found: Mapping[str, Whole]) -> dict[str, Any]:
    """Everything of an identity, by key."""
    return {
        "identity": {"namespace": identity.namespace, "id": identity.id},
        "profiles": [everything(key, whole) for key, whole in found.items()],
    }


def everything(key: str, whole: Whole) -> dict[str, Any]:
    """One profile, whole."""
    stored = whole.stored
    profile = stored.profile or Profile(key=key)
    return {
        "key": key,
        "version": profile.version,
        "touched_ms": profile.touched_ms,
        "dropped": _dropped(profile),
        "first_visit_ms": stored.first_visit_ms,
        # Of whom it is part, what is part of it, and what became part of another one lately.
        "linked_to": stored.linked_to or None,
        "links": msgspec.to_builtins(whole.links),
        "moved": [{"at_ms": one.at_ms, "events": len(one.marks)} for one in profile.moved],
        "consent": msgspec.to_builtins(stored.consent),
        "attributes": profile.attributes,
        "brought": msgspec.to_builtins(profile.brought),
        "claims": msgspec.to_builtins(profile.claims),
        "memberships": msgspec.to_builtins(list(profile.memberships.values())),
        "imported": [
            {"audience": audience_id, **msgspec.to_builtins(one)}
            for audience_id, one in profile.imported.items()
        ],
        "datastreams": list(profile.datastreams),
        "events": [msgspec.to_builtins(event) for event in profile.events],
        "quarantine": [
            {
                "kind": one.kind,
                "reason": one.reason,
                "record": base64.b64encode(one.record).decode(),
            }
            for one in whole.quarantined
        ],
    }


def told(profile: Profile) -> dict[str, Any]:
    """One profile in short, as of now."""
    return {
        "version": profile.version,
        "events": len(profile.events),
        "dropped": _dropped(profile),
        "attributes": attributes_of(profile),
        "memberships": {
            audience_id: {"status": membership.status, "since": iso_exact(membership.since_ms)}
            for audience_id, membership in profile.memberships.items()
        },
    }


def _dropped(profile: Profile) -> dict[str, int]:
    """How much gave way at a cap, ever: so much no rule and nobody sees."""
    return {
        "events": profile.dropped_events,
        "identities": profile.dropped_claims,
        "attributes": profile.dropped_attributes,
    }


def counted(found: Mapping[str, Whole]) -> dict[str, int]:
    """How much there is under some keys: what an erasure takes."""
    profiles = [whole.stored.profile for whole in found.values()]
    return {
        "profiles": sum(profile is not None for profile in profiles),
        "events": sum(len(profile.events) for profile in profiles if profile is not None),
        "consents": sum(whole.stored.consent is not None for whole in found.values()),
        "quarantined": sum(len(whole.quarantined) for whole in found.values()),
    }
