"""privacy/set-consent: the visitor says what may be done."""

from __future__ import annotations

from perso_core.decision.consent import Choice
from perso_core.definitions.datastream import DefaultConsent
from perso_core.edge.admission import admit, before_answer
from perso_core.edge.call import Call, Reply, fetch_warnings
from perso_core.edge.caller import Caller
from perso_core.edge.consent_objects import Said, Spoken, spoken_in, stated, unreadable_string
from perso_core.edge.consult import all_stored, choose, consult
from perso_core.edge.cookies import consent_cookie
from perso_core.edge.identity_map import claimed
from perso_core.edge.overrides import overrides_from
from perso_core.edge.problem import EdgeError
from perso_core.edge.services import EdgeServices
from perso_core.edge.wire import ConsentRequest, decode_request, identity_result, state_store
from perso_core.engine.journal import ConsentChosen


async def set_consent(call: Call, services: EdgeServices) -> Reply:
    """Keep what was said. The answer names the visitor: the SDK holds a consent without an identity
    for void, so an identity is made where there is none. `pending` changes nothing on disk.

    Raises EdgeError for a fault in the request, and what consult raises.
    """
    request = decode_request(call.body, ConsentRequest)
    overrides_from(request.meta.config_overrides)
    named = claimed(request.identity_map, "identityMap")
    spoken = spoken_in(request.consent, call.datastream)
    caller = call.caller(
        request.meta, named.ecid, named.claims, keys=services.keys, entropy=services.entropy
    )
    unreadable = [unreadable_string(reason) for reason in spoken.unreadable]
    warnings = (*unreadable, *fetch_warnings(request.query))
    general = _choice(spoken)
    if general is None and spoken.share is None:
        return await _not_chosen(call, caller, spoken, warnings, services)
    said = ConsentChosen(general, spoken.share, call.gpc, stated(request.consent))
    # What a visitor says is never refused.
    if caller.device.new and (waiting := admit(call, caller, services)) is not None:
        await waiting
    consulted = await choose(call, caller, said, services)
    if caller.device.new:
        await before_answer(services)
    holds = told(spoken, consulted.chosen, call.datastream.default_consent)
    cookies = caller.cookies(org=call.org, keys=services.keys, now_ms=call.now_ms)
    # Also of a refusal: no process may answer by what was before.
    cookies += services.tokens_of(caller, call.org)
    stored, set_cookies = call.kept(request.meta, cookies, consent_cookie(call.org, holds))
    return call.reply(
        [identity_result(caller.device.ecid), *stored],
        errors=consulted.errors,
        warnings=warnings,
        set_cookies=set_cookies,
    )


def told(spoken: Spoken, chosen: Choice | None, default: DefaultConsent) -> Said:
    """What the consent cookie says. chosen: what the visitor is known to have chosen.

    Where the page waits for a choice, the SDK is told to hold its events back, or that the visitor
    is out; never that it may send.
    """
    general = _choice(spoken)
    if general is not None:
        return general
    if spoken.general == "pending":
        return "out" if chosen == "out" else "pending"
    return chosen or default


def _choice(spoken: Spoken) -> Choice | None:
    return spoken.general if spoken.general != "pending" else None


async def _not_chosen(
    call: Call,
    caller: Caller,
    spoken: Spoken,
    warnings: tuple[EdgeError, ...],
    services: EdgeServices,
) -> Reply:
    """Nothing was decided: what stands on disk stays."""
    if (waiting := admit(call, caller, services)) is not None:
        await waiting
    # The cookie may say what somebody else is about to keep.
    consulted = all_stored(await consult(call, caller, (), services))
    holds = told(spoken, consulted.chosen, call.datastream.default_consent)
    handles = [state_store((consent_cookie(call.org, holds),), same_site_none=call.same_site_none)]
    if caller.proof is not None:
        handles.insert(0, identity_result(caller.device.ecid))
    return call.reply(handles, errors=consulted.errors, warnings=warnings)
