"""v1_interact_parts/bare_handler and others: what the proof by cookie, consent, the limits and the
warnings add to a request. v1: a page's event; v1_tcf: with the TC string of its visitor; v2: a
server's event, answered with attributes and with a warning of one that there is not.

The handler is the edge's own, from aiohttp's request to its answer: no socket, no parser, no disk
in it, so a share of it is larger than one of what a site pays. The bare one has a stand-in for each
part that answers as the part does and does nothing; each is put in by itself, and all together.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from time import process_time_ns
from typing import Any
from unittest.mock import patch

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import StreamReader
from msgspec import structs
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from bench.audiences import DATASTREAM, ORG, definitions
from bench.event import NOON_MS
from bench.figures import record
from bench.timing import Spent
from bench.visitor import ATTRIBUTES, interact_body
from perso_core.assembly import limits_of
from perso_core.decision import governance
from perso_core.decision.identity import Device, Identity, server_key
from perso_core.definitions.api_key import ApiKey, KeySecret, digest
from perso_core.definitions.destination import AttributeMapping, Destination
from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.edge import (
    call,
    caller,
    consent_objects,
    consent_strings,
    consult,
    cookies,
    interact,
    named_person,
    server_api,
)
from perso_core.edge.abuse import NO_LIMITS
from perso_core.edge.app import build_edge
from perso_core.edge.services import EdgeServices
from perso_core.edge.wire import StateEntry
from perso_core.engine import deciding
from perso_core.engine.engine import Answer, Engine, Interaction
from perso_core.engine.journal import AttributesPatched, ConsentChosen
from perso_core.settings import Settings
from perso_core.worker.collection import old_left_alone

PARTS = ("proof", "consent", "limits", "warnings")
AUDIENCES = 100
ROUNDS = 300
# A round is the session of a fresh visitor: its first request finds no proof kept. So short a one
# that a busy machine disturbs all handlers of a round alike.
REQUESTS = 20
# Each comes through a proxy of ours, as docs/operating.md says.
SETTINGS = Settings(trusted_proxies=("127.0.0.1",), datastream_per_s=1_000_000)
KEYS = cookies.CookieKeys(1, {1: bytes(range(32))})
API_KEY = f"perso_{'0' * 12}_{'s' * 43}"


def measure() -> None:
    gc.collect()
    with asyncio.Runner() as runner, old_left_alone():
        for kind in ("v1", "v1_tcf", "v2"):
            _record(kind, _spent(runner, kind))


def _record(kind: str, spent: Mapping[str, Spent]) -> None:
    bare = spent["bare"]
    shares = {part: spent[part].over(bare) - 1 for part in PARTS}
    for part, share in shares.items():
        record(f"{kind}_interact_{part}/bare_handler", share, unit="ratio")
    record(
        f"{kind}_interact_parts/bare_handler",
        spent["all"].over(bare) - 1,
        unit="ratio",
        us={name: one.told() for name, one in spent.items()},
        sum_of_parts=round(sum(shares.values()), 4),
        rounds=ROUNDS,
        requests_per_visitor=REQUESTS,
        audiences=AUDIENCES,
    )


def _spent(runner: asyncio.Runner, kind: str) -> dict[str, Spent]:
    """By name: the bare handler, the one with each part, the one with all."""
    chosen = {"bare": (), **{part: (part,) for part in PARTS}, "all": PARTS}
    handlers = {name: Handler(parts) for name, parts in chosen.items()}
    times: dict[str, list[float]] = {name: [] for name in handlers}
    for turn in range(ROUNDS + 1):
        names = [*handlers]
        # Whoever comes first in a round finds other things in the processor's caches.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            took_us = runner.run(handlers[name].round(kind, turn))
            if turn:  # the first one warms up
                times[name].append(took_us)
    return {name: Spent(tuple(found)) for name, found in times.items()}


# ---- one handler ---------------------------------------------------------------


class Handler:
    """The edge in memory, with some of the parts and stand-ins for the others."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        self._parts = parts
        self._now_ms = NOON_MS
        self._engine = Engine(SNAPSHOT)
        self._proofs: dict[str, cookies.Proof] = {}
        services = EdgeServices(
            decide=self._decide,
            durable=self._durable,
            snapshot=lambda: SNAPSHOT,
            clock_ms=lambda: self._now_ms,
            entropy=bytes,
            keys=KEYS,
            limits=limits_of(SETTINGS) if "limits" in parts else NO_LIMITS,
        )
        self._app = build_edge(services)

    async def round(self, kind: str, turn: int) -> float:
        """CPU microseconds of one request, over the session of a fresh visitor."""
        visitor = self._fresh(turn)
        requests = [self._request(kind, visitor, f"{turn}-{number}") for number in range(REQUESTS)]
        found = await self._app.router.resolve(requests[0])
        handle, answers = found.handler, list[Any]()
        cookies._proof.cache_clear()
        consent_objects._reads.cache_clear()
        gc.collect(0)
        with self._standing_in():
            began = process_time_ns()
            for request in requests:
                self._now_ms += 10
                answers.append(await handle(request))
            spent = process_time_ns() - began
        assert all(b"activation:pull" in answer.body for answer in answers), "all were taken"
        return spent / len(requests) / 1_000

    async def _decide(self, interaction: Interaction) -> Answer:
        answer = self._engine.decide(interaction, now_ms=self._now_ms)
        assert isinstance(answer, Answer), "every profile is in memory"
        return answer

    async def _durable(self, sequence: int) -> None:
        self._engine.committed(sequence)

    def _fresh(self, number: int) -> dict[str, str]:
        """A visitor who consented, with attributes. Returns its cookies."""
        device = Device(f"{number:038d}")
        agreed = ConsentChosen("in", "y", stated='[{"standard":"Adobe"}]')
        for key in (device.profile_key, person_key(device)):
            interaction = Interaction(
                profile_key=key,
                datastream_id=DATASTREAM,
                changes=(agreed, AttributesPatched(ATTRIBUTES)),
                new=True,
            )
            answer = self._engine.decide(interaction, now_ms=self._now_ms)
            assert isinstance(answer, Answer), "the profile is new"
            self._engine.committed(answer.sequence)
        told = cookies.identity_cookies(
            device, org=ORG, keys=KEYS, now_ms=self._now_ms, source=0, created_ms=NOON_MS
        )
        more = (cookies.consent_cookie(ORG, "in"), cookies.cluster_cookie(ORG, "perso"))
        jar = {cookie.name: cookie.value for cookie in (*told, *more)}
        entries = [StateEntry(name, value) for name, value in jar.items()]
        proof = cookies.proven_device(cookies.received("", entries), org=ORG, keys=KEYS)
        assert proof, "the cookies prove it"
        self._proofs[jar[cookies.cookie_names(ORG).identity]] = proof
        return jar

    # ---- stand-ins --------------------------------------------------------------

    @contextmanager
    def _standing_in(self) -> Iterator[None]:
        with ExitStack() as standing:
            for part, places in self._stand_ins().items():
                for module, name, instead in () if part in self._parts else places:
                    standing.enter_context(patch.object(module, name, instead))
            yield

    def _stand_ins(self) -> dict[str, tuple[tuple[Any, str, Callable[..., object]], ...]]:
        """Part -> (module, name, stand-in). Limits are left out where the edge is built."""
        identity = cookies.cookie_names(ORG).identity

        def known(received: Mapping[str, tuple[str, ...]], **_: object) -> object:
            return self._proofs[received[identity][0]]

        async def nothing_carried(*_: object) -> tuple[()]:
            return ()

        return {
            "proof": tuple((module, "proven_device", known) for module in (call, caller)),
            "consent": (
                (interact, "heard_in", lambda *_: consent_strings.NOTHING_HEARD),
                (server_api, "heard_in", lambda *_: consent_strings.NOTHING_HEARD),
                (caller, "said_out", lambda *_: False),
                (named_person, "said_out", lambda *_: False),
                (named_person, "refused", lambda *_, **__: False),
                (consult, "_carried_consent", nothing_carried),
                (deciding, "may_collect", lambda *_: True),
                (deciding, "barred", lambda *_: False),
                (governance, "sharing_refused", lambda *_: None),
            ),
            "warnings": (
                (interact, "fetch_warnings", lambda *_: ()),
                (server_api, "fetch_warnings", lambda *_: ()),
                (server_api, "withheld", lambda *_: ()),
            ),
        }

    # ---- requests ---------------------------------------------------------------

    def _request(self, kind: str, jar: dict[str, str], event_id: str) -> web.Request:
        device = self._proofs[jar[cookies.cookie_names(ORG).identity]].device
        body = interact_body(event_id, jar)
        (event,) = body["events"]
        if kind == "v1_tcf":
            event["xdm"]["consentStrings"] = [{**TCF, "consentStringValue": tc_string(device)}]
        if kind == "v2":
            event["xdm"]["identityMap"] = {"CRMID": [{"id": person(device).id, "primary": True}]}
            body = {name: value for name, value in body.items() if name != "events"}
            body["event"] = event
        more = {"x-api-key": API_KEY} if kind == "v2" else {}
        path = f"/{kind[:2]}/interact?configId={DATASTREAM}&requestId={event_id}"
        return request_of(path, {**HEADERS, **more}, json.dumps(body, separators=(",", ":")))


