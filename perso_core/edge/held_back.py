"""Why a page is not told of an audience that its visitor is in, or of any."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from perso_core.decision.governance import Reason, Refused
from perso_core.definitions.snapshot import Snapshot
from perso_core.visitor import Visitor, VisitorState

_NOTHING_KNOWN = "Nothing is known of this visitor yet."
# Where there is nothing to explain, by the state.
UNTOLD: Mapping[VisitorState, str] = {
    "known": _NOTHING_KNOWN,
    "new": _NOTHING_KNOWN,
    "no-consent": "Nothing is kept of this visitor, who did not agree.",
    "unavailable": "This visitor could not be looked up.",
}
_REFUSALS: Mapping[Reason, str] = {
    "not-started": "this destination is told from {day}",
    "ended": "this destination was told until {day}",
    "share-refused": "the visitor said no to sharing on {day}, and this destination is advertising",
    "gpc": "the browser signals since {day} that nothing be shared (Global Privacy Control),"
    " and this destination is advertising",
}
_NOT_ACTIVATED = "In, but no activation tells this destination of it."


def held_back(visitor: Visitor, audience_id: str, alias: str, snapshot: Snapshot) -> str | None:
    """A sentence where the destination is not told of an audience that the visitor is in; of no
    alias, where none is. None: it is told, or will be with the next page."""
    entries = [one for one in visitor.lookup.destinations if alias in ("", one.alias)]
    if any(audience_id in one.audiences for one in entries):
        return None
    refused = (one for entry in entries for one in entry.refused)
    found = next((one for one in refused if one.audience_id == audience_id), None)
    if found is not None:
        return _refusal(found)
    destinations = snapshot.destinations.get(visitor.datastream_id, ())
    asked = [one for one in destinations if alias in ("", one.definition.integration_alias)]
    return None if any(audience_id in one.places for one in asked) else _NOT_ACTIVATED


def _refusal(refused: Refused) -> str:
    day = datetime.fromtimestamp(refused.at_ms / 1000, UTC).strftime("%-d %b %Y, %H:%M UTC")
    return f"In, but {_REFUSALS[refused.reason].format(day=day)}."
