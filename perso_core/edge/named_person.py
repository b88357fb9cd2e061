"""Whom an authenticated server speaks of: the profile that its call touches."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from perso_core.decision.consent import Consent, refused
from perso_core.decision.dropped import NOTHING_DROPPED, Dropped
from perso_core.decision.identity import Device, Identity, server_key
from perso_core.edge.call import Call
from perso_core.edge.caller import said_out
from perso_core.edge.consult import word_of
from perso_core.edge.problem import FieldBad, PrimaryMissing, shown
from perso_core.edge.services import EdgeServices
from perso_core.edge.version_token import presented, seen_in
from perso_core.edge.wire import RequestMeta
from perso_core.engine.engine import Answer, Interaction


class Person(Struct, frozen=True, kw_only=True):
    """named_key: of the primary identity. profile_key: of the profile that it leads to. ecid: the
    device's that was named or that forwarded cookies prove; None: none. of_device: its consent,
    where it is another profile; None: none, or it is the same one. device_key: of a device that is
    proven or that this datastream has seen; None: there is none. device_out: the device, or the
    browser it is, or another identity of the person said no. tokens: version tokens among the
    cookies that the server forwarded. dropped: what gave way at a cap as identities became hers.
    moved: False: it could not be stored that what the device did is hers.
    """

    named_key: str
    profile_key: str
    ecid: str | None = None
    of_device: Consent | None = None
    device_key: str | None = None
    device_out: bool = False
    tokens: tuple[str, ...] = ()
    dropped: Dropped = NOTHING_DROPPED
    moved: bool = True


async def person_of(
    call: Call,
    primary: Identity | None,
    ecid: str | None,
    meta: RequestMeta,
    services: EdgeServices,
) -> Person:
    """primary: the primary identity of the event. ecid: the ECID in its maps. Without a primary
    identity the device that forwarded cookies prove is meant.

    Raises PrimaryMissing, FieldBad, and what deciding raises.
    """
    cookies = call.cookies(meta)
    proven = call.proven(meta, services.keys)
    ecid = ecid or (proven.ecid if proven else None)
    tokens, out = presented(cookies, call.org), said_out(cookies, call.org)
    device_key = await _device_key(call, ecid, proven, tokens, services) if ecid else None
    if primary is None or primary.namespace == "ECID":
        if device_key is None:
            raise no_primary("event")
        own_word = (await asked(device_key, call, tokens, services)).consent if out else None
        out = refused(own_word, said_out=out)
        return _device_alone(device_key, ecid, out=out, tokens=tokens)
    of_device: Consent | None = None
    if device_key is not None:
        here = proven is not None and proven.profile_key == device_key
        known = await asked(device_key, call, tokens, services, visits=here)
        of_device = word_of(known.consent, device_key)
    own = device_key is not None and device_key != person_key(Identity("ECID", ecid or ""), call)
    named_key = person_key(primary, call)
    return Person(
        named_key=named_key,
        profile_key=named_key,
        ecid=ecid,
        of_device=of_device,
        device_key=device_key if own else None,
        device_out=refused(of_device, said_out=out) or (proven is None and out),
        tokens=tokens,
    )


def _device_alone(key: str, ecid: str | None, *, out: bool, tokens: tuple[str, ...]) -> Person:
    return Person(
        named_key=Device(ecid or "").profile_key,  # also where it is not known any more
        profile_key=key,
        ecid=ecid,
        device_out=out,
        tokens=tokens,
    )


def no_primary(path: str) -> PrimaryMissing:
    return PrimaryMissing(
        f"'{path}.xdm.identityMap' flags no identity as primary, and there is no ECID.",
        fix='Send {"id": "…", "primary": true} in one namespace.',
    )


async def _device_key(
    call: Call,
    ecid: str,
    proven: Device | None,
    tokens: Sequence[str],
    services: EdgeServices,
) -> str:
    """The device's own profile, where forwarded cookies prove it or this datastream has reported
    an event of it; else one of the datastream's own, under the ECID that it named. So another
    datastream's visitor is to this server as one who never came; but for one who refused: that
    word holds for whoever names the device.
    """
    if proven is not None and proven.ecid == ecid:
        return proven.profile_key
    device = Device(ecid).profile_key
    known = await asked(device, call, tokens, services)
    if call.datastream.id in known.datastreams or refused(known.consent):
        return device
    return person_key(Identity("ECID", ecid), call)


def person_key(identity: Identity, call: Call) -> str:
    """The key of the profile that the person has on this datastream. Raises FieldBad for a
    namespace that no person has."""
    if not is_namespace(identity.namespace):
        raise FieldBad(
            f"'{shown(identity.namespace)}' is no namespace of a primary identity.",
            fix="Send one without spaces and colons, e.g. CRMID.",
        )
    return server_key(identity, org=call.org, datastream_id=call.datastream.id)


def is_namespace(text: str) -> bool:
    """Whether keys can hold it: they end their parts with these."""
    return " " not in text and ":" not in text


async def asked(
    profile_key: str,
    call: Call,
    tokens: Sequence[str],
    services: EdgeServices,
    *,
    visits: bool = False,
) -> Answer:
    """What is known of a profile, no older than what the tokens say was told of it. visits: its
    cookies came along."""
    return await services.decided(
        Interaction(
            profile_key=profile_key,
            datastream_id=call.datastream.id,
            visits=visits,
            seen=seen_in(tokens, profile_key, org=call.org, keys=services.keys),
        )
    )
