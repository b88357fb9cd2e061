"""Whose profile a rendered page is about: the device's, or that of the customer who is signed in by
the site's own session."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from msgspec import Struct, structs

from perso_core.decision.consent import refused
from perso_core.decision.graph import OF_DEVICES
from perso_core.decision.identity import Device, Identity, server_key
from perso_core.definitions.datastream import Datastream
from perso_core.edge.caller import Caller
from perso_core.edge.consult import carried
from perso_core.edge.cookies import SOURCE_FIRST_PARTY_ID, CookieKeys
from perso_core.edge.graph import Moving, leads_to, moved_in
from perso_core.edge.identity_map import claimed
from perso_core.edge.named_person import is_namespace
from perso_core.edge.problem import EdgeError
from perso_core.edge.version_token import seen_in
from perso_core.engine.engine import Interaction, Seen
from perso_core.engine.journal import Change
from perso_core.errors import BadIdentity
from perso_core.visitor import PageRequest, Site, Visitor


class Shown(Struct, frozen=True, kw_only=True):
    """profile_key: of the profile that the page is about. device_key: of the device, where that is
    another one; "": it is not. seen: how far the browser has been told of the profile. says: what
    the device's consent says of the customer. refused: the device said no, and nothing is shown.
    """

    profile_key: str
    device_key: str = ""
    seen: Seen
    says: tuple[Change, ...] = ()
    refused: bool = False


async def shown_to(
    customer: Identity,
    device: Device,
    tokens: Sequence[str],
    changes: tuple[Change, ...],
    *,
    keeps: bool,
    said_out: bool,
    datastream: Datastream,
    org: str,
    keys: CookieKeys,
    services: Moving,
) -> Shown:
    """The customer, once what the device did has become part of their profile, as where a page's
    script sends an assertion. keeps: the visit is recorded; who only looks changes nothing.
    changes: what the visit says of consent. said_out: the browser holds the cookie of a refusal.
    Raises BadIdentity, and what deciding raises.
    """
    named = customer_key(customer, org=org, datastream_id=datastream.id)
    person = await leads_to(
        named,
        tokens,
        device=device.profile_key,
        priority=datastream.identity_priority,
        org=org,
        keys=keys,
        graph=services.graph,
    )
    of_device = None
    if not device.new:
        asked = Interaction(
            profile_key=device.profile_key,
            datastream_id=datastream.id,
            visits=True,
            seen=seen_in(tokens, device.profile_key, org=org, keys=keys),
        )
        of_device = (await services.decide(asked)).consent
    seen = seen_in(tokens, person, org=org, keys=keys)
    if refused(of_device, said_out=said_out):
        return Shown(profile_key=person, device_key=device.profile_key, seen=seen, refused=True)
    says = carried(of_device, keeps=keeps)
    if keeps and not device.new:
        both = (*says, *changes)
        await moved_in(datastream, device.profile_key, person, both, of_device, services)
        # Whoever has seen what the device did, sees it in the customer's profile from now on.
        seen = seen.joined(services.graph.to_see(person, left=device.profile_key))
    return Shown(profile_key=person, device_key=device.profile_key, seen=seen, says=says)


def untold(request: PageRequest, caller: Caller, *, site: Site, org: str) -> Visitor:
    """Of whom nothing is told. What they say next, or have forgotten, is of their profile all the
    same, as far as the request says whose it is."""
    device, new, stream = caller.device, caller.device.new, request.datastream_id
    named = device.ecid if caller.source == SOURCE_FIRST_PARTY_ID else None
    key = "" if new else device.profile_key
    nobody = Visitor(
        state="unavailable", site=site, datastream_id=stream, profile_key=key, named_ecid=named
    )
    if request.customer is None:
        return nobody
    with contextlib.suppress(BadIdentity):
        return structs.replace(
            nobody,
            ecid=device.ecid if new else None,
            profile_key=customer_key(request.customer, org=org, datastream_id=stream),
            device_key=device.profile_key,
        )
    return nobody


def customer_key(customer: object, *, org: str, datastream_id: str) -> str:
    """The key under which servers of the datastream keep the customer, as the site's session has
    it, whatever types say. Raises BadIdentity."""
    if not isinstance(customer, Identity):
        raise BadIdentity(f"a {type(customer).__name__}.", fix='Give Identity("CRMID", …).')
    namespace: object = customer.namespace
    if not isinstance(namespace, str):
        raise BadIdentity(f"{namespace!r} is no namespace.", fix="Name CRMID, Email, ….")
    if namespace.upper() in OF_DEVICES or not is_namespace(namespace):
        raise BadIdentity(f"{namespace!r} is no namespace of people.", fix="Name CRMID, Email, ….")
    try:
        claimed({namespace: [{"id": customer.id}]}, "customer")
    except EdgeError as fault:
        raise BadIdentity(fault.detail, fix=fault.fix) from None
    return server_key(customer, org=org, datastream_id=datastream_id)
