"""A patch that would make a profile larger than one may be is refused (decision/caps.py), and so
is what would make the journal larger; what gives way is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import structs

from perso_core.decision.caps import Caps
from perso_core.decision.dropped import dropped_of
from perso_core.decision.profile import patched
from perso_core.engine.hot_profiles import State
from perso_core.engine.interaction import Answer
from perso_core.engine.journal import AttributesPatched
from perso_core.errors import Overloaded, RecordTooLarge


def refuse_full(waiting: int, more: int, limit: int) -> None:
    """Raises Overloaded where more entries than may wait would wait for the store."""
    if waiting + more > limit:
        raise Overloaded(
            f"{waiting:,} writes wait, the limit is {limit:,}.",
            fix="Find what slows the disk, or raise journal_limit.",
        )


def with_dropped(answer: Answer, before: State, after: State) -> Answer:
    """The answer with what gave way between two states of the profile."""
    earlier, later = (
        dropped_of(state.qualified.profile if state.qualified else None)
        for state in (before, after)
    )
    return structs.replace(answer, dropped=later.since(earlier))


def refuse_too_large(state: State, change: AttributesPatched, caps: Caps) -> None:
    """Raises RecordTooLarge as patched_within does."""
    before = state.qualified.profile.attributes if state.qualified else {}
    patched_within(before, change.patch, caps)


def patched_within(
    before: Mapping[str, Any], patch: Mapping[str, Any], caps: Caps
) -> Mapping[str, Any]:
    """The attributes after a patch. Raises RecordTooLarge for one that makes them larger than they
    may be; one that makes them smaller is taken in any case. Cost: O(size)."""
    after = patched(before, patch)
    size = len(msgspec.json.encode(after))
    if size > caps.record_bytes and size > len(msgspec.json.encode(before)):
        raise RecordTooLarge(
            f"with this the profile's attributes would take {size:,} bytes as JSON;"
            f" {caps.record_bytes:,} is the limit. Nothing of it was kept.",
            fix="Remove what no rule and no mapping reads (null removes), or raise"
            " max_record_bytes.",
        )
    return after
