"""Why an audience that a visitor is in may not be told to a destination."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from perso_core.definitions.snapshot import ActivationWindow

Reason = Literal["not-started", "ended"]


class Refused(Struct, frozen=True):
    """audience_id was held back. since_or_until_ms: when the reason began or will end."""

    audience_id: str
    reason: Reason
    at_ms: int


def refusal(activation: ActivationWindow, *, now_ms: int) -> Refused | None:
    """None: the activation's days permit the audience now."""
    if now_ms < activation.from_ms:
        return Refused(activation.audience_id, "not-started", activation.from_ms)
    if now_ms >= activation.until_ms:
        return Refused(activation.audience_id, "ended", activation.until_ms)
    return None
