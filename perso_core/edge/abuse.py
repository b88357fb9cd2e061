"""Who calls too often, and is told so: a visitor, a network, everybody of one datastream. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

from perso_core.edge.addresses import Network, client_prefix
from perso_core.edge.limits import Limiter, Rate
from perso_core.edge.problem import TooManyRequests
from perso_core.edge.wire import MAX_EVENTS

SECOND_MS = 1_000
VISITOR = "This visitor"  # as an error says it
# So many calls of a visitor within a moment, on top of what the rate allows, are no person's; one
# of several events counts as so many.
MANY_CALLS = 50
# What X-Forwarded-For says of a client is remembered, where it is no longer than a few addresses.
KEPT_CLIENTS = 16_384
MAX_KEPT_CHARS = 128


class Limits:
    """None: no limit. trusted: the networks of our own proxies, whose X-Forwarded-For counts."""

    __slots__ = ("_address", "_datastream", "_kept_prefix", "_trusted", "_visitor")

    def __init__(
        self,
        *,
        visitor: Rate | None = None,
        address: Rate | None = None,
        datastream: Rate | None = None,
        trusted: tuple[Network, ...] = (),
    ) -> None:
        self._visitor = Limiter(visitor, at_once=MAX_EVENTS) if visitor else None
        self._address, self._datastream = (
            Limiter(rate) if rate else None for rate in (address, datastream)
        )
        self._trusted = trusted
        # 0.5 µs of a call behind a proxy instead of 7.
        self._kept_prefix = lru_cache(KEPT_CLIENTS)(partial(client_prefix, trusted=trusted))

    def count_call(
        self, peer: str | None, forwarded_for: Sequence[str], datastream_id: str, now_ms: int
    ) -> None:
        """Before a body is read. Raises TooManyRequests."""
        if self._address is not None:
            prefix = self._prefix(peer, forwarded_for)
            if prefix is not None:
                _count(self._address, prefix, "The network of this address", now_ms)
        if self._datastream is not None:
            _count(self._datastream, datastream_id, "The datastream", now_ms)

    def count_visitor(self, profile_key: str, now_ms: int) -> bool:
        """For a visitor whom a cookie proves. Returns whether they call more often than a person
        does. Raises TooManyRequests."""
        visitor = self._visitor
        if visitor is None:
            return False
        if wait_ms := visitor.wait_ms(profile_key, now_ms):
            raise too_often(VISITOR, wait_ms)
        return visitor.taken(profile_key, now_ms) > MANY_CALLS

    def count_events(self, profile_key: str, events: int, now_ms: int) -> None:
        """For a visitor whose call was counted, once it is known to bring so many: each of them
        costs what a call of one does."""
        if self._visitor is not None and events > 1:
            self._visitor.count(profile_key, events - 1, now_ms)

    def refused(self, profile_key: str, now_ms: int) -> TooManyRequests | None:
        """What count_visitor would raise now; None: they may call. Counts nothing."""
        wait_ms = 0 if self._visitor is None else self._visitor.ahead_ms(profile_key, now_ms)
        return too_often(VISITOR, wait_ms) if wait_ms else None

    def are_many(self, profile_key: str, now_ms: int) -> bool:
        """Whether a visitor's calls, as counted, are more than a person's. Counts nothing."""
        visitor = self._visitor
        return visitor is not None and visitor.taken(profile_key, now_ms) > MANY_CALLS

    def _prefix(self, peer: str | None, forwarded_for: Sequence[str]) -> str | None:
        if len(forwarded_for) == 1 and len(forwarded_for[0]) <= MAX_KEPT_CHARS:
            return self._kept_prefix(peer, tuple(forwarded_for))
        return client_prefix(peer, forwarded_for, self._trusted)


NO_LIMITS = Limits()


def too_often(who: str, wait_ms: int) -> TooManyRequests:
    seconds = -(-wait_ms // SECOND_MS)
    return TooManyRequests(
        f"{who} calls too often.",
        fix=f"Wait {seconds} s; Retry-After says so too.",
        retry_after_s=seconds,
    )


def _count(limiter: Limiter, key: str, who: str, now_ms: int) -> None:
    wait_ms = limiter.wait_ms(key, now_ms)
    if wait_ms:
        raise too_often(who, wait_ms)
