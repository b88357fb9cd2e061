"""What a page says of its visitor: attributes, a choice, and that they want to be forgotten. It is
durable by the time the visitor after it is returned (perso_core.visitor.Site)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import structs

from perso_core.decision.attributes import sound_attributes
from perso_core.decision.consent import refused
from perso_core.decision.identity import Device, device_of, ecid_from
from perso_core.edge import cookies
from perso_core.edge.as_stored import as_stored
from perso_core.edge.caller import Caller, named_device
from perso_core.edge.consult import of_holder
from perso_core.edge.graph import MAX_LEADS
from perso_core.edge.services import EdgeServices
from perso_core.edge.version_token import presented
from perso_core.engine.engine import NOTHING_SEEN, Interaction, Seen
from perso_core.engine.interaction import ALL_THAT_IS_STORED
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    Forgotten,
    PrivacySignalled,
)
from perso_core.errors import BadChoice, StoreUnavailable, UnknownDatastream
from perso_core.visitor import SetCookie, Visitor


async def update(
    visitor: Visitor, attributes: Mapping[str, Any], services: EdgeServices
) -> Visitor:
    """A visitor with no profile gets one, and the cookies that prove it. Raises BadAttributes."""
    sound = sound_attributes(attributes)
    _refuse_unasked(visitor)
    if await _device_refuses(visitor, services):
        return structs.replace(visitor, state="no-consent")
    return await _change(visitor, AttributesPatched(sound), services)


async def choose_consent(
    visitor: Visitor, general: Literal["in", "out"], services: EdgeServices
) -> Visitor:
    """Of a signed-in customer it is the device's choice as well. Raises BadChoice."""
    if general not in ("in", "out"):  # a form's own word, whatever types say
        raise BadChoice(f"{general!r}.", fix='Choose "in" or "out".')
    _refuse_unasked(visitor)
    if visitor.device_key:
        await _durably(visitor, visitor.device_key, ConsentChosen(general), services)
    chosen = await _change(visitor, ConsentChosen(general), services)
    word = cookies.consent_cookie(services.in_force.org, general)
    before = (one for one in chosen.cookies if one.name != word.name)
    told = (*before, *_first_cookies(visitor, services), word)
    return structs.replace(chosen, cookies=told, said_out=general == "out")


async def forget(visitor: Visitor, services: EdgeServices) -> Visitor:
    """Of a signed-in customer the device is forgotten as well, and what is kept under her other
    identities, such as a consent: last, so that where this breaks off they lead to the profile as
    long as it is there. The device goes first: what another process moves from it meanwhile is in
    the profile by then. Raises StoreUnavailable."""
    _refuse_unasked(visitor)
    if visitor.device_key:
        await _durably(visitor, visitor.device_key, Forgotten(), services)
    for _ in range(MAX_LEADS):
        key = await _by_now(visitor, services)
        others = await services.graph.leading(key) if visitor.device_key else ()
        if key:
            await _durably(visitor, key, Forgotten(linked_to=""), services)
        for one in others:  # which lead nowhere once the profile is gone
            await _durably(visitor, one, Forgotten(linked_to=""), services)
        # Else another process made it part of another one meanwhile, and this came to nothing.
        if await _by_now(visitor, services) in (key, *others):
            break
    else:
        raise StoreUnavailable(
            f"the visitor became part of another profile {MAX_LEADS} times meanwhile.",
            fix="Ask again.",
        )
    names = cookies.cookie_names(services.in_force.org)
    cleared = tuple(
        SetCookie(name, "", 0)
        for name in (names.identity, names.mac, names.consent, names.cluster, names.version)
    )
    return Visitor(
        state="new",
        site=visitor.site,
        datastream_id=visitor.datastream_id,
        alias=visitor.alias,
        cookies=cleared,
        gpc=visitor.gpc,
    )


def _caller_named(ecid: str | None, services: EdgeServices) -> Caller:
    """Somebody new. ecid: by which the site's own device id names them."""
    entropy = services.entropy
    if ecid is None:
        device = Device(ecid_from(entropy(16)), new=True)
        return Caller(device=device, device_key=device.profile_key)
    device = named_device(ecid, entropy)
    return Caller(device=device, device_key=device.profile_key, source=_source(ecid))


def _with_token(visitor: Visitor, sent: Sequence[str], services: EdgeServices) -> Visitor:
    """The visitor with the version token to be set, once what was decided is on disk."""
    beside = visitor.device_key or None
    tokens = services.tokens(sent, visitor.profile_key, services.in_force.org, beside=beside)
    return structs.replace(visitor, cookies=(*visitor.cookies, *tokens))


async def _durably(visitor: Visitor, key: str, change: Change, services: EdgeServices) -> None:
    said = Interaction(
        profile_key=key,
        datastream_id=visitor.datastream_id,
        changes=_with_signal(visitor, change),
        seen=_to_be_seen(change, services),
    )
    answer = await services.decided(said)
    await services.durable(answer.sequence)


