"""Why an audience that a visitor is in may not be told to a destination."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from perso_core.decision.consent import Consent, sharing_refused
from perso_core.definitions.snapshot import ActivationWindow, ConnectedDestination

# The activation's days, or, for advertising, the visitor's word or browser against sharing.
Reason = Literal["not-started", "ended", "share-refused", "gpc"]


class Refused(Struct, frozen=True):
    """audience_id was held back. at_ms: when the reason began or will end."""

    audience_id: str
    reason: Reason
    at_ms: int


class Barred(Struct, frozen=True):
    """Nothing of this visitor goes to a destination. at_ms: since when."""

    reason: Reason
    at_ms: int


def barred(destination: ConnectedDestination, consent: Consent | None) -> Barred | None:
    """None: consent does not stand between this visitor and the destination."""
    if not destination.definition.advertising:
        return None
    against = sharing_refused(consent)
    return Barred(against.reason, against.since_ms) if against else None


def refusal(activation: ActivationWindow, *, now_ms: int) -> Refused | None:
    """None: the activation's days permit the audience now."""
    if now_ms < activation.from_ms:
        return Refused(activation.audience_id, "not-started", activation.from_ms)
    if now_ms >= activation.until_ms:
        return Refused(activation.audience_id, "ended", activation.until_ms)
    return None