TCF = {"consentStandard": "IAB TCF", "consentStandardVersion": "2.0", "gdprApplies": True}


def tc_string(device: Device) -> str:
    """One that consents, of an instant of the device's own."""
    digits = base64.urlsafe_b64encode(int(device.ecid).to_bytes(3, "big")).decode()
    return f"CO{digits}-O052l-DGAMBFRACBgAIBAAAAAAIYgEawAQEagAAAA"


class _Connection:
    """As much of one as a request asks for."""

    peername = ("127.0.0.1", 50_000)
    sockname = ("127.0.0.1", 8_080)
    ssl_context = transport = writer = None


HEADERS = {
    "Host": "edge.shop.test",
    "Content-Type": "text/plain; charset=UTF-8",
    "X-Forwarded-For": "203.0.113.7",
    "Accept-Language": "de-DE,de;q=0.9,en;q=0.5",
}


def request_of(path: str, headers: dict[str, str], body: str) -> web.Request:
    """As aiohttp's parser makes one, with its body here."""
    loop: Any = asyncio.get_running_loop()
    payload = StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    payload.feed_data(body.encode())
    payload.feed_eof()
    fields = CIMultiDictProxy(CIMultiDict(headers))
    message = RawRequestMessage(
        "POST", path, HttpVersion11, fields, (), False, None, False, False, URL(path)
    )
    unused: Any = None
    connection: Any = _Connection()
    return web.Request(message, payload, connection, unused, unused, loop)


