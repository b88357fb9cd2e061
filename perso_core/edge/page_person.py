"""Whose profile a rendered page is about: the device's, or that of the customer who is signed in by
the site's own session."""

from __future__ import annotations

import contextlib

from msgspec import structs

from perso_core.decision.graph import OF_DEVICES
from perso_core.decision.identity import Identity, server_key
from perso_core.edge.caller import Caller
from perso_core.edge.cookies import SOURCE_FIRST_PARTY_ID
from perso_core.edge.identity_map import claimed
from perso_core.edge.named_person import is_namespace
from perso_core.edge.problem import EdgeError
from perso_core.errors import BadIdentity
from perso_core.visitor import PageRequest, Site, Visitor


def untold(request: PageRequest, caller: Caller, *, site: Site, org: str) -> Visitor:
    """Of whom nothing is told. What they say next, or have forgotten, is of their profile all the
    same, as far as the request says whose it is."""
    device, new, stream = caller.device, caller.device.new, request.datastream_id
    named = device.ecid if caller.source == SOURCE_FIRST_PARTY_ID else None
    key = "" if new else device.profile_key
    nobody = Visitor(
        state="unavailable",
        site=site,
        datastream_id=stream,
        profile_key=key,
        named_ecid=named,
        gpc=request.gpc,
        said_out=caller.said_out,
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
