"""What holds of every answer of the edge, whatever was sent; and whom the requests meet.

Two visitors are stored. Inputs may hold all that belongs to the first one, `own`: its cookies prove
it. Of the second, `victim`, they know every identifier and no proof: so nothing that is kept of it
may be told, and nothing of it may change, but for a server with a credential.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from msgspec import structs

from perso_core.decision.event import event_from
from perso_core.decision.identity import Device, Identity, server_key
from perso_core.definitions.document import Definitions
from perso_core.definitions.issuer import Issuer
from perso_core.edge.cookies import StoredIdentity, identity_bytes, identity_cookies
from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import AttributesPatched, EventArrived
from perso_core.stores.memory import MemoryDatabase
from tests.building import BASKET_RULE, GOLD_RULE, NOON_MS, ORG
from tests.edge.running import KEYS
from tests.edge.servers import api_key, with_attributes
from tests.fuzz.request import Request
from tests.fuzz.timed import soon
from tests.fuzz.wire import Answered, Wire

MOST_MS = 1_000

OWN = Device("5" * 38)
VICTIM = Device("7" * 38)
VICTIMS_CRM = Identity("CRMID", "victim-4711")
VICTIMS_KEYS = (
    VICTIM.profile_key,
    server_key(VICTIMS_CRM, org=ORG, datastream_id="demo"),
)
# Neither is in any input, and only the victim is in the audience.
VICTIMS_NAME = "Hyacinth"
VICTIMS_AUDIENCE = "of-the-victim-alone"

RULES = {
    "basket": BASKET_RULE,
    "gold": GOLD_RULE,
    "big": 'select e from xEvent where e.commerce.order.priceTotal > 100 and e.eventType = "buy"',
    VICTIMS_AUDIENCE: f'person.name.firstName.equals("{VICTIMS_NAME}", false)',
}


def in_force(*issuers: Issuer) -> Definitions:
    """`demo` takes everybody, `waiting` waits for consent, `site` trusts its FPID cookie, `servers`
    answers authenticated calls alone."""
    names = ("demo", "waiting", "site", "servers")
    made = with_attributes(
        rules=RULES,
        datastreams=names,
        issuers=issuers,
        api_keys=(api_key(datastreams=("demo", "servers")),),
    )
    more: dict[str, dict[str, Any]] = {
        "demo": {"consent_strings_opt_in": True},
        "waiting": {"default_consent": "pending", "consent_strings_opt_in": True},
        "site": {"fpid_cookie": "fpid", "trust_fpid_cookie": True},
        "servers": {"access_type": "authenticated"},
    }
    streams = tuple(structs.replace(one, **more[one.id]) for one in made.datastreams)
    return structs.replace(made, datastreams=streams)


@cache
def edge(*issuers: Issuer) -> Wire:
    """With both visitors stored."""
    wire = Wire(in_force(*issuers))
    event = event_from({"eventType": "buy"}, event_id="e0", received_ms=NOON_MS - 1_000)
    arrived = EventArrived(event=event, datastream_id="demo")
    named = AttributesPatched({"person": {"name": {"firstName": VICTIMS_NAME}}})
    gold = AttributesPatched({"loyalty": {"tier": "gold"}})
    told = [(key, named) for key in VICTIMS_KEYS] + [(OWN.profile_key, gold)]
    for key, attributes in told:
        wire.keep(
            Interaction(profile_key=key, datastream_id=OPERATOR, changes=(attributes,)),
            Interaction(profile_key=key, datastream_id="demo", changes=(arrived,)),
        )
    return wire


def own_cookies() -> dict[str, str]:
    """The visitor's own, a few minutes old."""
    told = identity_cookies(
        OWN, org=ORG, keys=KEYS, now_ms=NOON_MS - 300_000, source=0, created_ms=NOON_MS - 300_000
    )
    return {cookie.name: cookie.value for cookie in told}


def victims_identity() -> str:
    """The victim's identity cookie, which the SDK can read and which proves nothing."""
    written = StoredIdentity(
        ecid=VICTIM.ecid, created_ms=NOON_MS - 1_000, source=0, written_ms=NOON_MS - 1_000
    )
    return base64.urlsafe_b64encode(identity_bytes(written)).decode()


def state(cookies: dict[str, str]) -> dict[str, Any]:
    """`meta.state` with these cookies."""
    entries = [{"key": name, "value": value} for name, value in cookies.items()]
    return {"domain": "shop.test", "cookiesEnabled": True, "entries": entries}


def cookie_line(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


# ---- what holds ----------------------------------------------------------------


class Wrong(AssertionError):
    """The edge answered as it must never answer."""


def answered(request: Request, wire: Wire, *, proven: bool = False) -> Answered:
    """The answer, once everything holds of it. proven: a server's credential in it is good.

    Raises Wrong, TooSlow, and, where the edge failed, what it failed with.
    """
    sent = request.as_http()
    told = soon(sent, lambda: wire.ask(sent), most_ms=MOST_MS)
    if told.failures:
        raise Wrong(f"{told.status}: it failed inside") from told.failures[0]
    check_form(told)
    if not proven:
        check_the_victim(told, wire.stored)
    return told


def check_form(told: Answered) -> None:
    """A whole answer of ours: 200, 202, 204, or a problem whose status is a 4xx. Nothing is down
    here, so nothing is told to have failed in part."""
    fields = dict(told.headers)
    for name, value in told.headers:
        if not (name + value).isprintable():
            raise Wrong(f"the header {name!r} holds {value!r}")
    if told.status == 204:
        return
    if told.status in (200, 202):
        _check_envelope(told)
    elif 400 <= told.status < 500:
        _check_problem(told, fields.get("content-type", ""))
    else:
        raise Wrong(f"{told.status} {told.body[:500]!r}")


def _check_envelope(told: Answered) -> None:
    envelope = json.loads(told.body)
    if not isinstance(envelope["requestId"], str) or "errors" in envelope:
        raise Wrong(f"{told.body[:500]!r}")
    for handle in envelope.get("handle", () if told.status == 202 else None):
        if not isinstance(handle["type"], str) or not isinstance(handle["payload"], list):
            raise Wrong(f"the handle {handle!r}")


def _check_problem(told: Answered, content_type: str) -> None:
    problem = json.loads(told.body)
    if not content_type.startswith("application/problem+json") or problem["status"] != told.status:
        raise Wrong(f"{told.status} {content_type} {told.body[:500]!r}")
    if not all(isinstance(problem[name], str) for name in ("type", "title", "detail")):
        raise Wrong(f"the problem {problem!r}")


def check_the_victim(told: Answered, before: MemoryDatabase) -> None:
    """Nothing of it was told, nothing of it was changed."""
    for secret in (VICTIMS_NAME, VICTIMS_AUDIENCE):
        if secret.encode() in told.body:
            raise Wrong(f"told of the victim: {told.body[:1_000]!r}")
    after = told.database
    for key in VICTIMS_KEYS:
        if _kept(after, key) != _kept(before, key):
            raise Wrong(f"changed the victim: {_kept(after, key)!r}")


def _kept(database: MemoryDatabase, key: str) -> tuple[object, ...]:
    return database.profiles.get(key), database.events.get(key), database.consents.get(key)
