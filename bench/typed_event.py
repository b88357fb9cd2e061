"""The body of one event as typed Structs: what one decode of it costs is a measure for others."""

from __future__ import annotations

import json

import msgspec
from msgspec import Struct

from bench.visitor import interact_body

_ORG = "kndctr_5BFE274A5F6980A50A495C08_AdobeOrg"
# As long as those that our edge sets.
_COOKIES = {
    f"{_ORG}_identity": "CiY1NjQ4MTI5MDU2NzMxMjA5ODM0NTY3ODkwMTIzNDU2Nzg5MDEyUhEIxqz4",
    f"{_ORG}_cluster": "irl1",
    f"{_ORG}_store": "MTc3MzU3NjAwMDAwMHwxMnxlNTY0ODEyOTA1Njd8MDJhN2Y5YzE1ZDQ4",
}
BODY = json.dumps(interact_body("3f2a9c1e", _COOKIES), separators=(",", ":")).encode()


class Entry(Struct):
    key: str
    value: str


class State(Struct):
    domain: str
    entries: list[Entry]


class Meta(Struct):
    state: State


class Count(Struct):
    value: float


class PageDetails(Struct):
    URL: str = ""
    name: str = ""
    siteSection: str = ""
    server: str = ""
    isHomePage: bool = False
    pageViews: Count | None = None


class Referrer(Struct):
    URL: str = ""
    type: str = ""


class Web(Struct):
    webPageDetails: PageDetails | None = None
    webReferrer: Referrer | None = None


class Commerce(Struct):
    productViews: Count | None = None


class Item(Struct):
    SKU: str = ""
    name: str = ""
    priceTotal: float = 0.0
    quantity: int = 0


class Browser(Struct):
    viewportWidth: int = 0
    viewportHeight: int = 0
    acceptLanguage: str = ""
    userAgent: str = ""


class Environment(Struct):
    type: str = ""
    browserDetails: Browser | None = None


class Geo(Struct):
    countryCode: str = ""
    city: str = ""


class Place(Struct):
    localTime: str = ""
    localTimezoneOffset: int = 0
    geo: Geo | None = None


class Xdm(Struct):
    eventType: str
    timestamp: str
    id: str = msgspec.field(name="_id", default="")
    web: Web | None = None
    commerce: Commerce | None = None
    productListItems: list[Item] = []
    environment: Environment | None = None
    placeContext: Place | None = None


class Event(Struct):
    xdm: Xdm


class Interact(Struct):
    events: list[Event]
    meta: Meta | None = None


_DECODER = msgspec.json.Decoder(Interact)


def decode(body: bytes = BODY) -> Interact:
    return _DECODER.decode(body)
