"""Ask the engine about a caller, and wait until what it decided is on disk."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator
from functools import partial

from msgspec import Struct, structs

from perso_core.decision.consent import (
    Choice,
    Consent,
    may_collect,
    refused,
    sharing_refused,
    signal_known,
)
from perso_core.decision.event import Event
from perso_core.decision.lookup import Lookup
from perso_core.decision.profile import mark_of
from perso_core.edge.as_stored import as_stored, decided_again
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller
from perso_core.edge.graph import moved_in
from perso_core.edge.problem import EdgeError
from perso_core.edge.services import EdgeServices
from perso_core.edge.unstored import (
    Unread,
    failures,
    finished,
    on_disk,
    on_disk_first,
)
from perso_core.edge.version_token import seen_in
from perso_core.engine.engine import Answer, Interaction
from perso_core.engine.interaction import ALL_THAT_IS_STORED, NOTHING_SEEN, Seen
from perso_core.engine.journal import Change, ConsentChosen, EventArrived, PrivacySignalled
from perso_core.errors import Overloaded, StoreUnavailable


class Consulted(Struct, frozen=True, kw_only=True):
    """permitted: whether a profile may be kept and answered from. chosen: what the visitor chose,
    None: never chose, or it is not the device that refuses. lookups: the last ones belong to the
    changes that were asked about, in their order; everything they tell is on disk, unless stored is
    False: then it may be told for this call alone, with the error. unreadable: why a consent string
    of this very request cannot be read, and so permits nothing; "": there was none such. known:
    there is a profile.
    """

    permitted: bool
    chosen: Choice | None = None
    lookups: tuple[Lookup, ...] = ()
    unreadable: str = ""
    stored: bool = True
    known: bool = False

    @property
    def errors(self) -> tuple[EdgeError, ...]:
        """What failed, and yet this could be told."""
        return failures(stored=self.stored)


def consult(
    call: Call, caller: Caller, changes: tuple[Change, ...], services: EdgeServices
) -> Awaitable[Consulted]:
    """Raises Unread, UnknownDatastream, and StoreUnavailable where a refusal was not stored: then
    nothing may be told."""
    if caller.of_device_alone:
        return _kept(call, caller, caller.device_key, changes, services)
    return _consult(call, caller, changes, services)


async def _consult(
    call: Call, caller: Caller, changes: tuple[Change, ...], services: EdgeServices
) -> Consulted:
    if caller.said_out and caller.device.new:
        # The store's word counts, but of a new device it has none: the browser's own `out` does.
        return Consulted(permitted=False, chosen="out")
    if caller.person is not None:
        return await _consult_of_person(call, caller, caller.person, changes, services)
    if caller.said_out:
        changes = (*_browsers_refusal(caller), *changes)
    if caller.replaced is not None:
        changes = (*await _carried_consent(call, caller, services), *changes)
    if caller.device.new and not changes:
        return Consulted(permitted=may_collect(None, call.datastream.default_consent))
    return await _kept(call, caller, caller.device_key, changes, services)


async def _consult_of_person(
    call: Call, caller: Caller, person: str, changes: tuple[Change, ...], services: EdgeServices
) -> Consulted:
    """Of whoever holds the device: as on the server API, with the device's consent on top."""
    device = caller.device_key
    if caller.device.new:  # of which nothing is kept but that
        of_person = tuple(of_holder(changes, None, device))
        consulted = _of_person(await _kept(call, caller, person, of_person, services))
        # Who refused is told of no device.
        heard = not consulted.permitted or await _signalled(call, caller, None, changes, services)
        return consulted if heard else structs.replace(consulted, stored=False)
    own = await _consent_of(call, caller, device, services)
    if refused(own, said_out=caller.said_out):
        return Consulted(permitted=False, chosen="out")
    heard = await _signalled(call, caller, own, changes, services)
    of_device = word_of(own, device)
    changes = tuple(of_holder(changes, of_device, device))
    events = [change.event for change in changes if isinstance(change, EventArrived)]
    says = carried(of_device, keeps=bool(events))
    moved = True
    if events:
        said = (*says, *(one for one in changes if not isinstance(one, EventArrived)))
        word = partial(carried_of, device)
        moving = moved_in(call.datastream, device, person, said, of_device, services, word=word)
        moved = await finished(moving)
        # What moves is the person's by more than this word; what is sent again alone says nothing.
        says = carried(of_device, keeps=True, by=events[-1])
    consulted = _of_person(await _kept(call, caller, person, (*says, *changes), services))
    return consulted if moved and heard else structs.replace(consulted, stored=False)


