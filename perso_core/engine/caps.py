"""How much one profile may hold, and what gives way at each bound.

Events: the oldest go. Identities: the oldest claim goes, as in Adobe's graph. Attributes: a patch
that would make them larger than a record may be is refused. What went is counted in the profile,
and told by `perso profile show`, an export, and over HTTP.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from perso_core.decision.attributes import MAX_RECORD_BYTES
from perso_core.decision.profile import MAX_CLAIMS, patched
from perso_core.engine.hot_profiles import State
from perso_core.engine.journal import AttributesPatched
from perso_core.errors import RecordTooLarge


class Caps(Struct, frozen=True):
    """events, identities: of one profile. record_bytes: of its attributes, as JSON."""

    events: int = 5_000
    identities: int = MAX_CLAIMS
    record_bytes: int = MAX_RECORD_BYTES


def refuse_too_large(state: State, change: AttributesPatched, caps: Caps) -> None:
    """Raises RecordTooLarge for a patch that makes the attributes larger than they may be; one that
    makes them smaller is taken in any case. Cost: O(size)."""
    before = state.qualified.profile.attributes if state.qualified else {}
    size = len(msgspec.json.encode(patched(before, change.patch)))
    if size > caps.record_bytes and size > len(msgspec.json.encode(before)):
        raise RecordTooLarge(
            f"with this the profile's attributes would take {size:,} bytes as JSON;"
            f" {caps.record_bytes:,} is the limit. Nothing of it was kept.",
            fix="Remove what no rule and no mapping reads (null removes), or raise"
            " max_record_bytes.",
        )
