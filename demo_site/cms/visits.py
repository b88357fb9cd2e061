"""What the inspector shows of one visit: events sent, and what the last click changed.

In memory and bounded: after a restart the list begins anew. The profile does not; Perso keeps it.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import MutableMapping

from aiohttp import web
from cachetools import LRUCache
from msgspec import Struct

COOKIE = "ff_visit"
_KEPT_VISITS = 5_000
_KEPT_EVENTS = 12


class Sent(Struct, kw_only=True):
    """One event. server_ms: how long it took in process; None: the server did not send it.
    sdk, sdk_ms: which script reported it, and how long its call took; None: none has."""

    event_type: str
    at_ms: int
    event_id: str | None = None
    server_ms: float | None = None
    sdk: str | None = None
    sdk_ms: float | None = None


class VisitLog(Struct):
    """sent: newest last. said: a sentence for the next page, once."""

    token: str
    sent: deque[Sent]
    count: int = 0
    said: str | None = None

    def add(self, event: Sent) -> None:
        self.count += 1
        self.sent.append(event)

    def reported(self, event: Sent) -> None:
        """What a script reported: the event that the server knows already, or a new one."""
        for known in self.sent:
            if event.event_id and known.event_id == event.event_id:
                known.sdk, known.sdk_ms = event.sdk, event.sdk_ms
                return
        self.add(event)

    def take_said(self) -> str | None:
        said, self.said = self.said, None
        return said


class Visits:
    """The visits of this process by their cookie; the least recent make room."""

    def __init__(self) -> None:
        self._logs: MutableMapping[str, VisitLog] = LRUCache(_KEPT_VISITS)

    def of(self, request: web.Request) -> VisitLog:
        """The request's visit; one that begins where there is none."""
        known = self._logs.get(request.cookies.get(COOKIE, ""))
        return known or self.begin()

    def begin(self) -> VisitLog:
        log = VisitLog(secrets.token_urlsafe(12), deque(maxlen=_KEPT_EVENTS))
        self._logs[log.token] = log
        return log
