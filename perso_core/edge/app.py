"""The edge over HTTP: POST [/{hint}]/v{1,2}/{action}, to be mounted under a prefix such as /ee."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache, partial
from importlib.resources import files
from types import MappingProxyType

from aiohttp import web

from perso_core.edge import openapi, privacy
from perso_core.edge.acquire import acquire
from perso_core.edge.arrival import Arrival, arrival_of, call_of, unknown_datastream
from perso_core.edge.asked import Asked
from perso_core.edge.at_sight import shown_in
from perso_core.edge.call import Call, Reply
from perso_core.edge.connection import Connection, Straight
from perso_core.edge.health import health
from perso_core.edge.http_answer import Headers, HttpAnswer
from perso_core.edge.import_rows import (
    MAX_BODY_BYTES,
    MEDIA_TYPES,
    import_attributes,
    import_audience,
)
from perso_core.edge.interact import collect, interact
from perso_core.edge.problem import (
    EdgeError,
    IssuerUnreachable,
    MethodRefused,
    NoSuchPath,
    OriginRefused,
    TooManyRequests,
    Unexpected,
    shown,
)
from perso_core.edge.refused_again import Refused, RefusedAgain, answer_head_of
from perso_core.edge.scripts import Script, script
from perso_core.edge.server_api import server_collect, server_interact
from perso_core.edge.services import EdgeServices
from perso_core.edge.set_consent import set_consent
from perso_core.edge.unstored import Deadline, Unread, not_stored, set_aside_in
from perso_core.edge.wire import encode_answer, encode_problem, identity_result, location_hint
from perso_core.errors import Overloaded, StoreUnavailable, UnknownDatastream

__all__ = ["ACTIONS", "EdgeServices", "build_edge", "straight"]

log = logging.getLogger(__name__)

Action = Callable[[Call, EdgeServices], Awaitable[Reply]]
Routed = Callable[[web.Request], Awaitable[web.StreamResponse]]

ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "interact": interact,
        "collect": collect,
        "identity/acquire": acquire,
        "privacy/set-consent": set_consent,
    }
)
# What servers call: a credential makes a context there, and there alone.
SERVER_ACTIONS: Mapping[str, Action] = MappingProxyType(
    {
        "interact": server_interact,
        "collect": server_collect,
        "privacy/show": privacy.show,
        "privacy/export": privacy.export,
        "privacy/erase": privacy.erase,
    }
)
# These may wait longer than a page does.
PATIENT = frozenset({privacy.show, privacy.export, privacy.erase})
# Those that tell a page who its visitor is, also where nothing else can be told.
TELLING = (interact, server_interact, acquire)
# What servers bring in bulk: rows, not events.
IMPORTS: Mapping[str, Action] = MappingProxyType(
    {"import/audience": import_audience, "import/attributes": import_attributes}
)
OPENAPI_PAGE = files("perso_core").joinpath("edge", "static", "openapi.html").read_bytes()
SCRIPTS = ("perso.js", "alloy-destinations-shim.js")
CALLED, READ = "POST, OPTIONS", "GET, HEAD"
PREFLIGHT_MAX_AGE_S = 600
_EVERY: Headers = (
    ("Cache-Control", "private, no-store"),
    ("Vary", "Origin"),
    ("X-Content-Type-Options", "nosniff"),
)
_READABLE: Headers = (
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Expose-Headers", "Retry-After, x-adobe-edge, x-request-id"),
)
_PREFLIGHT: Headers = (
    ("Access-Control-Allow-Methods", "POST"),
    ("Access-Control-Allow-Headers", "content-type, x-request-id"),
    ("Access-Control-Max-Age", str(PREFLIGHT_MAX_AGE_S)),
)
_JSON = ("Content-Type", "application/json")
_PROBLEM = ("Content-Type", "application/problem+json")
# Who is refused as their bytes come, for refused_again.
_AGAIN = web.AppKey("again", RefusedAgain)
# What answers at a path, for straight.
_BY_PATH = web.AppKey("by_path", dict[str, Straight])


def build_edge(services: EdgeServices) -> web.Application:
    """The application, without its prefix: `app.add_subapp("/ee", build_edge(services))`."""
    app = web.Application()
    app[_AGAIN] = RefusedAgain(services)
    app[_BY_PATH] = {}
    for version, actions in (("v1", ACTIONS), ("v2", SERVER_ACTIONS)):
        for path, action in actions.items():
            answer = partial(_answer, services, action, version == "v2")
            _add_routes(app, f"/{version}/{path}", partial(_routed, services, answer))
            # The hint that clients have is ours; any other leads here by its route.
            for before in ("", f"/{services.location_hint}"):
                app[_BY_PATH][f"{before}/{version}/{path}"] = answer
    for path, action in IMPORTS.items():
        answer = partial(_answer, services, action, True, rows=True)
        _add_routes(app, f"/v2/{path}", partial(_routed, services, answer))
    read: dict[str, Routed] = {"/openapi.json": _openapi, "/openapi": _openapi_page}
    read |= {f"/{name}": partial(_script, script(name)) for name in SCRIPTS}
    read["/health"] = partial(_health, services)
    for path, reading in read.items():
        app.router.add_get(path, reading)
        app.router.add_route("*", path, partial(_only_read, services))
    # Whatever else comes under our prefix is answered here too, as problem+json; and the prefix.
    for path in ("/{path:.*}", ""):
        app.router.add_route("*", path, partial(_no_such_path, services))
    app.on_cleanup.append(partial(_tell_of_failed, services))
    return app


def _add_routes(app: web.Application, path: str, handler: Routed) -> None:
    app.router.add_route("*", path, handler)
    app.router.add_route("*", f"/{{hint}}{path}", handler)


def straight(edge: web.Application, prefix: str) -> Mapping[str, Straight]:
    """What answers a POST at the edge's usual paths, by whole path, where it is mounted under
    prefix: for a server that has no middleware and so need not look for routes
    (connection.py)."""
    return {prefix + path: handler for path, handler in edge[_BY_PATH].items()}


def refused_again(edge: web.Application) -> RefusedAgain:
    """Who is refused as their bytes come, for a server whose connections can do that
    (connection.py)."""
    return edge[_AGAIN]


async def _tell_of_failed(services: EdgeServices, _: web.Application) -> None:
    services.failed.close()


async def _openapi(_: web.Request) -> web.Response:
    return _public(openapi.document(), "application/json")


async def _openapi_page(_: web.Request) -> web.Response:
    """The document for people."""
    return _public(OPENAPI_PAGE, "text/html")


async def _health(services: EdgeServices, request: web.Request) -> web.Response:
    arrival = arrival_of(request, services)
    try:
        reply = await health(arrival, services)
    except EdgeError as error:
        return _problem(arrival, error, services).response()
    headers = (*_headers(arrival, services), _JSON)
    return HttpAnswer(reply.status, headers, reply.body).response()


async def _only_read(services: EdgeServices, request: web.Request) -> web.Response:
    refused = MethodRefused(f"{shown(request.method)}.", allowed=READ)
    return _problem(arrival_of(request, services), refused, services).response()


async def _script(served: Script, request: web.Request) -> web.Response:
    """For pages of any origin."""
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        answer = _public(served.compressed, "text/javascript")
        answer.headers["Content-Encoding"] = "gzip"
    else:
        answer = _public(served.plain, "text/javascript")
    answer.headers["Vary"] = "Accept-Encoding"
    return answer


def _public(body: bytes, content_type: str) -> web.Response:
    """What holds nothing of any visitor."""
    headers = {
        "Cache-Control": "public, max-age=3600",
        "Access-Control-Allow-Origin": "*",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)


async def _no_such_path(services: EdgeServices, request: web.Request) -> web.Response:
    sent = shown(request.rel_url.raw_path)  # decoded, it may look like what is advised
    error = NoSuchPath(f"'{sent}'.", fix="Use /v1/interact or /v2/interact.")
    return _problem(arrival_of(request, services), error, services).response()


async def _routed(services: EdgeServices, answer: Straight, request: web.Request) -> web.Response:
    if request.method == "POST":
        return (await answer(request)).response()
    arrival = arrival_of(request, services)
    try:
        if request.method != "OPTIONS":
            raise MethodRefused(f"{shown(request.method)}.", allowed=CALLED)
        return _preflight(arrival, services).response()
    except EdgeError as error:
        return _problem(arrival, error, services).response()


async def _answer(
    services: EdgeServices, action: Action, server: bool, request: Asked, *, rows: bool = False
) -> HttpAnswer:
    """To a POST."""
    arrival = arrival_of(request, services)
    try:
        if rows:
            reply = await _imported(arrival, action, services)
        else:
            call = await call_of(arrival, services, server=server)
            patient = action in PATIENT
            within_ms = privacy.WITHIN_MS if patient else services.answer_within_ms
            reply = await _reply(call, action, services, within_ms)
    except IssuerUnreachable as failure:
        problem = failure.problem(arrival.report)
        body = encode_answer(arrival.request_id, (), errors=(problem,))
        reply = Reply(207, body, failed=(failure.code,))
    except EdgeError as error:
        answer = _problem(arrival, error, services)
        if isinstance(error, TooManyRequests) and error.known_key and not server:
            _remember_refused(arrival, call, error.known_key, answer)
        return answer
    if reply.failed:
        services.failed.count(reply.failed, services.clock_ms())
    headers = _headers(arrival, services)
    if reply.set_cookies:
        headers += tuple([("Set-Cookie", one) for one in reply.set_cookies])
    if not reply.body:
        return HttpAnswer(204, headers)
    return HttpAnswer(reply.status, (*headers, _JSON), reply.body)


def _remember_refused(arrival: Arrival, call: Call, profile_key: str, answer: HttpAnswer) -> None:
    """Then who sends the same again is answered as their bytes come. Where a credential is asked
    for, whether it is good is a matter of each call."""
    request, part = arrival.request, shown_in(call.body)
    asked = call.datastream.access_type == "authenticated"
    if not isinstance(request.protocol, Connection) or asked or part is None:
        return
    refused = Refused(
        profile_key,
        part,
        call.datastream.id,
        tuple(request.headers.getall("X-Forwarded-For", ())),
        arrival.report,
        answer_head_of(answer.headers),
    )
    request.protocol.remember_refused(refused, arrival.request_id)


async def _imported(arrival: Arrival, action: Action, services: EdgeServices) -> Reply:
    call = await call_of(
        arrival,
        services,
        server=True,
        media_types=MEDIA_TYPES,
        max_body_bytes=MAX_BODY_BYTES,
        sent="rows",
    )
    return await _reply(call, action, services, services.import_within_ms)


async def _reply(call: Call, action: Action, services: EdgeServices, within_ms: int) -> Reply:
    """Raises EdgeError for what the caller did wrong, and nothing for what we did (P4)."""
    deadline = Deadline(within_ms)
    try:
        with deadline:
            return await action(call, services)
    except EdgeError:
        raise
    except UnknownDatastream:  # taken out of force since the call came
        raise unknown_datastream(call.datastream.id) from None
    except Unread as unread:
        handles = [location_hint(services.location_hint)] if action in TELLING else []
        if unread.ecid and action in TELLING:
            handles.insert(0, identity_result(unread.ecid))
        return call.reply(handles, errors=(not_stored(), *set_aside_in(deadline)))
    except (StoreUnavailable, Overloaded, TimeoutError):
        failure: EdgeError = not_stored()
    except Exception:
        # No fault of ours breaks a page: it goes out as an error inside a valid answer, and is
        # logged once, here.
        log.exception("request %s failed", call.request_id)
        failure = Unexpected("It was logged.", fix="Send it again later.")
    return call.reply([], errors=(failure, *set_aside_in(deadline)))


def _problem(arrival: Arrival, error: EdgeError, services: EdgeServices) -> HttpAnswer:
    headers = [*_headers(arrival, services, refused=isinstance(error, OriginRefused)), _PROBLEM]
    if isinstance(error, TooManyRequests):
        headers.append(("Retry-After", str(error.retry_after_s)))
    if isinstance(error, MethodRefused):
        headers.append(("Allow", error.allowed))
    if error.status == 401:
        headers.append(("WWW-Authenticate", "Bearer"))
    return HttpAnswer(error.status, tuple(headers), encode_problem(error.problem(arrival.report)))


def _preflight(arrival: Arrival, services: EdgeServices) -> HttpAnswer:
    """Answered for a page that any datastream lists, whichever one is asked for: a browser shows
    the page nothing of a call whose preflight failed, not even that it named a wrong datastream.
    Raises OriginRefused.
    """
    if not arrival.known_page:
        raise OriginRefused(
            f"'{shown(arrival.origin or '')}' may not call.",
            fix="Add it to the allowed_origins of the datastream if it is yours.",
        )
    return HttpAnswer(204, (*_headers(arrival, services), *_PREFLIGHT))


def _headers(arrival: Arrival, services: EdgeServices, *, refused: bool = False) -> Headers:
    """What every answer carries. A page may read it only where its origin is known and was not
    refused: without these headers the browser keeps it from the page.
    """
    every = _every(services.location_hint, services.region_id)
    own = (*every, ("x-request-id", arrival.request_id))
    if arrival.origin is None or refused or not arrival.known_page:
        return own
    return (*own, ("Access-Control-Allow-Origin", arrival.origin), *_READABLE)


@lru_cache(maxsize=64)
def _every(hint: str, region_id: int) -> Headers:
    return (*_EVERY, ("x-adobe-edge", f"{hint.upper()};{region_id}"))
