"""identity/acquire: tell a page its visitor's ECID. No profile is written."""

from __future__ import annotations

from perso_core.edge.admission import admit, admit_at_sight
from perso_core.edge.call import Call, Reply, fetch_warnings
from perso_core.edge.consult import consult
from perso_core.edge.cookies import cluster_cookie
from perso_core.edge.identity_map import claimed
from perso_core.edge.interact import without_consent
from perso_core.edge.overrides import overrides_from
from perso_core.edge.services import EdgeServices
from perso_core.edge.wire import (
    AcquireRequest,
    decode_request,
    identity_result,
    location_hint,
)


async def acquire(call: Call, services: EdgeServices) -> Reply:
    """Raises EdgeError for a fault in the request, and what consult raises."""
    if (at_sight := admit_at_sight(call, services)) is not None:
        call = await at_sight
    request = decode_request(call.body, AcquireRequest)
    overrides_from(request.meta.config_overrides)
    named = claimed(request.xdm.identity_map, "xdm.identityMap")
    caller = call.caller(
        request.meta, named.ecid, named.claims, keys=services.keys, entropy=services.entropy
    )
    if (waiting := admit(call, caller, services)) is not None:
        await waiting
    consulted = await consult(call, caller, (), services)
    warnings = fetch_warnings(request.query)
    if not consulted.permitted:
        return without_consent(call, consulted, warnings)
    cookies = caller.cookies(org=call.org, keys=services.keys, now_ms=call.now_ms)
    cluster = cluster_cookie(call.org, services.location_hint)
    stored, set_cookies = call.kept(request.meta, cookies, cluster)
    return call.reply(
        [identity_result(caller.device.ecid), location_hint(services.location_hint), *stored],
        errors=consulted.errors,
        warnings=warnings,
        set_cookies=set_cookies,
    )
