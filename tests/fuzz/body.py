"""Any body at all, for every action: an answer or a problem, soon.

`make fuzz` runs it under atheris (`__main__.py`), which need not be installed to import this.
"""

from __future__ import annotations

import random
import re
from typing import Any

from tests.decision.test_tcf import WHOLE
from tests.edge.servers import identities, written_key
from tests.edge.test_mobile import request_as_documented
from tests.fuzz.edge import OWN, VICTIM, VICTIMS_CRM, answered, edge, own_cookies, state
from tests.fuzz.json_text import changed, cut
from tests.fuzz.request import Request, request_in, request_of

# The edge takes 65,536 bytes.
MOST_BYTES = 66_000

SERVER = {"x-api-key": written_key(), "Content-Type": "application/json"}
_TC = next(iter(WHOLE.values()))
_STRING = {
    "consentStandard": "IAB TCF",
    "consentStandardVersion": "2.0",
    "consentStringValue": _TC,
    "gdprApplies": True,
    "containsPersonalData": False,
}
_ORDER = {
    "_id": "e1",
    "eventType": "commerce.productListAdds",
    "timestamp": "2026-03-15T11:59:59.000Z",
    "web": {
        "webPageDetails": {"URL": "https://www.shop.test/a?b=c", "pageViews": {"value": 1}},
        "webReferrer": {"URL": "https://www.google.com/search?q=x"},
    },
    "commerce": {"order": {"priceTotal": 149.5, "currencyCode": "EUR", "purchaseID": "o1"}},
    "productListItems": [{"SKU": "BT-4711", "name": "Boot", "quantity": 2, "priceTotal": 10}],
    "environment": {"type": "browser", "browserDetails": {"viewportWidth": 1440}},
    "placeContext": {"geo": {"countryCode": "DE"}, "localTimezoneOffset": -60},
}
_NAMED = {
    "CRMID": [{"id": "c-1", "authenticatedState": "authenticated", "primary": True}],
    "FPID": [{"id": "9f3f6a9e-0000-4000-8000-00000000000a"}],
}
_OVERRIDES = {
    "com_adobe_experience_platform": {
        "enabled": True,
        "com_adobe_edge_segmentation": {"enabled": False},
        "com_adobe_edge_destinations": {"enabled": True},
    },
    "com_adobe_target": {"propertyToken": "x"},
}


def _adobe(version: str, **value: Any) -> dict[str, Any]:
    return {"standard": "Adobe", "version": version, "value": value}


def _requests() -> list[Request]:
    order = {"xdm": _ORDER, "data": {"__adobe": {"target": {"a": 1}}}}
    meta = {"state": state(own_cookies()), "queueTimeMillis": 40, "configOverrides": _OVERRIDES}
    query = {"identity": {"fetch": ["ECID", "CORE"]}}
    ecid = {"ECID": [{"id": VICTIM.ecid}]}
    known = {**_ORDER, "identityMap": _NAMED, "consentStrings": [_STRING]}
    choices = [
        _adobe("1.0", general="in"),
        _adobe(
            "2.0", collect={"val": "y"}, share={"val": "n"}, metadata={"time": _ORDER["timestamp"]}
        ),
        {"standard": "IAB TCF", "version": "2.2", "value": _TC, "gdprApplies": True},
    ]
    return [
        request_of("v1/interact?configId=demo", {"events": [order], "query": query, "meta": meta}),
        request_of("v1/interact?configId=demo&requestId=r1", {"events": [{"xdm": known}, order]}),
        request_of("v1/interact?configId=waiting", {"events": [{"xdm": known}], "meta": meta}),
        request_of("v1/interact?configId=site", {"events": [order], "xdm": {"identityMap": ecid}}),
        request_of("perso/v1/interact?configId=demo", request_as_documented()),
        request_of("v1/collect?configId=demo", {"events": [{"xdm": known}] * 3, "meta": meta}),
        request_of("v1/identity/acquire?configId=demo", {"query": query, "meta": meta}),
        request_of("v1/identity/acquire?configId=demo", {"xdm": {"identityMap": _NAMED}}),
        request_of(
            "v1/privacy/set-consent?configId=demo",
            {"consent": choices, "identityMap": ecid, "query": query, "meta": meta},
        ),
        request_of("v1/privacy/set-consent?configId=waiting", {"consent": choices[:1]}),
        *_of_servers(known, ecid),
    ]


def _of_servers(known: dict[str, Any], ecid: dict[str, Any]) -> list[Request]:
    """With a credential, and as a browser that calls /v2."""
    crm = identities(CRMID=VICTIMS_CRM.id)
    asking = {"event": {"xdm": {"identityMap": {**crm, **ecid}}}}
    own = {"event": {"xdm": {**known, "identityMap": {"ECID": [{"id": OWN.ecid}]}}}}
    events = {"events": [asking["event"], own["event"], {"xdm": known}]}
    return [
        request_of("v2/interact?dataStreamId=demo", asking, SERVER),
        request_of("v2/interact?dataStreamId=demo", own, SERVER),
        request_of("v2/interact?dataStreamId=demo", asking),
        request_of("v2/interact?dataStreamId=demo", own),
        request_of("v2/collect?dataStreamId=demo", events, SERVER),
        request_of("v2/collect?dataStreamId=demo", events),
        request_of("v1/interact?configId=servers", {"events": [own["event"]]}, SERVER),
    ]


REQUESTS = _requests()
TEXTS = [request.written() for request in REQUESTS]
BODIES = [request.body.decode() for request in REQUESTS]
_PATHS = sorted({request.path for request in REQUESTS})


def fuzz_one(data: bytes) -> None:
    """Raises what no body may cause: Wrong, TooSlow, or what the edge failed with."""
    request = request_in(data)
    answered(request, edge(), proven=written_key().encode() in request.as_http())


def mutated(data: bytes, most: int, seed: int) -> bytes:
    """The body changed as JSON, at times the path or a header as well."""
    chance = random.Random(seed)
    request = request_in(data)
    body, path, headers = request.body, request.path, request.headers
    if chance.random() < 0.1:
        path = chance.choice((chance.choice(_PATHS), _bent(path, chance)))
    if chance.random() < 0.1:
        headers = chance.choice(REQUESTS).headers
    if chance.random() < 0.9:
        # Halves of characters stay halves: what then goes out is no UTF-8 either.
        text = body.decode("utf-8", "surrogateescape")
        body = changed(text, BODIES, chance).encode("utf-8", "surrogatepass")
    if chance.random() < 0.1:
        body = _other_bytes(body, chance)
    return Request(path, headers, body).written()[:most]


def _bent(path: bytes, chance: random.Random) -> bytes:
    return cut(path.decode("latin-1"), ["&configId=demo", "%00%ff%2e", "/../"], chance).encode()


def _other_bytes(body: bytes, chance: random.Random) -> bytes:
    """In another spelling, or with bytes that are no UTF-8 and marks that are no JSON."""
    at = chance.randrange(len(body) + 1)
    odd = chance.choice((b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b"\xc0\xaf", b" \t\n"))
    spelled = re.sub(rb"[a-z]", lambda found: b"\\u00%02x" % found[0][0], body[at:], count=9)
    return chance.choice((body[:at] + odd + body[at:], odd + body, body[:at] + spelled))
