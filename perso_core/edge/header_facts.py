"""What the headers of a request say: read once, also where many requests have the same."""

from __future__ import annotations

import re
from functools import lru_cache

from aiohttp import hdrs
from msgspec import Struct
from multidict import CIMultiDictProxy

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"\s*({_TOKEN}/{_TOKEN})\s*(?:;.*)?")
_PLAIN_CODINGS = (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked"))


class HeaderFacts(Struct, frozen=True, gc=False):
    """Facts of the headers alone: nothing here depends on what is in force, nor on the connection.

    request_id: as stated, if it is. content_type: the header, "" when absent. media_type: the one
    in it, in any case; "": there is none. coding: the first header by which the body is not plain.
    fetch_site: the browser's own word; None: it said nothing. gpc, accept_language: see Call.
    """

    headers: CIMultiDictProxy[str]
    host: str
    origin: str | None
    request_id: str | None
    forwarded_for: tuple[str, ...]
    content_type: str
    media_type: str
    coding: tuple[str, str] | None
    cookie_header: str
    fetch_site: str | None
    gpc: bool
    accept_language: str

    def __repr__(self) -> str:  # a traceback or a log must not show the credentials
        return "HeaderFacts(…)"


def facts_of(headers: CIMultiDictProxy[str], host: str) -> HeaderFacts:
    """host: the Host header, or what stands for it."""
    said = headers.get
    # Browsers send one: several together are nobody's.
    origins = headers.getall(hdrs.ORIGIN, None)
    content_type = said(hdrs.CONTENT_TYPE, "")
    return HeaderFacts(
        headers=headers,
        host=host,
        origin=None if origins is None else ", ".join(origins),
        request_id=said("x-request-id"),
        forwarded_for=tuple(headers.getall(hdrs.X_FORWARDED_FOR, ())),
        content_type=content_type,
        media_type=type_in(content_type),
        coding=_coding(headers),
        cookie_header="; ".join(headers.getall(hdrs.COOKIE, ())),
        fetch_site=said("Sec-Fetch-Site"),
        gpc=said("Sec-GPC") == "1",
        accept_language=said(hdrs.ACCEPT_LANGUAGE, ""),
    )


@lru_cache(maxsize=64)
def type_in(stated: str) -> str:
    """The media type of a header, without its parameters; "": there is none."""
    found = _MEDIA_TYPE.fullmatch(stated)
    return found[1] if found else ""


def _coding(headers: CIMultiDictProxy[str]) -> tuple[str, str] | None:
    for name, plain in _PLAIN_CODINGS:
        for coding in headers.getall(name, ()):
            if coding.lower() != plain:
                return name, coding
    return None