async def _signalled(
    call: Call,
    caller: Caller,
    of_device: Consent | None,
    changes: tuple[Change, ...],
    services: EdgeServices,
) -> bool:
    """Keep the browser's signal, where it is in the changes and new, of the device as well: it
    holds for whoever is there once the person has left. Whether that is stored."""
    says = tuple(one for one in changes if isinstance(one, PrivacySignalled))
    if not says or signal_known(of_device):
        return True
    return (await _kept(call, caller, caller.device_key, says, services)).stored


def _of_person(consulted: Consulted) -> Consulted:
    """What is told to the device: its browser would keep the person's refusal as its own, and
    refuse whoever comes next."""
    return consulted if consulted.permitted else structs.replace(consulted, chosen=None)


def carried(
    of_device: Consent | None, *, keeps: bool, by: Event | None = None
) -> tuple[Change, ...]:
    """What a device's consent, which is not `out`, says of the person who holds it: its `in` where
    the person has not chosen and the call keeps something, its word on sharing in any case: a
    refusal, or that its own refusal is taken back. of_device: as word_of has it. by: the event
    without which it is not said, as where that was erased; None: it is said in any case.
    """
    if of_device is None:
        return ()
    says: list[Change] = []
    if keeps and of_device.general == "in":
        says.append(ConsentChosen("in", unless_chosen=True, by=by))
    against = sharing_refused(of_device)
    if against is not None and against.reason == "gpc":
        says.append(PrivacySignalled(by=by, of=of_device.share_of))
    elif of_device.share is not None:
        word = ConsentChosen(
            None,
            of_device.share,
            gpc=against is None and of_device.gpc_since_ms is not None,
            stated=of_device.stated,
            of=of_device.share_of,
            said_ms=of_device.share_since_ms,
            by=by,
        )
        says.append(word)
    return tuple(says)


def carried_of(key: str, consent: Consent | None, *, by: Event | None = None) -> tuple[Change, ...]:
    """What a consent kept under a key says of the person whom its profile became part of."""
    return carried(word_of(consent, key), keeps=True, by=by)


def word_of(consent: Consent | None, key: str) -> Consent | None:
    """What is chosen under a key, as it is told of whoever else it holds for: with whose word on
    sharing it is."""
    if consent is None or consent.share_of:
        return consent
    return structs.replace(consent, share_of=mark_of(key).hex())


def of_holder(
    changes: Iterable[Change], of_device: Consent | None, device: str
) -> Iterator[Change]:
    """What a call says of the person who holds the device: the browser's signal is the device's,
    and says nothing where its word for sharing was said in knowledge of it."""
    for change in changes:
        if not isinstance(change, PrivacySignalled):
            yield change
        elif of_device is None or of_device.gpc_since_ms is None or sharing_refused(of_device):
            yield structs.replace(change, of=mark_of(device).hex())


async def choose(
    call: Call, caller: Caller, said: ConsentChosen, services: EdgeServices
) -> Consulted:
    """Keep what the visitor said, durably. Raises as consult does."""
    if caller.replaced is not None and said.general == "out":
        # The browser is that one too, and what it did under it is known.
        await refuse(call, caller, said, services)
    # What it says nothing about stays, also where the browser alone has that word.
    before = _browsers_refusal(caller) if said.general is None else ()
    changes = (*await _carried_consent(call, caller, services), *before, said)
    # Said again it changes nothing here: another process may have kept another choice since.
    again = services.seen is not None and not caller.device.new
    consulted = await _kept(call, caller, caller.device_key, changes, services, anew=again)
    return all_stored(consulted)


def _browsers_refusal(caller: Caller) -> tuple[Change, ...]:
    """What the browser's own cookie says of its device, which counts where the store has no word
    of that."""
    return (ConsentChosen("out", unless_chosen=True),) if caller.said_out else ()


async def refuse(
    call: Call, caller: Caller, said: ConsentChosen, services: EdgeServices
) -> Consulted:
    """Keep a refusal of the device that the browser is known as. A browser that is not known gets
    no identity for it: its consent cookie is all there is. Raises as consult does."""
    device = caller.replaced or caller.device
    if not device.new:
        all_stored(await _kept(call, caller, device.profile_key, (said,), services))
    return Consulted(permitted=False, chosen="out")


