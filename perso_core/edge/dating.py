"""When an event was, as a proven server says; a browser's clock is not asked. Pure."""

from __future__ import annotations

from typing import Any

from perso_core.edge.problem import FieldBad, shown
from perso_core.pql.instants import DAY_MS, instant_of, iso_exact

# Two servers' clocks differ: an event so far ahead of ours is one that happens now.
AHEAD_MS = 300_000


def instant_from(stated: Any, path: str, *, now_ms: int, kept_ms: int) -> int | None:
    """Epoch milliseconds; None: nothing is stated. kept_ms: how long events are kept.

    Raises FieldBad for what is no instant, lies ahead, or is so old that it would not be kept.
    """
    if stated is None:
        return None
    at_ms = instant_of(stated) if isinstance(stated, str) else None
    if at_ms is None:
        raise FieldBad(
            f"'{path}' is '{shown(str(stated))}', which is no instant.",
            fix=f"Write e.g. {iso_exact(now_ms)}, or leave it out.",
        )
    if at_ms > now_ms + AHEAD_MS:
        raise FieldBad(
            f"'{path}' is '{shown(stated)}', which lies ahead of {iso_exact(now_ms)}.",
            fix="Set the clock of the server that dates its events.",
        )
    if at_ms < now_ms - kept_ms:
        raise FieldBad(
            f"'{path}' is '{shown(stated)}', and events are kept for {kept_ms // DAY_MS} days.",
            fix="Leave the event out.",
        )
    return min(at_ms, now_ms)
