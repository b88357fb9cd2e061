"""privacy/set-consent: the visitor says what may be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from perso_core.edge.call import Call, Reply, fetch_warnings
from perso_core.edge.caller import Caller
from perso_core.edge.consult import choose, consult
from perso_core.edge.cookies import consent_cookie
from perso_core.edge.identity_map import claimed
from perso_core.edge.overrides import overrides_from
from perso_core.edge.problem import ConsentBad, EdgeError, FieldBad, FieldMissing, shown
from perso_core.edge.services import EdgeServices
from perso_core.edge.wire import (
    ConsentRequest,
    SentConsent,
    decode_request,
    identity_result,
    state_store,
)

# `pending` also stands for `not_provided`: the visitor has not chosen.
Said = Literal["in", "out", "pending"]

# What callers may send. All but Adobe 1.0 is refused as not supported yet.
VERSIONS: Mapping[str, frozenset[str]] = {
    "Adobe": frozenset({"1.0", "2.0"}),
    "IAB TCF": frozenset({"2.0"}),
}
GENERAL: Mapping[str, Said] = {
    "in": "in",
    "out": "out",
    "pending": "pending",
    "not_provided": "pending",
}


async def set_consent(call: Call, services: EdgeServices) -> Reply:
    """Keep the choice. The answer names the visitor: the SDK holds a consent without an identity
    for void, so an identity is made where there is none. `pending` changes nothing on disk.

    Raises EdgeError for a fault in the request, and what consult raises.
    """
    request = decode_request(call.body, ConsentRequest)
    overrides_from(request.meta.config_overrides)
    named = claimed(request.identity_map, "identityMap")
    said = said_in(request.consent)
    caller = call.caller(request.meta, named.ecid, keys=services.keys, entropy=services.entropy)
    warnings = fetch_warnings(request.query)
    if said == "pending":
        return await _not_chosen(call, caller, warnings, services)
    await choose(call, caller, said, services)
    cookies = caller.cookies(org=call.org, keys=services.keys, now_ms=call.now_ms)
    told = (*cookies, consent_cookie(call.org, said))
    return call.reply(
        [
            identity_result(caller.device.ecid),
            state_store(told, same_site_none=call.same_site_none),
        ],
        warnings=warnings,
    )


async def _not_chosen(
    call: Call, caller: Caller, warnings: tuple[EdgeError, ...], services: EdgeServices
) -> Reply:
    """The page waits for a choice: what stands on disk stays. The SDK is told to hold its events
    back, or that the visitor is out; never that it may send.
    """
    consulted = await consult(call, caller, (), services)
    general: Said = "out" if consulted.chosen == "out" else "pending"
    told = consent_cookie(call.org, general)
    handles = [state_store((told,), same_site_none=call.same_site_none)]
    if caller.proof is not None:
        handles.insert(0, identity_result(caller.device.ecid))
    return call.reply(handles, warnings=warnings)


def said_in(consent: tuple[SentConsent, ...]) -> Said:
    """What the consent objects say: each must be sound, and the last one counts.

    Raises FieldBad, FieldMissing, ConsentBad.
    """
    said = [_said(sent, f"consent[{index}]") for index, sent in enumerate(consent)]
    return said[-1]


def _said(sent: SentConsent, path: str) -> Said:
    versions = VERSIONS.get(sent.standard)
    if versions is None:
        raise _refused(f"{path}.standard", sent.standard, 'Send "Adobe".')
    if sent.version not in versions:
        raise _refused(f"{path}.version", sent.version, 'Send "1.0".')
    if sent.value is None:
        raise FieldMissing(f"'{path}.value' is required.", fix="Send it.")
    if sent.value == "":
        raise ConsentBad(f"'{path}.value' is empty.", fix="Send what the visitor chose.")
    if (sent.standard, sent.version) != ("Adobe", "1.0"):
        standard = f"{sent.standard} {sent.version}"
        raise _refused(path, standard, "It is not supported yet: send Adobe 1.0.")
    return _general(sent.value, f"{path}.value")


def _general(value: Any, path: str) -> Said:
    if not isinstance(value, dict):
        raise _refused(path, str(value), 'Send {"general": "in"} or {"general": "out"}.')
    for purpose in value:
        if purpose != "general":
            raise _refused(f"{path}.{shown(purpose)}", str(value[purpose]), "Send general alone.")
    if "general" not in value:
        raise FieldMissing(f"'{path}.general' is required.", fix='Send "in" or "out".')
    general = value["general"]
    if not isinstance(general, str) or general not in GENERAL:
        raise _refused(f"{path}.general", str(general), 'Send "in" or "out".')
    return GENERAL[general]


def _refused(path: str, value: str, fix: str) -> FieldBad:
    return FieldBad(f"'{path}' is '{shown(value)}'.", fix=fix)
