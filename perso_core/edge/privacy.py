"""What a visitor may ask for, asked by a server that may: show, export and erase, on the datastream
of the call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import structs

from perso_core.decision.identity import Device, Identity
from perso_core.edge.call import Call, Reply
from perso_core.edge.identity_map import checked_identity
from perso_core.edge.named_person import person_key
from perso_core.edge.problem import NoSuchPath, NotHeard, PrivacyRefused, TokenBad
from perso_core.edge.services import EdgeServices, PrivacyServices
from perso_core.edge.wire import PrivacyRequest, decode_request
from perso_core.errors import NotHeardEverywhere
from perso_core.stores.protocol import Whole
from perso_core.stores.telling import counted, exported, told

# An erasure waits until every running server has heard of it (30 s, then it names the late).
WITHIN_MS = 40_000


async def show(call: Call, services: EdgeServices) -> Reply:
    """Each profile in short, as of now. Raises EdgeError, StoreUnavailable."""
    privacy, identity = _asked(call, services)
    profiles = []
    for key in await _found(identity, call, privacy):
        profile = await privacy.current(key)
        profiles.append({"key": key, **(told(profile) if profile else {})})
    return _reply(call, {"identity": msgspec.to_builtins(identity), "profiles": profiles})


async def export(call: Call, services: EdgeServices) -> Reply:
    """Everything. Raises EdgeError, StoreUnavailable."""
    privacy, identity = _asked(call, services)
    return _reply(call, exported(identity, await _found(identity, call, privacy)))


async def erase(call: Call, services: EdgeServices) -> Reply:
    """Erase it; how much it was. Also where nothing is: what is being decided does not come back.
    Raises EdgeError, StoreUnavailable."""
    privacy, identity = _asked(call, services)
    found = await _found(identity, call, privacy)
    erased = {"identity": msgspec.to_builtins(identity), "erased": counted(found)}
    try:
        await privacy.forget(tuple(dict.fromkeys((*found, person_key(identity, call)))))
    except NotHeardEverywhere as late:
        problem = NotHeard(f"It is erased, but {late.detail}", fix=late.fix)
        errors = [problem.problem(call.report)]
        told = _reply(call, {**erased, "handle": [], "errors": errors})
        return structs.replace(told, status=207, failed=(problem.code,))
    return _reply(call, erased)


def _asked(call: Call, services: EdgeServices) -> tuple[PrivacyServices, Identity]:
    """Raises TokenBad, PrivacyRefused, NoSuchPath, FieldBad, IdentityBad."""
    if services.privacy is None:
        raise NoSuchPath("This edge keeps nothing.", fix="Ask the one that does.")
    if call.context is None:
        raise TokenBad("The call shows no credential.", fix="Send a bearer token or an API key.")
    if "privacy" not in call.context.may:
        raise PrivacyRefused(
            "The credential may not show, export or erase.", fix='Give it "privacy" in `may`.'
        )
    sent = decode_request(call.body, PrivacyRequest).identity
    return services.privacy, checked_identity(sent.namespace, sent.id, "identity")


async def _found(identity: Identity, call: Call, privacy: PrivacyServices) -> Mapping[str, Whole]:
    """What is kept of the identity on this datastream, by key: under its own and those of the
    person that it is part of, and of an ECID those devices that the datastream had events of."""
    found = dict(await privacy.whole([person_key(identity, call)]))
    if identity.namespace == "ECID":
        devices = await privacy.whole(await privacy.devices(Device(identity.id).profile_key))
        for key, whole in devices.items():
            profile = whole.stored.profile
            if profile is not None and call.datastream.id in profile.datastreams:
                found[key] = whole
    return {key: whole for key, whole in found.items() if whole.holds_something}


def _reply(call: Call, answer: Mapping[str, Any]) -> Reply:
    return Reply(200, msgspec.json.encode({"requestId": call.request_id, **answer}))
