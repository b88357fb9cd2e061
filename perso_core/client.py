"""A typed client of the server API, for servers that are not where the profiles are.

    async with Client("https://edge.example.com/ee", "shop", api_key=key) as perso:
        answer = await perso.look_up({"CRMID": "4711"})
        if "gold" in answer.audiences("serverAlias"):
            ...

It retries what may be retried under one request id, so an event counts once however often it was
sent, and never waits longer than its timeout.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from perso_core.decision.attributes import json_to_send
from perso_core.errors import BadAttributes, BadEvent, PersoError

# Worth another try: Adobe's list, in which the call was not done.
RETRIED = frozenset({429, 502, 503, 504})
FIRST_PAUSE_S = 0.05
# An export has every event of a profile.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
# An erasure returns once every server has heard of it, at the latest after that.
PRIVACY_TIMEOUT_S = 45.0
JSON, NDJSON = "application/json", "application/x-ndjson"
# The edge takes 1 MB of rows at once, and may have to wait for its disk.
MAX_ROWS_BYTES = 1_000_000
IMPORT_TIMEOUT_S = 60.0


class EdgeRefused(PersoError):
    """problem: what the edge said; match on its type."""

    code = "client.refused"
    title = "The edge refused the call"

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.title}.", fix=problem.detail)
        self.problem = problem


class EdgeUnreachable(PersoError):
    code = "client.unreachable"
    title = "The edge did not answer"


class Problem(Struct, frozen=True):
    """A refusal, an error or a warning (docs/errors.md)."""

    type: str = "about:blank"
    status: int = 0
    title: str = ""
    detail: str = ""

    @property
    def code(self) -> str:
        """`EXEG-0301-200`, `edge.attribute-withheld`, …"""
        return self.type.removeprefix("https://ns.adobe.com/aep/errors/").removeprefix("urn:perso:")


class Destination(Struct, frozen=True):
    """What one destination is told. audiences: ids. attributes: by target name."""

    id: str
    alias: str
    audiences: tuple[str, ...]
    attributes: Mapping[str, Any]


class Answer(Struct, frozen=True):
    """What the edge knows of one person now. ecid: of the device that was named, where one was.

    errors: what failed; with one the event may not have been kept. warnings: what was withheld,
    and why. Both are empty where all is well; then the event is on disk.
    """

    request_id: str
    ecid: str | None
    destinations: tuple[Destination, ...]
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def audiences(self, alias: str) -> frozenset[str]:
        """Of the destination with that integration alias; none where it has no entry."""
        return frozenset(one for found in self._of(alias) for one in found.audiences)

    def attributes(self, alias: str) -> Mapping[str, Any]:
        """Of the destination with that integration alias; none where it has no entry."""
        return next((found.attributes for found in self._of(alias)), {})

    def _of(self, alias: str) -> Sequence[Destination]:
        return [found for found in self.destinations if found.alias == alias]


class Collected(Struct, frozen=True):
    """errors: what failed; send the batch again under the same request id."""

    request_id: str
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class Kept(Struct, frozen=True):
    """What is kept of somebody: a profile for each key, as the edge tells it (docs/server-api.md).
    errors: what failed."""

    request_id: str
    profiles: tuple[Mapping[str, Any], ...] = ()
    errors: tuple[Problem, ...] = ()


class Erased(Struct, frozen=True):
    """What was erased: how many profiles, events, consents, records that could not be read. errors:
    with `edge.not-heard` it is erased, and a server has yet to hear of it; with any other, erase
    again."""

    request_id: str
    profiles: int = 0
    events: int = 0
    consents: int = 0
    quarantined: int = 0
    errors: tuple[Problem, ...] = ()


class ImportRefusal(Struct, frozen=True):
    """line: of the rows given, the first is 1. reason: what is wrong, and what to write."""

    line: int
    reason: str


class Imported(Struct, frozen=True):
    """kept, removed, withheld, refused: rows, each in one of the four. withheld: of people who may
    not be kept. refusals: of each body the first 100. errors: what failed; send all rows again,
    which changes nothing twice.
    """

    kept: int = 0
    removed: int = 0
    withheld: int = 0
    refused: int = 0
    refusals: tuple[ImportRefusal, ...] = ()
    errors: tuple[Problem, ...] = ()


class Client:
    """edge_url: where the edge is mounted. api_key, token: one of them, for an authenticated
    context; without either the edge answers as it would a browser. timeout_s: for a call with all
    its retries. session: one to share; it is then not closed here.
    """

    def __init__(
        self,
        edge_url: str,
        datastream_id: str,
        *,
        api_key: str | None = None,
        token: str | None = None,
        timeout_s: float = 2.0,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        assert api_key is None or token is None, "a call has one credential"
        self._url = edge_url.rstrip("/")
        self._datastream_id = datastream_id
        self._timeout_s = timeout_s
        self._given = session
        self._session: aiohttp.ClientSession | None = session
        self._headers: dict[str, str] = {}
        if api_key is not None:
            self._headers["x-api-key"] = api_key
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    async def __aenter__(self) -> Self:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None and self._given is None:
            await self._session.close()
            self._session = None

    # ---- asking ---------------------------------------------------------------

    async def look_up(self, identities: Mapping[str, str]) -> Answer:
        """What is known of somebody; nothing is kept. identities: namespace -> id, the primary one
        first. Raises EdgeRefused, EdgeUnreachable."""
        return await self.interact(identities, {})

    async def interact(
        self,
        identities: Mapping[str, str],
        xdm: Mapping[str, Any],
        *,
        request_id: str | None = None,
        authenticated: bool = False,
    ) -> Answer:
        """One event of somebody, and what it decided. request_id: of an earlier try, so that the
        event counts once. authenticated: the caller has made sure whose identities these are: they
        become one profile, with what was done on an `ECID` beside them (docs/identity.md). Raises
        EdgeRefused, EdgeUnreachable, and BadEvent for what JSON cannot say."""
        body = {"event": {"xdm": _event(identities, xdm, authenticated)}}
        request_id, told = await self._post("interact", body, request_id)
        return Answer(request_id, told.ecid, told.destinations, told.errors, told.warnings)

    async def collect(
        self,
        events: Sequence[tuple[Mapping[str, str], Mapping[str, Any]]],
        *,
        request_id: str | None = None,
        authenticated: bool = False,
    ) -> Collected:
        """Events of several people: (identities, xdm) of each. Otherwise as interact."""
        body = {"events": [{"xdm": _event(whose, xdm, authenticated)} for whose, xdm in events]}
        request_id, told = await self._post("collect", body, request_id)
        return Collected(request_id, told.errors, told.warnings)

    # ---- what a visitor may ask for ---------------------------------------------

    async def show(self, namespace: str, identity_id: str) -> Kept:
        """What is kept of somebody on the datastream, in short, as of now. Raises EdgeRefused,
        EdgeUnreachable."""
        return await self._kept("show", namespace, identity_id)

    async def export(self, namespace: str, identity_id: str) -> Kept:
        """All that is kept of somebody on the datastream. Raises EdgeRefused, EdgeUnreachable."""
        return await self._kept("export", namespace, identity_id)

    async def erase(self, namespace: str, identity_id: str) -> Erased:
        """Erase it, in every server. Raises EdgeRefused, EdgeUnreachable: ask again."""
        request_id, told = await self._asked("erase", namespace, identity_id)
        counts = told.erased or {}
        return Erased(request_id, **counts, errors=told.errors)

    async def _kept(self, verb: str, namespace: str, identity_id: str) -> Kept:
        request_id, told = await self._asked(verb, namespace, identity_id)
        return Kept(request_id, told.profiles, told.errors)

    async def _asked(
        self, verb: str, namespace: str, identity_id: str
    ) -> tuple[str, _PrivacyAnswer]:
        body = {"identity": {"namespace": namespace, "id": identity_id}}
        request_id, status, answer = await self._called(
            f"privacy/{verb}", body, None, timeout_s=max(self._timeout_s, PRIVACY_TIMEOUT_S)
        )
        return request_id, _decoded(status, answer, _PrivacyAnswer)

    # ---- bringing ---------------------------------------------------------------

    async def import_audience(self, rows: Iterable[Mapping[str, Any]]) -> Imported:
        """Memberships of external audiences: `namespace`, `id`, `audience`, and where it is said
        `expires` (epoch milliseconds, or an instant with its zone) and `status`. Live with the
        answer. The credential has to have `import`. Raises EdgeRefused, EdgeUnreachable, and
        BadAttributes for what JSON cannot say."""
        return await self._import("import/audience", rows)

    async def import_attributes(
        self, rows: Iterable[tuple[str, str, Mapping[str, Any]]]
    ) -> Imported:
        """Merge patches of attributes: (namespace, id, patch) of each. As import_audience."""
        return await self._import(
            "import/attributes",
            (
                {"identity": {"namespace": namespace, "id": text}, "attributes": patch}
                for namespace, text, patch in rows
            ),
        )

    async def _import(self, action: str, rows: Iterable[Mapping[str, Any]]) -> Imported:
        """In as many calls as the edge's limit asks for."""
        whole, line = Imported(), 0
        for body, lines in _bodies(rows):
            _, status, answer = await self._exchanged(
                action, body, secrets.token_hex(16), NDJSON, max(self._timeout_s, IMPORT_TIMEOUT_S)
            )
            whole = _with(whole, _decoded(status, answer, Imported), line)
            line += lines
        return whole

    # ---- inside -----------------------------------------------------------------

    async def _post(
        self, action: str, body: Mapping[str, Any], request_id: str | None
    ) -> tuple[str, _Told]:
        request_id, status, answer = await self._called(
            action, body, request_id, timeout_s=self._timeout_s
        )
        return request_id, _read(status, answer)

    async def _called(
        self, action: str, body: Mapping[str, Any], request_id: str | None, *, timeout_s: float
    ) -> tuple[str, int, bytes]:
        """The request's id, the status and the body of the answer."""
        sent = json_to_send(body, BadEvent, "the call")
        request_id = request_id or secrets.token_hex(16)
        return await self._exchanged(action, sent, request_id, JSON, timeout_s)

    async def _exchanged(
        self, action: str, sent: bytes, request_id: str, media_type: str, timeout_s: float
    ) -> tuple[str, int, bytes]:
        """The request id, the status, the body. Raises EdgeUnreachable."""
        last = "nothing came"
        headers = {**self._headers, "Content-Type": media_type}
        try:
            async with asyncio.timeout(timeout_s):
                for pause_s in _pauses():
                    try:
                        status, answer, after_s = await self._sent(
                            action, sent, request_id, headers
                        )
                    except (aiohttp.ClientError, OSError) as fault:
                        last = str(fault) or type(fault).__name__
                    else:
                        if status not in RETRIED:
                            return request_id, status, answer
                        last, pause_s = f"it answered {status}", max(pause_s, after_s)
                    await asyncio.sleep(pause_s)
        except TimeoutError:
            pass
        raise EdgeUnreachable(
            f"{self._url}: {last}, and {timeout_s:g} s were over.",
            fix=f"Send it again later under the request id {request_id}.",
        )

    async def _sent(
        self, action: str, body: bytes, request_id: str, headers: Mapping[str, str]
    ) -> tuple[int, bytes, float]:
        """The status, the body, and how many seconds the edge asks to wait."""
        assert self._session is not None, "use it as `async with Client(…)`"
        asked = {"dataStreamId": self._datastream_id, "requestId": request_id}
        url = f"{self._url}/v2/{action}"
        async with self._session.post(
            url, params=asked, data=body, headers=headers, allow_redirects=False
        ) as answer:
            told = bytearray()
            while chunk := await answer.content.readany():
                told += chunk
                if len(told) > MAX_ANSWER_BYTES:
                    raise aiohttp.ClientPayloadError("its answer has no end")
            after = answer.headers.get("Retry-After", "0")
            return answer.status, bytes(told), float(after) if after.isdecimal() else 0.0