async def _kept(
    call: Call,
    caller: Caller,
    profile_key: str,
    changes: tuple[Change, ...],
    services: EdgeServices,
    *,
    anew: bool = False,
) -> Consulted:
    """profile_key: of the caller's device, the one it replaced, or the person. anew: by what is
    stored, be it known here or not."""
    of_device = profile_key == caller.device_key
    new = caller.device.new and of_device
    interaction = Interaction(
        profile_key=profile_key,
        datastream_id=call.datastream.id,
        changes=changes,
        new=new,
        visits=not new,
        unsigned=of_device and not new and caller.proof is None,
        seen=ALL_THAT_IS_STORED if anew else _seen_of(call, caller, profile_key, services),
    )
    try:
        asked = services.decide(interaction)
        answer = asked if isinstance(asked, Answer) else await asked
        stored = _ahead(answer, changes, services) or await _stored(
            call, caller, answer.sequence, services
        )
        if stored and decided_again(answer, services):
            answer = await as_stored(answer, interaction, services)
    except (StoreUnavailable, Overloaded) as why:
        raise _unread(caller) from why
    consulted = Consulted(
        stored=stored,
        permitted=answer.permitted,
        chosen=answer.consent.general if answer.consent else None,
        lookups=answer.lookups,
        known=answer.known,
    )
    # What stands against telling anything must not be said before it stands.
    return consulted if consulted.permitted else all_stored(consulted)


def _seen_of(call: Call, caller: Caller, profile_key: str, services: EdgeServices) -> Seen:
    """How far the caller has seen the profile."""
    seen = NOTHING_SEEN
    if caller.tokens:
        seen = seen_in(caller.tokens, profile_key, org=call.org, keys=services.keys)
    if caller.person == profile_key:
        # Whoever has seen what the device did, sees it in the person's profile from now on.
        seen = seen.joined(services.graph.to_see(profile_key, left=caller.device_key))
    return seen


def _ahead(answer: Answer, changes: tuple[Change, ...], services: EdgeServices) -> bool:
    """Whether it may be told before it is on disk."""
    return (
        services.ahead()
        and answer.permitted
        and all(isinstance(one, EventArrived) for one in changes)
    )


def _stored(call: Call, caller: Caller, sequence: int, services: EdgeServices) -> Awaitable[bool]:
    gives_way = caller.of_nobody or services.limits.are_many(caller.profile_key, call.now_ms)
    return (on_disk if gives_way else on_disk_first)(sequence, services)


def _unread(caller: Caller) -> Unread:
    return Unread(None if caller.device.new else caller.device.ecid)


def all_stored(consulted: Consulted) -> Consulted:
    """It, where nothing of it waits for the disk any more. Raises StoreUnavailable."""
    if not consulted.stored:
        raise StoreUnavailable("the change was not stored.", fix="Send it again.")
    return consulted


async def _carried_consent(
    call: Call, caller: Caller, services: EdgeServices
) -> tuple[Change, ...]:
    """What the visitor chose as the device that a named ECID now replaces. Without it, a link
    with an ECID in it would undo an `out`.
    """
    if caller.replaced is None:
        return ()
    before = await _consent_of(call, caller, caller.replaced.profile_key, services)
    return _said_before(before) if before else ()


async def _consent_of(
    call: Call, caller: Caller, profile_key: str, services: EdgeServices
) -> Consent | None:
    """What was chosen on another profile than the one that the call is about: a device that is
    proved."""
    asked = Interaction(
        profile_key=profile_key,
        datastream_id=call.datastream.id,
        visits=True,
        seen=seen_in(caller.tokens, profile_key, org=call.org, keys=services.keys),
    )
    try:
        return (await services.decided(asked)).consent
    except (StoreUnavailable, Overloaded) as why:
        raise _unread(caller) from why


def _said_before(consent: Consent) -> tuple[Change, ...]:
    """A consent as what another device says at once."""
    against = sharing_refused(consent)
    if against and against.reason == "gpc":
        return ConsentChosen(consent.general, stated=consent.stated), PrivacySignalled()
    signalled = consent.gpc_since_ms is not None
    said = ConsentChosen(consent.general, consent.share, gpc=signalled, stated=consent.stated)
    return (said,)
