"""Audiences without a rule of their own: their memberships are imported, each until an instant."""

from __future__ import annotations

from msgspec import structs

from perso_core.definitions.audience import Audience
from perso_core.pql.printer import quoted

# Adobe keeps an external audience's members for 30 days after each upload.
DEFAULT_MEMBERSHIP_DAYS = 30
MAX_MEMBERSHIP_DAYS = 3_650


def with_membership_rule(audience: Audience) -> Audience:
    """The audience with the rule that reads its imported memberships; itself where it has a rule.

    So it is evaluated, expires at its instant and is explained as any other.
    """
    if audience.source != "external":
        return audience
    entry = f"externalAudience.get({quoted(audience.id)})"
    return structs.replace(audience, pql=f"{entry}.since <= now and {entry}.until > now")


def membership_days(audience: Audience) -> int:
    """How long a membership lasts whose row does not say."""
    return audience.membership_days or DEFAULT_MEMBERSHIP_DAYS
