"""A call as it arrives over HTTP, and what must be good about it before its action sees it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

import aiohttp
from aiohttp import web
from msgspec import UNSET, Struct

from perso_core.definitions.datastream import Datastream
from perso_core.definitions.snapshot import Snapshot
from perso_core.edge.asked import Asked, Content, facts_in, query_in
from perso_core.edge.authentication import authenticated
from perso_core.edge.call import Call
from perso_core.edge.first_party import first_party
from perso_core.edge.header_facts import HeaderFacts
from perso_core.edge.origins import is_own, listed, refuse_unlisted, same_site_none
from perso_core.edge.problem import (
    BodyEmpty,
    BodyTooLarge,
    ContentTypeBad,
    DatastreamDisabled,
    DatastreamMissing,
    DatastreamUnknown,
    MediaTypeUnsupported,
    Report,
    shown,
)
from perso_core.edge.request_id import hashed_request_id, made_request_id
from perso_core.edge.services import EdgeServices

MEDIA_TYPES = frozenset({"text/plain", "application/json", "text/javascript"})
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Arrival(Struct, frozen=True):
    """What is known of a call before anything about it was found good. config_id: the datastream
    that it names, which may be empty; None: it names none."""

    request: Asked
    facts: HeaderFacts
    snapshot: Snapshot | None
    request_id: str
    config_id: str | None
    silent: bool
    origin: str | None
    own: bool  # the origin is the edge's own

    @property
    def report(self) -> Report:
        return Report(
            request_id=self.request_id,
            config_id=shown(self.config_id) if self.config_id else UNSET,
            org_id=self.snapshot.org if self.snapshot else UNSET,
        )

    @property
    def known_page(self) -> bool:
        """Whether this page may read an answer at all: also that it named a wrong datastream."""
        if self.origin is None or self.own:
            return self.own
        streams = self.snapshot.datastreams.values() if self.snapshot else ()
        return listed(self.origin, streams)


def arrival_of(request: Asked, services: EdgeServices) -> Arrival:
    query, facts = query_in(request), facts_in(request)
    origin = facts.origin
    own = origin is not None and (
        origin in services.own_origins or is_own(origin, edge=f"{request.scheme}://{facts.host}")
    )
    return Arrival(
        request=request,
        facts=facts,
        snapshot=services.snapshot(),
        request_id=_request_id(facts, query, services),
        config_id=query.get("configid") or query.get("datastreamid", query.get("configid")),
        silent=query.get("silent", "").lower() == "true",
        origin=origin,
        own=own,
    )


def _request_id(facts: HeaderFacts, query: Mapping[str, str], services: EdgeServices) -> str:
    places = (query.get("requestid"), facts.request_id)
    stated = [text for text in places if text]
    for text in stated:
        if _REQUEST_ID.fullmatch(text):
            return text
    return hashed_request_id(stated[0]) if stated else made_request_id(services.entropy)


async def call_of(
    arrival: Arrival,
    services: EdgeServices,
    *,
    server: bool,
    media_types: frozenset[str] = MEDIA_TYPES,
    max_body_bytes: int = 0,
    sent: str = "events",
) -> Call:
    """The call, once its datastream, origin, media type and credential are found good and its body
    is here. server: it came to /v2, where a credential makes a context; a datastream that is
    `authenticated` asks for one on /v1 as well. max_body_bytes: 0: those of the services. sent:
    what makes a body large. Raises EdgeError.
    """
    request, facts = arrival.request, arrival.facts
    datastream = datastream_of(arrival)
    refuse_unlisted(arrival.origin, datastream, own=arrival.own)
    now_ms = services.clock_ms()
    services.limits.count_call(request.remote, facts.forwarded_for, datastream.id, now_ms)
    media_type = _media_type(facts, media_types)
    assert arrival.snapshot, "a datastream was found in it"
    context = None
    if server or datastream.access_type == "authenticated":
        context = await authenticated(
            request.headers,
            datastream,
            arrival.snapshot,
            key_of=services.issuer_key,
            now_ms=services.clock_ms(),
        )
    body = await _body(request, services, max_body_bytes or services.max_body_bytes, sent)
    origin, host, fetch_site = facts.origin, facts.host, facts.fetch_site
    return Call(
        request_id=arrival.request_id,
        datastream=datastream,
        org=arrival.snapshot.org,
        body=body,
        cookie_header=facts.cookie_header,
        same_site_none=same_site_none(origin, host=host, fetch_site=fetch_site),
        now_ms=services.clock_ms(),
        first_party=first_party(origin, host=host, fetch_site=fetch_site),
        server=server,
        context=context if server else None,
        silent=arrival.silent,
        gpc=facts.gpc,
        accept_language=facts.accept_language,
        media_type=media_type,
    )


def datastream_of(arrival: Arrival) -> Datastream:
    """The one that the call names. Raises DatastreamMissing, DatastreamUnknown,
    DatastreamDisabled."""
    if not arrival.config_id:
        raise DatastreamMissing("The call names no datastream.", fix="Add configId to the query.")
    streams = arrival.snapshot.datastreams if arrival.snapshot else {}
    datastream = streams.get(arrival.config_id)
    if datastream is None:
        raise unknown_datastream(arrival.config_id)
    if not datastream.enabled:
        raise DatastreamDisabled(f"'{datastream.id}'.", fix="Enable it, or use another one.")
    return datastream


def unknown_datastream(config_id: str) -> DatastreamUnknown:
    return DatastreamUnknown(
        f"The datastream '{shown(config_id)}' does not exist.",
        fix="Use the id of a datastream that is defined.",
    )


def _media_type(facts: HeaderFacts, taken: frozenset[str]) -> str:
    """In small letters. Raises ContentTypeBad, MediaTypeUnsupported."""
    if not facts.media_type:
        raise ContentTypeBad(f"'{shown(facts.content_type)}'.", fix=_send(taken))
    media_type = facts.media_type.lower()
    if media_type not in taken:
        raise MediaTypeUnsupported(f"'{shown(facts.media_type)}'.", fix=_send(taken))
    if facts.coding is not None:
        name, coding = facts.coding
        raise MediaTypeUnsupported(f"{name} '{shown(coding)}'.", fix="Do not compress.")
    return media_type


def _send(taken: frozenset[str]) -> str:
    if taken is MEDIA_TYPES:
        return "Send text/plain or application/json."
    return f"Send {' or '.join(sorted(taken))}."


async def _body(request: Asked, services: EdgeServices, limit: int, sent: str) -> bytes:
    """The body, never more than the limit of it in memory, and not waited for beyond its time."""
    content = request.content
    try:
        if content.is_eof():  # it came with its head: there is nothing to wait for
            # Nothing is left where a middleware of the site's has read it: aiohttp keeps it then.
            body = content.read_nowait() or await _read_before(request)
        elif (request.content_length or 0) > limit:
            raise _too_large(limit, sent)
        else:
            async with asyncio.timeout(services.body_within_ms / 1000):
                body = await _read(content, limit)
    except TimeoutError:
        raise BodyEmpty("The body did not arrive in time.", fix="Send it again.") from None
    except (aiohttp.ClientError, web.RequestPayloadError, ConnectionError, RuntimeError) as broken:
        if isinstance(broken, RuntimeError) and request.protocol.connected:
            raise  # aiohttp raises it also where the connection was lost before it is read from
        raise BodyEmpty("The body broke off.", fix="Send it again.") from None
    if len(body) > limit:
        raise _too_large(limit, sent)
    return body


async def _read_before(request: Asked) -> bytes:
    return await request.read() if isinstance(request, web.BaseRequest) else b""


async def _read(content: Content, limit: int) -> bytes:
    """All of it, or more than the limit."""
    body = bytearray()
    while len(body) <= limit and (chunk := await content.readany()):
        body += chunk
    return bytes(body)


def _too_large(max_bytes: int, sent: str) -> BodyTooLarge:
    return BodyTooLarge(
        f"The limit is {max_bytes:,} bytes.", fix=f"Send fewer or smaller {sent} per request."
    )
