"""The public keys of issuers: fetched, kept, renewed, and served on while an issuer is down."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import aiohttp

from perso_core.definitions.issuer import Issuer
from perso_core.definitions.jwks import MAX_JWKS_BYTES, VerifyingKey, keys_from_jwks
from perso_core.edge.problem import IssuerUnreachable

FETCH_AGAIN_S = 30  # at most one fetch of one set in this time, however many unknown ids come
RENEW_AFTER_S = 600  # then a key that the issuer took back is forgotten
KEPT_S = 24 * 60 * 60  # how long keys are believed while the issuer cannot be reached
FETCH_WITHIN_S = 2.0
# A call waits for a fetch at most so long: it must be answered within 250 ms (DESIGN.md, P4).
CALL_WAITS_S = 0.15

_log = logging.getLogger("perso")

Fetch = Callable[[str], Awaitable[bytes]]


class KeyOf(Protocol):
    """Finds the key of an issuer under an id; None: the issuer has none. Raises
    IssuerUnreachable where that cannot be known now."""

    async def __call__(self, issuer: Issuer, kid: str) -> VerifyingKey | None: ...


class _Held:
    """What is known of one set. Instants are of a monotonic clock; None: never."""

    def __init__(self) -> None:
        self.keys: Mapping[str, VerifyingKey] = {}
        self.fetched_s: float | None = None
        self.tried_s: float | None = None
        self.failed = False
        self.fetching: asyncio.Task[None] | None = None


class IssuerKeys:
    """A KeyOf with a cache. fetch: the bytes at a URL, within limits; raises OSError, ValueError
    or TimeoutError."""

    def __init__(
        self, fetch: Fetch | None = None, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch or fetched
        self._monotonic_s = monotonic_s
        self._held: dict[tuple[str, tuple[str, ...]], _Held] = {}
        self._inline: dict[tuple[str, tuple[str, ...]], Mapping[str, VerifyingKey]] = {}

    async def __call__(self, issuer: Issuer, kid: str) -> VerifyingKey | None:
        if issuer.jwks:
            return self._written_down(issuer).get(kid)
        held = self._held.setdefault((issuer.jwks_url, issuer.algorithms), _Held())
        self._forget_old(held)
        known = held.keys.get(kid)
        if known is not None:
            if self._since(held.fetched_s) > RENEW_AFTER_S:
                self._begin(held, issuer)
            return known
        self._begin(held, issuer)
        if held.fetching is not None:
            await asyncio.wait([held.fetching], timeout=CALL_WAITS_S)
        known = held.keys.get(kid)
        if known is None and (held.failed or held.fetching is not None):
            raise IssuerUnreachable(
                f"The keys of the issuer '{issuer.id}' cannot be fetched, so its token was not"
                " verified and nothing was done.",
                fix="Send it again later.",
            )
        return known

    async def close(self) -> None:
        tasks = [held.fetching for held in self._held.values() if held.fetching is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _written_down(self, issuer: Issuer) -> Mapping[str, VerifyingKey]:
        wanted = (issuer.jwks, issuer.algorithms)
        if wanted not in self._inline:
            if len(self._inline) >= 64:  # definitions were changed often
                self._inline.clear()
            self._inline[wanted] = keys_from_jwks(*wanted)
        return self._inline[wanted]

    def _since(self, instant_s: float | None) -> float:
        return float("inf") if instant_s is None else self._monotonic_s() - instant_s

    def _forget_old(self, held: _Held) -> None:
        if held.keys and self._since(held.fetched_s) > KEPT_S:
            held.keys = {}

    def _begin(self, held: _Held, issuer: Issuer) -> None:
        """Start fetching, unless it is under way or was tried just now."""
        if held.fetching is not None or self._since(held.tried_s) < FETCH_AGAIN_S:
            return
        held.tried_s = self._monotonic_s()
        held.fetching = asyncio.create_task(self._take(held, issuer), name="perso-jwks")

    async def _take(self, held: _Held, issuer: Issuer) -> None:
        try:
            async with asyncio.timeout(FETCH_WITHIN_S):
                written = await self._fetch(issuer.jwks_url)
            held.keys = keys_from_jwks(written, issuer.algorithms)
            held.fetched_s, held.failed = self._monotonic_s(), False
        except (OSError, ValueError, TimeoutError, aiohttp.ClientError) as fault:
            if not held.failed:  # told once for each outage
                _log.warning("The keys of issuer %s cannot be fetched. %r", issuer.id, fault)
            held.failed = True
        finally:
            held.fetching = None


async def fetched(url: str) -> bytes:
    """The body at a URL: no redirects, 200 alone, no larger than a key set may be. Raises
    aiohttp.ClientError, OSError, ValueError, TimeoutError."""
    timeout = aiohttp.ClientTimeout(total=FETCH_WITHIN_S)
    # A session for each: there is one fetch in ten minutes.
    async with (
        aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as answer,
    ):
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        body = bytearray()
        while chunk := await answer.content.readany():
            body += chunk
            if len(body) > MAX_JWKS_BYTES:
                raise ValueError(f"more than {MAX_JWKS_BYTES:,} bytes")
    return bytes(body)
