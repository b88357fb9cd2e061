"""How much one profile may hold, and what gives way at each bound.

Events: the oldest go. Identities: the oldest claim goes, and the oldest link, as in Adobe's graph.
Attributes: a patch that would make them larger than a record may be is refused; of what profiles
that became part of this one brought, which may be as large once more, the lower namespaces' goes.
What went is counted in the profile, and told by `perso profile show`, an export, and over HTTP.
"""

from __future__ import annotations

from msgspec import Struct

from perso_core.decision.attributes import MAX_RECORD_BYTES
from perso_core.decision.graph import MAX_IDENTITIES


class Caps(Struct, frozen=True):
    """events, identities: of one profile. record_bytes: of its attributes, as JSON."""

    events: int = 5_000
    identities: int = MAX_IDENTITIES
    record_bytes: int = MAX_RECORD_BYTES


DEFAULT_CAPS = Caps()
