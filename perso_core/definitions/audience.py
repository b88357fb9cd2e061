"""An audience: a name and the rule that says who is in it."""

from __future__ import annotations

from msgspec import Struct

from perso_core.pql.eligibility import EdgeRule


class Audience(Struct, frozen=True, kw_only=True):
    """One audience as its operator defined it.

    id: stable, opaque text (a UUID in Adobe's exports); what goes on the wire.
    name: unique, for people. alias: optional short name that templates may write, unique.
    pql: the rule's text.
    edge: which rules of an edge it is held to (docs/pql.md).
    event_window_days: how long an event counts; None: as long as the settings say.
    """

    id: str
    name: str
    pql: str
    alias: str | None = None
    description: str = ""
    edge: EdgeRule = "local"
    event_window_days: int | None = None
