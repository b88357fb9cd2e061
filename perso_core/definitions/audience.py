"""An audience: a name and the rule that says who is in it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from perso_core.pql.eligibility import EdgeRule

# rule: the rule decides. external: memberships are imported (docs/external-audiences.md).
AudienceSource = Literal["rule", "external"]


class Audience(Struct, frozen=True, kw_only=True):
    """One audience as its operator defined it.

    id: stable, opaque text (a UUID in Adobe's exports); what goes on the wire.
    name: unique, for people. alias: optional short name that templates may write, unique.
    pql: the rule's text. Of an external one it is made from the id (external.py).
    edge: which rules of an edge it is held to (docs/pql.md).
    event_window_days: how long an event counts; None: as long as the settings say.
    membership_days: of an external one, how long a membership lasts whose row does not say; None:
    30 days.
    """

    id: str
    name: str
    pql: str
    alias: str | None = None
    description: str = ""
    edge: EdgeRule = "local"
    event_window_days: int | None = None
    source: AudienceSource = "rule"
    membership_days: int | None = None
