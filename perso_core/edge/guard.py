"""A server whose connections are guarded (connection.py): there are only so many, and whoever was
to be answered is, before they end because it stops or leaves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from perso_core.edge.connection import Connection, Straight
from perso_core.edge.known_heads import KnownHeads
from perso_core.edge.refused_again import RefusedAgain

TOLD_EACH_S = 0.02  # refusals that are due
LOOKED_EACH_S = 0.02  # whether the connections are gone of a server that leaves


class GuardedServer(web.Server):
    """max_connections: more are closed as they come. head_within_s: how long a head may take, and
    how long a new connection may say nothing. straight, again: see GuardedRunner."""

    def __init__(
        self,
        app: web.Application,
        *,
        max_connections: int,
        head_within_s: float,
        straight: Mapping[str, Straight],
        again: RefusedAgain | None,
        **more: Any,
    ) -> None:
        # As Application._make_handler does, which makes a Server of no other class.
        super().__init__(app._handle, request_factory=app._make_request, **more)  # type: ignore[arg-type]  # as aiohttp passes it itself
        self.straight = straight
        self._max_connections = max_connections
        self._head_within_s = head_within_s
        self.leaving = False
        self.again = again
        self.known = KnownHeads()
        self._told_later: deque[tuple[float, Connection, bytes]] = deque()

    def tell_later(self, connection: Connection, refusal: bytes, wait_s: float) -> None:
        """After that time, with others that are due by then: a timer of its own for each would cost
        more than the answer."""
        if not self._told_later:
            self._loop.call_later(TOLD_EACH_S, self._tell_due)
        self._told_later.append((self._loop.time() + wait_s, connection, refusal))

    def _tell_due(self) -> None:
        waiting, now_s = self._told_later, self._loop.time()
        try:
            while waiting and waiting[0][0] <= now_s:
                _, connection, refusal = waiting.popleft()
                connection.tell_refusal(refusal)
        finally:
            if waiting:
                self._loop.call_later(TOLD_EACH_S, self._tell_due)

    async def leave(self, within_s: float) -> None:
        """Each connection is answered once more, and closed by that. Returns once none is left, or
        the time is up: who asks nothing meanwhile is not waited for."""
        self._answer_once_more()
        await _until(lambda: not self._connections, within_s)

    async def receive(self, within_s: float) -> float:
        """The same, once no body is on its way. Returns the seconds that are left."""
        self._answer_once_more()
        return await _until(lambda: not any(one.receiving for one in self._guarded()), within_s)

    def _answer_once_more(self) -> None:
        self.leaving = True
        self.tell_all()
        for connection in self._guarded():
            connection.answer_once_more()

    def tell_all(self) -> None:
        """Nobody waits any more to be refused."""
        for connection in self._guarded():
            connection.tell_refusal()

    def _guarded(self) -> list[Connection]:
        return [one for one in self._connections if isinstance(one, Connection)]

    @property
    def full(self) -> bool:
        """Whether there are more connections than may be."""
        return len(self._connections) > self._max_connections

    def __call__(self) -> RequestHandler:
        return Connection(
            self,
            guard=self,
            loop=self._loop,
            head_within_s=self._head_within_s,
            **self._kwargs,
        )


async def _until(done: Callable[[], bool], within_s: float) -> float:
    """The seconds that are left; 0: the time is up."""
    looks = round(within_s / LOOKED_EACH_S)
    for look in range(looks):
        if done():
            return (looks - look) * LOOKED_EACH_S
        await asyncio.sleep(LOOKED_EACH_S)
    return 0.0


class GuardedRunner(web.AppRunner):
    """A runner whose connections are guarded. idle_s: how long one may wait for its next request.
    straight: what answers a POST that came whole, by whole path, as the application's own routes
    would; middleware and signals of answers are passed by (edge/app.py), and nothing goes straight
    where there is an access log.
    again: who is refused as their bytes come; None: nobody."""

    def __init__(
        self,
        app: web.Application,
        *,
        max_connections: int = 10_000,
        head_within_s: float = 10,
        idle_s: float = 75,
        straight: Mapping[str, Straight] = MappingProxyType({}),
        again: RefusedAgain | None = None,
        **more: Any,
    ) -> None:
        super().__init__(app, keepalive_timeout=idle_s, auto_decompress=False, **more)
        self._max_connections = max_connections
        self._head_within_s = head_within_s
        self._straight = straight
        self._again = again

    async def leave(self, within_s: float) -> None:
        """Listen no more, and have callers go to whoever listens now, with none of their requests
        left unanswered that comes within that time. Clean up afterwards."""
        await self._listen_no_more()
        assert isinstance(self.server, GuardedServer), "it was set up"
        await self.server.leave(within_s)

    async def cleanup(self) -> None:
        """Stop, within shutdown_timeout, with the requests under way answered: also those of which
        the body is on its way, from which aiohttp takes no byte any more once it stops."""
        server = self.server
        if isinstance(server, GuardedServer):
            server.tell_all()
            if self._shutdown_timeout:
                await self._listen_no_more()
                left_s = await server.receive(self._shutdown_timeout)
                self._shutdown_timeout = max(left_s, LOOKED_EACH_S)  # 0 would be for ever
        await super().cleanup()

    async def _listen_no_more(self) -> None:
        for site in tuple(self.sites):
            await site.stop()

    async def _make_server(self) -> web.Server:
        await super()._make_server()  # starts the application
        return GuardedServer(
            self.app,
            max_connections=self._max_connections,
            head_within_s=self._head_within_s,
            straight=self._straight,
            again=self._again,
            loop=asyncio.get_running_loop(),
            **self._kwargs,
        )
