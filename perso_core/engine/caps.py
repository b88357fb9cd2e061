"""A patch that would make a profile larger than one may be is refused (decision/caps.py)."""

from __future__ import annotations

import msgspec

from perso_core.decision.caps import Caps
from perso_core.decision.profile import patched
from perso_core.engine.hot_profiles import State
from perso_core.engine.journal import AttributesPatched
from perso_core.errors import RecordTooLarge


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
