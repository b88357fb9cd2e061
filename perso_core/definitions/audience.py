"""An audience: a name and the rule that says who is in it."""

from __future__ import annotations

from msgspec import Struct


class Audience(Struct, frozen=True, kw_only=True):
    """One audience as its operator defined it.

    id: stable, opaque text (a UUID in Adobe's exports); what goes on the wire.
    name: unique, for people. alias: optional short name that templates may write, unique.
    pql: the rule's text.
    """

    id: str
    name: str
    pql: str
    alias: str | None = None
    description: str = ""
