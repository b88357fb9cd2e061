"""One thing a visitor did, as rules see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

# A page may have waited in a queue this long before it reached us (protocol.md, 2.1).
MAX_QUEUE_MS = 300_000


class Event(Struct, frozen=True, kw_only=True, dict=True):
    """One event. Beside its fields it may have what it is as bytes: see whole_event.

    id: its `_id`, or a hash where it has none; one id takes effect once on a profile.
    timestamp_ms: by our clock (received minus the time it queued), or as a proven server dates it;
    what windows measure. Of the events of one request that nobody dates, each is a millisecond
    after the one before.
    xdm: the event as rules read it: the sender's fields with `_id` and `timestamp` (epoch ms)
    set by us. Never changed in place.
    client_timestamp: what the client's clock said, kept apart; no rule reads it.
    """

    id: str
    timestamp_ms: int
    xdm: Mapping[str, Any]
    client_timestamp: str | None = None


def event_from(
    xdm: Mapping[str, Any],
    *,
    event_id: str,
    received_ms: int,
    queue_ms: int = 0,
    followers: int = 0,
    dated_ms: int | None = None,
) -> Event:
    """The event of a received XDM object. queue_ms is clamped to 0..300,000. followers: how many
    events of the same request came after it. dated_ms: when it happened, where whoever says so is
    believed.
    """
    # A chain is a strict order, and a request has one time for all it holds. Its last event keeps
    # that time and those before are dated back, so that none lies in the future.
    timestamp_ms = received_ms - min(max(queue_ms, 0), MAX_QUEUE_MS) - followers
    if dated_ms is not None:
        timestamp_ms = dated_ms
    client_timestamp = xdm.get("timestamp")
    return Event(
        id=event_id,
        timestamp_ms=timestamp_ms,
        xdm={**xdm, "_id": event_id, "timestamp": timestamp_ms},
        client_timestamp=client_timestamp if isinstance(client_timestamp, str) else None,
    )


def completed(event: Event, again: Event) -> Event:
    """The event with the fields that only a second report of it knows.

    A server recorded the visit and the SDK reports the same `_id`: what stands stays, what is
    missing is added. Returns `event` itself when the second report adds nothing.
    """
    xdm = filled(event.xdm, again.xdm)
    return (
        event
        if xdm is event.xdm
        else Event(
            id=event.id,
            timestamp_ms=event.timestamp_ms,
            xdm=xdm,
            client_timestamp=event.client_timestamp or again.client_timestamp,
        )
    )


def filled(known: Mapping[str, Any], more: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields with those that only `more` has, inside of objects, too. `known` itself when there are
    none."""
    added: dict[str, Any] = {}
    for name, value in more.items():
        if name not in known:
            added[name] = value
        elif isinstance(value, dict) and isinstance(known[name], dict):
            inner = filled(known[name], value)
            if inner is not known[name]:
                added[name] = inner
    return {**known, **added} if added else known
