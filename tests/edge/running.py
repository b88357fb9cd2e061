"""A real edge on a free port, over the real engine, drain and admission and a store in memory."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec import Struct

from perso_core.assembly import MAX_HEADER_BYTES
from perso_core.decision.caps import DEFAULT_CAPS, Caps
from perso_core.decision.profile import Profile
from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.edge.app import EdgeServices, build_edge
from perso_core.edge.cookies import CookieKeys, cookie_names
from perso_core.edge.services import PrivacyServices
from perso_core.edge.site import InProcessSite
from perso_core.edge.unstored import note_set_aside
from perso_core.engine.engine import Engine
from perso_core.engine.journal import Entry
from perso_core.errors import StoreUnavailable
from perso_core.stores.memory import MemoryStore
from perso_core.stores.protocol import Committed, Store
from perso_core.visitor import PageRequest, Visitor
from perso_core.worker.admit import Admission
from perso_core.worker.drain import Drain
from perso_core.worker.identity_graph import IdentityGraph
from perso_core.worker.people import People
from tests.building import NOON_MS, ORG, definitions
from tests.edge.as_documented import assert_documented
from tests.patience import PATIENT_MS

NAMES = cookie_names(ORG)
KEYS = CookieKeys(1, {1: bytes(range(32)), 2: bytes(range(32, 64))})
PAGE = "https://www.shop.test"
TEXT = {"Content-Type": "text/plain; charset=UTF-8"}


class Told(Struct, frozen=True):
    """What the edge answered. sent: the JSON, {} for an empty body."""

    status: int
    headers: Mapping[str, str]
    sent: dict[str, Any]
    body: bytes

    def handles(self, kind: str) -> list[dict[str, Any]]:
        return [handle for handle in self.sent.get("handle", ()) if handle["type"] == kind]

    def payload(self, kind: str) -> list[Any]:
        return [item for handle in self.handles(kind) for item in handle["payload"]]

    @property
    def ecid(self) -> str | None:
        return next((item["id"] for item in self.payload("identity:result")), None)

    @property
    def cookies(self) -> dict[str, str]:
        return {item["key"]: item["value"] for item in self.payload("state:store")}

    @property
    def audiences(self) -> list[str]:
        """Ids in the first destination of the first event."""
        return [segment["id"] for segment in self.payload("activation:pull")[0]["segments"]]

    @property
    def warnings(self) -> list[str]:
        return [warning["type"].rpartition("/")[2] for warning in self.sent.get("warnings", ())]

    @property
    def errors(self) -> list[str]:
        return [error["type"].rpartition("/")[2] for error in self.sent.get("errors", ())]

    @property
    def code(self) -> str:
        """The EXEG code of a problem."""
        assert isinstance(self.sent["type"], str)
        return self.sent["type"].removeprefix("https://ns.adobe.com/aep/errors/")


def full_after(commits: int, store: Store) -> Callable[..., Awaitable[Committed]]:
    """The store's commit, on a disk that has room for so many more."""
    commit, left = store.commit, commits

    async def kept(entries: Sequence[Entry], **more: Any) -> Committed:
        nonlocal left
        if not left:
            raise StoreUnavailable("the disk is full.", fix="Make room.")
        left -= 1
        return await commit(entries, **more)

    return kept