def _to_be_seen(change: Change, services: EdgeServices) -> Seen:
    """Before it is decided. A choice that is said again changes nothing here: another process may
    have kept another one since."""
    if services.seen is None or not isinstance(change, ConsentChosen):
        return NOTHING_SEEN
    return ALL_THAT_IS_STORED


def _first_cookies(visitor: Visitor, services: EdgeServices) -> tuple[SetCookie, ...]:
    """Those of a signed-in customer's device that has none, and gets none before there is a choice:
    else it would be asked again once they sign out."""
    if visitor.state in ("known", "new") or visitor.ecid is None:
        return ()
    key = visitor.device_key
    first = Caller(device=device_of(key), device_key=key, source=_source(visitor.named_ecid))
    now_ms = services.clock_ms()
    return first.cookies(org=services.in_force.org, keys=services.keys, now_ms=now_ms)


async def _by_now(visitor: Visitor, services: EdgeServices) -> str:
    """The key of the visitor's profile: of a signed-in customer as it is stored, for another
    process may have linked the identity since the page was shown."""
    if not visitor.device_key:
        return visitor.profile_key
    return await services.graph.canonical(visitor.profile_key, anew=True)


async def _device_refuses(visitor: Visitor, services: EdgeServices) -> bool:
    """It does so for whoever is signed in on it. What is stored of the profile itself, the engine
    knows."""
    if not visitor.device_key and not visitor.said_out:
        return False
    device = visitor.device_key or visitor.profile_key
    if not device:
        return visitor.said_out
    asked = Interaction(profile_key=device, datastream_id=visitor.datastream_id)
    answer = await services.decided(asked)
    return refused(answer.consent, said_out=visitor.said_out)


async def _change(visitor: Visitor, change: Change, services: EdgeServices) -> Visitor:
    now_ms = services.clock_ms()
    if visitor.datastream_id not in services.in_force.datastreams:
        raise UnknownDatastream(
            f"{visitor.datastream_id!r}.", fix="Use the id of a defined datastream."
        )
    begins = None if visitor.profile_key else _caller_named(visitor.named_ecid, services)
    key = begins.profile_key if begins else await _by_now(visitor, services)
    says = await _of_visitor(visitor, change, services)
    for _ in range(MAX_LEADS):
        interaction = Interaction(
            profile_key=key,
            datastream_id=visitor.datastream_id,
            changes=says,
            new=begins is not None,
            seen=_to_be_seen(change, services) if begins is None else NOTHING_SEEN,
        )
        answer = await services.decided(interaction)
        await services.durable(answer.sequence)
        # Where another process linked it meanwhile, what was kept becomes that profile's.
        key = await services.graph.canonical(interaction.profile_key)
        if key == interaction.profile_key:
            break
    answer = await as_stored(answer, interaction, services)
    if begins is not None and not answer.permitted and not isinstance(change, ConsentChosen):
        # Nothing was kept, and a device that is not proven yet gets no cookie without consent.
        return structs.replace(visitor, state="no-consent")
    after = structs.replace(
        visitor,
        state="known" if answer.permitted else "no-consent",
        profile_key=key,
        lookup=answer.lookups[-1],
    )
    if begins is not None:
        own = begins.cookies(org=services.in_force.org, keys=services.keys, now_ms=now_ms)
        after = structs.replace(after, ecid=begins.device.ecid, cookies=own)
    name = cookies.cookie_names(services.in_force.org).version
    held = {name: tuple(one.value for one in after.cookies if one.name == name)}
    return _with_token(after, presented(held, services.in_force.org), services)


async def _of_visitor(
    visitor: Visitor, change: Change, services: EdgeServices
) -> tuple[Change, ...]:
    """As _with_signal, of the visitor: to a signed-in customer the signal is the device's word."""
    says, device = _with_signal(visitor, change), visitor.device_key
    if len(says) == 1 or not device:
        return says
    asked = Interaction(profile_key=device, datastream_id=visitor.datastream_id)
    of_device = (await services.decided(asked)).consent
    return tuple(of_holder(says, of_device, device))


def _with_signal(visitor: Visitor, change: Change) -> tuple[Change, ...]:
    """What a page says of its visitor, and what the browser does: where that is to be kept."""
    if not visitor.gpc or isinstance(change, Forgotten):
        return (change,)
    return (change, PrivacySignalled())


def _source(named_ecid: str | None) -> int:
    """Where a new device's ECID comes from. named_ecid: as of a Visitor."""
    return cookies.SOURCE_RANDOM if named_ecid is None else cookies.SOURCE_FIRST_PARTY_ID


def _refuse_unasked(visitor: Visitor) -> None:
    """Their cookies were not read: what is said of them would be kept as somebody else's, and
    nothing would be forgotten."""
    if not visitor.asked:
        raise StoreUnavailable(
            "this visitor was not looked up.", fix="Look the visitor up again, and ask then."
        )
