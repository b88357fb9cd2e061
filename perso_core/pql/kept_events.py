"""The events of a profile out of a file, as the edge would keep them: what answers here otherwise
than it does live would be found out by visitors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perso_core.pql.instants import instant_of

EVENTS = "xEvent"


def no_events(profile: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is wrong with the list of events, and what to write; None: nothing."""
    events = profile.get(EVENTS, [])
    if isinstance(events, list) and all(isinstance(event, dict) for event in events):
        return None
    return f"profile.{EVENTS} is no list of events", "Write [{...}, {...}]."


def as_kept(profile: Mapping[str, Any]) -> dict[str, Any]:
    """The profile with its events as the edge keeps them: `timestamp` in epoch milliseconds where
    it names a time, `_id` always there. Everything else stays as it was written."""
    events = profile.get(EVENTS)
    if not isinstance(events, list):
        return dict(profile)
    return {**profile, EVENTS: [_kept(event, place) for place, event in enumerate(events, 1)]}


def _kept(event: Any, place: int) -> Any:
    """place: 1-based in the list."""
    if not isinstance(event, dict):
        return event
    stated, at_ms = event.get("_id"), instant_of(event.get("timestamp"))
    # The edge makes a hash of the request where an event has no id: here the place tells it.
    event_id = stated if isinstance(stated, str) and stated else f"event-{place}"
    kept = {**event, "_id": event_id}
    return kept if at_ms is None else {**kept, "timestamp": at_ms}