def _pauses() -> Iterator[float]:
    """Seconds, twice as long each time; without end, as the timeout ends it."""
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, 1.0)


def _event(
    identities: Mapping[str, str], xdm: Mapping[str, Any], authenticated: bool
) -> dict[str, Any]:
    state = {"authenticatedState": "authenticated"} if authenticated else {}
    identity_map = {
        namespace: [{"id": text, "primary": place == 0, **state}]
        for place, (namespace, text) in enumerate(identities.items())
    }
    return {**xdm, "identityMap": identity_map}


# ---- the wire, as far as it is read here --------------------------------------


Told = TypeVar("Told")


class _Identity(Struct):
    id: str


class _Value(Struct):
    value: Any


class _Lookup(Struct, rename="camel"):
    destination_id: str
    alias: str
    segments: list[_Identity]
    attributes: dict[str, _Value] = {}


class _Handle(Struct):
    type: str
    payload: msgspec.Raw = msgspec.Raw(b"[]")


class _Envelope(Struct):
    handle: list[_Handle] = []
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class _PrivacyAnswer(Struct, frozen=True):
    profiles: tuple[dict[str, Any], ...] = ()
    erased: dict[str, int] | None = None
    errors: tuple[Problem, ...] = ()


class _Told(Struct, frozen=True):
    """An answer as it is read here."""

    ecid: str | None = None
    destinations: tuple[Destination, ...] = ()
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def _read(status: int, body: bytes) -> _Told:
    if status < 300 and not body:
        return _Told()
    envelope = _decoded(status, body, _Envelope)
    try:
        return _told(envelope)
    except msgspec.DecodeError as fault:
        raise _no_edge(status, fault) from fault