class RunningEdge:
    """now_ms may be set: the edge's clock stands still otherwise."""

    def __init__(
        self,
        store: Store,
        in_force: Definitions | None,
        caps: Caps = DEFAULT_CAPS,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.now_ms = NOON_MS
        self.store = store
        self.in_force = in_force
        self.engine = Engine(
            compile_snapshot(in_force or Definitions(org="")),
            hot_profiles=100,
            caps=caps,
            journal_limit=50,
        )
        self.drain = Drain(
            self.engine, store, clock_ms=lambda: self.now_ms, on_problem=lambda problem: None
        )
        self.admission = Admission(
            self.engine,
            store,
            self.drain,
            clock_ms=lambda: self.now_ms,
            load_timeout_ms=PATIENT_MS,
            set_aside=note_set_aside,
            elapsed_s=elapsed_s,
        )
        self.graph = IdentityGraph(
            self.engine,
            store,
            self.drain,
            self.admission,
            clock_ms=lambda: self.now_ms,
            caps=caps,
        )
        self._entropy = (seed.to_bytes(16, "big") for seed in itertools.count(1))
        self.url = ""
        self.http: aiohttp.ClientSession

    def services(self, **more: Any) -> EdgeServices:
        own: dict[str, Any] = {
            "decide": self.admission.decide,
            "durable": self.drain.durable,
            "snapshot": lambda: self.engine.snapshot if self.in_force else None,
            "clock_ms": lambda: self.now_ms,
            "entropy": lambda count: next(self._entropy)[-count:],
            "keys": KEYS,
            "graph": self.graph,
            "parts": self.admission.parts,
            "decided_again": self.engine.following.decided_again.includes,
            # A slow test machine is not what is tested here.
            "answer_within_ms": 10_000,
            "privacy": self._privacy(),
        }
        return EdgeServices(**{**own, **more})

    def _privacy(self) -> PrivacyServices | None:
        store = self.store
        if not isinstance(store, MemoryStore):
            return None

        async def current(key: str) -> Profile | None:
            return (await store.load(key)).profile

        people = People(store, self.drain, self.admission)
        return PrivacyServices(
            whole=people.everything_under,
            devices=store.devices_of,
            current=current,
            forget=people.forget,
        )

    def rendered(self) -> InProcessSite:
        """The pages of a site that has Perso in its own process."""
        services = self.services(snapshot=lambda: self.engine.snapshot)
        return InProcessSite(services, explain=lambda key, audience: None)

    async def look(self, cookies: Mapping[str, str]) -> Visitor:
        """Whom a page shows that is rendered for a browser, and that nothing is kept of: no commit
        tells this process what another one wrote."""
        asked = PageRequest(
            datastream_id="demo", cookie_header=cookie_header(cookies), wait_ms=10_000
        )
        return await self.rendered().visit(asked)

    async def call(
        self,
        action: str = "interact",
        body: object = None,
        *,
        config: str | None = "demo",
        request_id: str | None = None,
        origin: str | None = None,
        cookie: str | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        query: Mapping[str, str] | None = None,
        hint: str = "",
        version: str = "v1",
    ) -> Told:
        """body: bytes as they are, anything else as JSON; None: one page view."""
        asked = {**(query or {})}
        if config is not None:
            asked["configId"] = config
        if request_id is not None:
            asked["requestId"] = request_id
        sent = {**TEXT, **(headers or {})}
        if origin is not None:
            sent["Origin"] = origin
        if cookie is not None:
            sent["Cookie"] = cookie
        if not isinstance(body, bytes):
            body = msgspec.json.encode(page_view() if body is None else body)
        async with self.http.request(
            method,
            f"{self.url}/ee{hint}/{version}/{action}",
            params=asked,
            data=body,
            headers=sent,
            skip_auto_headers=() if sent.get("Content-Type") else ("Content-Type",),
        ) as answer:
            raw = await answer.read()
            if method == "POST":
                assert_documented(f"/{version}/{action}", answer.status, answer.headers, raw)
            decoded = msgspec.json.decode(raw) if raw else {}
            return Told(answer.status, answer.headers, decoded, raw)

    async def profile(self, key: str) -> Profile | None:
        """What is on disk."""
        return (await self.store.load(key)).profile

    async def events(self, ecid: str) -> int:
        """How many events are on disk for a device of our own making."""
        profile = await self.profile(f"ECID:{ecid}")
        return len(profile.events) if profile else 0


@asynccontextmanager
async def running_edge(
    in_force: Definitions | None,
    *,
    store: Store | None = None,
    caps: Caps = DEFAULT_CAPS,
    services: Callable[[RunningEdge], EdgeServices] = RunningEdge.services,
    elapsed_s: Callable[[], float] = time.monotonic,
) -> AsyncIterator[RunningEdge]:
    """in_force None: nothing was ever applied. elapsed_s: by which clock something takes long."""
    edge = RunningEdge(store or MemoryStore(), in_force, caps, elapsed_s)
    edge.drain.start()
    host = web.Application()
    host.add_subapp("/ee", build_edge(services(edge)))
    server = TestServer(host)
    await server.start_server(max_field_size=MAX_HEADER_BYTES)
    edge.url = str(server.make_url("")).rstrip("/")
    jar = aiohttp.DummyCookieJar()
    try:
        async with aiohttp.ClientSession(cookie_jar=jar) as edge.http:
            yield edge
    finally:
        await server.close()
        await edge.admission.parts.close()
        await edge.drain.close(5)


@asynccontextmanager
async def connection(
    edge: RunningEdge,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection, for what no client would send."""
    host, _, port = edge.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(5):
            yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


class Browser:
    """Keeps cookies and sends them in the body, as alloy does on another site's page."""

    def __init__(self, edge: RunningEdge) -> None:
        self.edge = edge
        self.cookies: dict[str, str] = {}

    async def send(self, action: str = "interact", body: Any = None, **more: Any) -> Told:
        sent = dict(page_view() if body is None else body)
        meta = dict(sent.get("meta", {}))
        if self.cookies:
            meta["state"] = state(self.cookies)
        told = await self.edge.call(action, {**sent, "meta": meta}, **more)
        if told.sent:
            self.cookies.update(told.cookies)
        return told


def page_view(*, more: Mapping[str, Any] | None = None, **xdm: Any) -> dict[str, Any]:
    """An interact request with one event. more: fields of the request."""
    event = {"eventType": "web.webpagedetails.pageViews", **xdm}
    return {"events": [{"xdm": event}], **(more or {})}


def added_to_basket(**more: Any) -> dict[str, Any]:
    return page_view(more=more, eventType="commerce.productListAdds")


def state(cookies: Mapping[str, str]) -> dict[str, Any]:
    entries = [{"key": key, "value": value} for key, value in cookies.items()]
    return {"domain": "", "cookiesEnabled": True, "entries": entries}


def cookie_header(cookies: Mapping[str, str] | Sequence[tuple[str, str]]) -> str:
    pairs = cookies.items() if isinstance(cookies, Mapping) else cookies
    return "; ".join(f"{name}={value}" for name, value in pairs)


def ordinary(**more: Any) -> Definitions:
    """No rules: for tests in which no audience matters."""
    return definitions({}, **more)
