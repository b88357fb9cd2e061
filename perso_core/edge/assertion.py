"""An identity assertion: a site's signed word, sent by its page, about whose a device is.

It is a JSON Web Token of an issuer that may `identities`, of a `typ` of its own, good for minutes.
Its `sub` is the device, so it is worth nothing without that device's cookies (DESIGN.md,
Identity).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perso_core.decision.graph import OF_DEVICES
from perso_core.decision.identity import Identity
from perso_core.definitions.issuer import Issuer
from perso_core.definitions.snapshot import Snapshot
from perso_core.edge.bearer import issuer_of, taken_apart, time_claim, verify
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.credential import MAX_TOKEN_BYTES
from perso_core.edge.identity_map import claimed
from perso_core.edge.issuer_keys import KeyOf
from perso_core.edge.named_person import person_key
from perso_core.edge.problem import (
    AssertionIgnored,
    ContextBad,
    EdgeError,
    IssuerUnreachable,
    TokenBad,
    TokenExpired,
)
from perso_core.edge.services import EdgeServices
from perso_core.edge.visit import held_by
from perso_core.edge.wire import InteractRequest, SentEvent

TYPE = "perso-identity+jwt"
MAX_LIFE_S = 300
# Where a page puts it: `data.__perso.identityAssertion` of an event.
PLACE, MEMBER = "__perso", "identityAssertion"


async def with_person(
    call: Call, caller: Caller, request: InteractRequest, services: EdgeServices
) -> tuple[Caller, tuple[EdgeError, ...]]:
    """The caller with the person whom an assertion on the events proves, or as it is, with a
    warning that says why one was not taken: a page that lay in a cache is no reason to refuse.
    Raises Unread.
    """
    try:
        text = assertion_in(request.events)
        snapshot = services.snapshot()
        if text is None or snapshot is None:
            return caller, ()
        identity = await asserted(text, call, caller, snapshot, key_of=services.issuer_key)
        return await held_by(person_key(identity, call), call, caller, services), ()
    except IssuerUnreachable:
        why, fix = "The keys of its issuer cannot be fetched now.", "Send it again later."
    except EdgeError as fault:
        why, fix = fault.detail, fault.fix
    return caller, (AssertionIgnored(f"The device alone is known. {why}", fix=fix),)


def assertion_in(events: Sequence[SentEvent]) -> str | None:
    """The assertion of a request; None: it has none. Raises TokenBad for what is no text, or for
    two different ones."""
    places = (event.data.get(PLACE) for event in events)
    found = [place[MEMBER] for place in places if isinstance(place, dict) and MEMBER in place]
    if not found:
        return None
    text = found[0]
    if not isinstance(text, str) or len(text) > MAX_TOKEN_BYTES:
        raise TokenBad("It is no token.", fix="Send it as it was signed.")
    if any(one != text for one in found):
        raise TokenBad("The events of one request have different ones.", fix="Send one.")
    return text


async def asserted(
    text: str, call: Call, caller: Caller, snapshot: Snapshot, *, key_of: KeyOf
) -> Identity:
    """Who holds the caller's device, by an issuer's word. Raises EdgeErrors for an assertion that
    is not good for this device, here and now."""
    token = taken_apart(text, (TYPE,))
    # Before any signature is verified: strangers cannot make us verify theirs.
    if caller.device.new or token.claims.get("sub") != caller.device.ecid:
        raise ContextBad(
            "It is bound to another device than the one that the call's cookies prove.",
            fix="Sign one whose sub is the visitor's ECID, and send the visitor's cookies.",
        )
    issuer = issuer_of(token, snapshot.issuers)
    _refuse_stranger(issuer, call.datastream.id)
    key = await key_of(issuer, token.kid)
    verify(token, issuer, key, audience=call.datastream.id, now_ms=call.now_ms)
    if time_claim(token.claims, "exp") - time_claim(token.claims, "iat") > MAX_LIFE_S:
        raise TokenExpired(
            f"It is good for more than {MAX_LIFE_S} s.", fix="Sign one for each page."
        )
    return _person(token.claims)


def _refuse_stranger(issuer: Issuer, datastream_id: str) -> None:
    if "identities" not in issuer.may or datastream_id not in issuer.datastreams:
        raise ContextBad(
            "Its issuer may not say who somebody is on this datastream.",
            fix='Give the [[issuer]] "identities" in `may`, and the datastream.',
        )


def _person(claims: Mapping[str, Any]) -> Identity:
    """The identity that the assertion names. Raises TokenBad, FieldBad, IdentityBad."""
    named = claims.get("identity")
    named = named if isinstance(named, dict) else {}
    namespace, name = named.get("namespace"), named.get("id")
    if (
        not (isinstance(namespace, str) and isinstance(name, str))
        or namespace.upper() in OF_DEVICES
    ):
        raise TokenBad(
            "Its `identity` names no person.",
            fix='Sign {"identity": {"namespace": "CRMID", "id": "…"}}.',
        )
    (person,) = claimed({namespace: [{"id": name}]}, "identity").claims
    return person