# ---- what is defined -------------------------------------------------------------


def person(device: Device) -> Identity:
    return Identity("CRMID", f"customer-{device.ecid[-9:]}")


def person_key(device: Device) -> str:
    return server_key(person(device), org=ORG, datastream_id=DATASTREAM)


def _defined() -> Definitions:
    """The audiences of the other figures, for a page's destination that is advertising, and for a
    server's, of whose attributes each visitor lacks one: so each answer has a warning."""
    defined = definitions(AUDIENCES)
    (page,) = defined.destinations
    mapped = ("loyalty.tier", "person.name.firstName", "person.name.lastName")
    server = Destination(
        id="d-server",
        kind="custom-personalization-with-attributes",
        name="Servers",
        integration_alias="server",
        datastream=DATASTREAM,
        attributes=tuple(
            AttributeMapping(source=path, target=path.rpartition(".")[2]) for path in mapped
        ),
    )
    secret = KeySecret(digest(API_KEY), NOON_MS * 2)
    key = ApiKey(
        id="0" * 12, name="Bench", datastreams=(DATASTREAM,), created_ms=0, secrets=(secret,)
    )
    return structs.replace(
        defined,
        destinations=(structs.replace(page, advertising=True), server),
        activations=(
            *defined.activations,
            *(structs.replace(one, destination=server.id) for one in defined.activations),
        ),
        api_keys=(key,),
    )


SNAPSHOT = compile_snapshot(_defined())