def _decoded(status: int, body: bytes, kind: type[Told]) -> Told:
    """Raises EdgeRefused, EdgeUnreachable."""
    try:
        if status >= 300:
            raise EdgeRefused(msgspec.json.decode(body, type=Problem))
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as fault:
        raise _no_edge(status, fault) from fault


def _no_edge(status: int, fault: Exception) -> EdgeUnreachable:
    return EdgeUnreachable(
        f"what answered with {status} is no edge: {fault}.", fix="Correct the address."
    )


def _bodies(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[bytes, int]]:
    """Bodies of whole lines, and how many lines each has. A row that is too large goes alone."""
    body, lines = bytearray(), 0
    for row in rows:
        line = json_to_send(row, BadAttributes, "the row") + b"\n"
        if body and len(body) + len(line) > MAX_ROWS_BYTES:
            yield bytes(body), lines
            body, lines = bytearray(), 0
        body += line
        lines += 1
    if body:
        yield bytes(body), lines


def _with(one: Imported, more: Imported, lines_before: int) -> Imported:
    moved = tuple(ImportRefusal(lines_before + at.line, at.reason) for at in more.refusals)
    return Imported(
        kept=one.kept + more.kept,
        removed=one.removed + more.removed,
        withheld=one.withheld + more.withheld,
        refused=one.refused + more.refused,
        refusals=one.refusals + moved,
        errors=one.errors + more.errors,
    )


def _told(sent: _Envelope) -> _Told:
    """Raises msgspec.ValidationError for a handle that is none."""
    identities: list[_Identity] = []
    lookups: list[_Lookup] = []
    for handle in sent.handle:
        if handle.type == "identity:result":
            identities += msgspec.json.decode(handle.payload, type=list[_Identity])
        elif handle.type == "activation:pull":
            lookups += msgspec.json.decode(handle.payload, type=list[_Lookup])
    return _Told(
        ecid=identities[0].id if identities else None,
        destinations=tuple(map(_destination, lookups)),
        errors=sent.errors,
        warnings=sent.warnings,
    )


def _destination(found: _Lookup) -> Destination:
    return Destination(
        id=found.destination_id,
        alias=found.alias,
        audiences=tuple(segment.id for segment in found.segments),
        attributes={name: one.value for name, one in found.attributes.items()},
    )
