"""The edge in process: what a template's Visitor stands on, with no HTTP in between."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, structs

from perso_core.decision.attributes import sound_attributes, sound_event
from perso_core.decision.consent import refused
from perso_core.decision.identity import Device, Identity, device_of, ecid_from
from perso_core.definitions.datastream import Datastream
from perso_core.definitions.snapshot import Snapshot
from perso_core.edge import cookies
from perso_core.edge.as_stored import as_stored
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller, caller_from, named_device
from perso_core.edge.consent_strings import heard_in
from perso_core.edge.consult import Consulted
from perso_core.edge.fpid import fpid_of
from perso_core.edge.graph import MAX_LEADS
from perso_core.edge.held_back import UNTOLD, held_back
from perso_core.edge.identity_map import claimed, claims_of
from perso_core.edge.interact import arrived_event
from perso_core.edge.overrides import Overrides
from perso_core.edge.page_person import customer_key, untold
from perso_core.edge.problem import EdgeError
from perso_core.edge.services import EdgeServices
from perso_core.edge.unstored import Deadline, Unread
from perso_core.edge.version_token import presented
from perso_core.edge.visit import held_by, visited
from perso_core.edge.wire import InteractRequest, SentEvent
from perso_core.engine.engine import NOTHING_SEEN, Interaction, Seen
from perso_core.engine.interaction import ALL_THAT_IS_STORED
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    EventArrived,
    Forgotten,
    PrivacySignalled,
)
from perso_core.errors import (
    BadChoice,
    BadEvent,
    BadIdentity,
    PersoError,
    StoreUnavailable,
    UnknownAudience,
    UnknownDatastream,
)
from perso_core.pql.explain import Explanation, reason
from perso_core.visitor import AudienceReason, PageRequest, SetCookie, Visitor

# The log has a line for each of so many datastreams and faults of pages.
MOST_TOLD = 100

_UNANSWERED = "Pages go out without an answer: %s"

_log = logging.getLogger("perso")


class InProcessSite:
    """perso_core.visitor.Site on the engine of this process. explain: from the engine; None: the
    profile is not in memory."""

    def __init__(
        self, services: EdgeServices, explain: Callable[[str, str], Explanation | None]
    ) -> None:
        self._services = services
        self._explain_from = explain
        self._failing = False  # pages are going out without an answer, and the log has said so
        self._told: set[str] = set()  # the same of datastreams, by id, and of what pages say

    async def visit(self, request: PageRequest) -> Visitor:
        """See Site. Waits at most request.wait_ms, load and commit together."""
        datastream = self._in_force.datastreams.get(request.datastream_id)
        caller = self._caller(request, (), datastream)
        nobody = untold(request, caller, site=self, org=self._org)
        if datastream is None or not datastream.enabled:
            why = "is not defined" if datastream is None else "is off"
            stream = request.datastream_id
            self._tell_of(stream, f"the datastream {stream!r} {why}.")
            return nobody
        self._told.discard(request.datastream_id)
        try:
            with Deadline(request.wait_ms):
                return await self._answered(request, datastream, caller, nobody)
        except Unread as fault:
            self._tell_once(fault.__cause__ or fault)
        except (TimeoutError, PersoError) as fault:
            self._tell_once(fault)
        # P4: a store that is slow or failing never breaks the page; its defaults show.
        return nobody

    async def update(self, visitor: Visitor, attributes: Mapping[str, Any]) -> Visitor:
        """See Site. A visitor with no profile gets one, and the cookies that prove it."""
        sound = sound_attributes(attributes)
        _refuse_unasked(visitor)
        if await self._device_refuses(visitor):
            return structs.replace(visitor, state="no-consent")
        return await self._change(visitor, AttributesPatched(sound))

    async def choose_consent(self, visitor: Visitor, general: Literal["in", "out"]) -> Visitor:
        """See Site. Of a signed-in customer it is the device's choice as well. Raises BadChoice."""
        if general not in ("in", "out"):  # a form's own word, whatever types say
            raise BadChoice(f"{general!r}.", fix='Choose "in" or "out".')
        _refuse_unasked(visitor)
        if visitor.device_key:
            await self._durably(visitor, visitor.device_key, ConsentChosen(general))
        chosen = await self._change(visitor, ConsentChosen(general))
        word = cookies.consent_cookie(self._org, general)
        before = (one for one in chosen.cookies if one.name != word.name)
        told = (*before, *self._first_cookies(visitor), word)
        return structs.replace(chosen, cookies=told, said_out=general == "out")

    async def forget(self, visitor: Visitor) -> Visitor:
        """See Site. Of a signed-in customer the device is forgotten as well, and what is kept under
        her other identities, such as a consent: first, so that none leads to an erased profile."""
        _refuse_unasked(visitor)
        key = await self._by_now(visitor)
        others = await self._services.graph.leading(key) if visitor.device_key else ()
        for one in filter(None, (*others, key, visitor.device_key)):
            await self._durably(visitor, one, Forgotten())
        names = cookies.cookie_names(self._org)
        cleared = tuple(
            SetCookie(name, "", 0)
            for name in (names.identity, names.mac, names.consent, names.cluster, names.version)
        )
        return Visitor(
            state="new",
            site=self,
            datastream_id=visitor.datastream_id,
            alias=visitor.alias,
            cookies=cleared,
            gpc=visitor.gpc,
        )

    def reason(self, visitor: Visitor, audience_id: str, alias: str) -> AudienceReason:
        """See Site. Raises UnknownAudience."""
        known = self.audience_id(audience_id)
        if known is None:
            raise UnknownAudience(f"{audience_id!r}.", fix="Use an audience's id, alias or name.")
        name = self._in_force.audience_by_id[known].definition.name
        told = visitor.profile_key and visitor.state in ("known", "new")
        explanation = self._explain_from(visitor.profile_key, known) if told else None
        if explanation is None:
            return AudienceReason(known, name, False, False, UNTOLD[visitor.state])
        snapshot = self._in_force
        why = held_back(visitor, known, alias, snapshot) if explanation.holds else None
        sentence = why or reason(explanation)
        return AudienceReason(known, name, explanation.holds, why is not None, sentence)

    def audience_id(self, name: str) -> str | None:
        """See Site."""
        return self._in_force.audience_id_by_name.get(name)

    # ---- inside -----------------------------------------------------------------

    def _tell_once(self, fault: BaseException) -> None:
        """One line for an outage, however many pages it meets; one for each fault of a page's."""
        told = f"{type(fault).__name__} {fault}".strip()
        if isinstance(fault, (BadEvent, BadIdentity, EdgeError)):
            self._tell_of(told, told)
        elif not self._failing:
            self._failing = True
            _log.warning(_UNANSWERED, told)

    def _tell_of(self, what: str, told: str) -> None:
        """One line for it, and of as many as the log is good for."""
        if what not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(what)
            _log.warning(_UNANSWERED, told)

    @property
    def _in_force(self) -> Snapshot:
        snapshot = self._services.snapshot()
        assert snapshot, "a site has one from its opening"
        return snapshot

    @property
    def _org(self) -> str:
        return self._in_force.org

    async def _answered(
        self, request: PageRequest, datastream: Datastream, caller: Caller, nobody: Visitor
    ) -> Visitor:
        """As a page's script is, by the same word (visit.py). caller: by the cookies alone. nobody:
        the visitor of whom nothing is known. Raises TimeoutError, Unread and PersoErrors."""
        call = self._call_of(request, datastream)
        sent = self._sent(request)
        claims = _claims(sent)
        if claims:
            caller = self._caller(request, claims, datastream)
            nobody = untold(request, caller, site=self, org=self._org)
        heard = heard_in([one.xdm for one in sent], datastream)
        if request.customer is not None and heard.general != "out":
            key = customer_key(request.customer, org=call.org, datastream_id=datastream.id)
            caller = await held_by(key, call, caller, self._services)
        asked = InteractRequest(events=sent)
        arrived = tuple(
            arrived_event(call, asked, at, caller.device.profile_key, claims, Overrides())
            for at in range(len(sent))
        )
        caller, consulted = await visited(call, caller, heard, arrived, self._services)
        self._failing = False
        return self._shown(call, nobody, caller, consulted, arrived)

    def _call_of(self, request: PageRequest, datastream: Datastream) -> Call:
        """The page as a call to the edge, without a body."""
        return Call(
            request_id="",
            datastream=datastream,
            org=self._org,
            body=b"",
            cookie_header=request.cookie_header,
            same_site_none=False,
            now_ms=self._services.clock_ms(),
            gpc=request.gpc,
            accept_language=request.accept_language,
        )

    def _sent(self, request: PageRequest) -> tuple[SentEvent, ...]:
        """The visit, where it is recorded, by an `_id` of our own. Raises BadEvent."""
        if request.xdm is None:
            return ()
        event_id = self._services.entropy(16).hex()
        return (SentEvent({**sound_event(request.xdm), "_id": event_id}),)

    def _shown(
        self,
        call: Call,
        nobody: Visitor,
        caller: Caller,
        consulted: Consulted,
        arrived: tuple[EventArrived, ...],
    ) -> Visitor:
        """What the page is told. A device that is not proven yet gets no cookie without consent,
        nor where it only asks."""
        if not consulted.permitted:
            out = consulted.chosen == "out"
            kept = (cookies.consent_cookie(call.org, "out"),) if out else ()
            return structs.replace(nobody, state="no-consent", cookies=kept, said_out=out)
        if not consulted.lookups:
            return structs.replace(nobody, state="new")
        keys, tokens = self._services.keys, self._services.tokens
        return structs.replace(
            nobody,
            state="known" if consulted.known else "new",
            ecid=caller.device.ecid,
            profile_key=caller.profile_key,
            lookup=consulted.lookups[-1],
            event_id=arrived[0].event.id if arrived else None,
            cookies=(
                *caller.cookies(org=call.org, keys=keys, now_ms=call.now_ms),
                *tokens(caller.tokens, caller.profile_key, call.org, beside=caller.beside),
            ),
        )

    def _caller(
        self, request: PageRequest, claims: tuple[Identity, ...], datastream: Datastream | None
    ) -> Caller:
        header = request.cookie_header
        return caller_from(
            cookies.received(header),
            None,
            fpid_of(claims, header, datastream) if datastream else None,
            org=self._org,
            keys=self._services.keys,
            entropy=self._services.entropy,
        )

    def _caller_named(self, ecid: str | None) -> Caller:
        """Somebody new. ecid: by which the site's own device id names them."""
        entropy = self._services.entropy
        if ecid is None:
            return Caller(device=Device(ecid_from(entropy(16)), new=True))
        return Caller(device=named_device(ecid, entropy), source=_source(ecid))

    def _with_token(self, visitor: Visitor, sent: Sequence[str]) -> Visitor:
        """The visitor with the version token to be set, once what was decided is on disk."""
        beside = visitor.device_key or None
        tokens = self._services.tokens(sent, visitor.profile_key, self._org, beside=beside)
        return structs.replace(visitor, cookies=(*visitor.cookies, *tokens))

    async def _durably(self, visitor: Visitor, key: str, change: Change) -> None:
        said = Interaction(
            profile_key=key,
            datastream_id=visitor.datastream_id,
            changes=_with_signal(visitor, change),
            seen=self._to_be_seen(change),
        )
        answer = await self._services.decide(said)
        await self._services.durable(answer.sequence)

    def _to_be_seen(self, change: Change) -> Seen:
        """Before it is decided. A choice that is said again changes nothing here: another process
        may have kept another one since."""
        if self._services.seen is None or not isinstance(change, ConsentChosen):
            return NOTHING_SEEN
        return ALL_THAT_IS_STORED

    def _first_cookies(self, visitor: Visitor) -> tuple[SetCookie, ...]:
        """Those of a signed-in customer's device that has none, and gets none before there is a
        choice: else it would be asked again once they sign out."""
        if visitor.state in ("known", "new") or visitor.ecid is None:
            return ()
        first = Caller(device=device_of(visitor.device_key), source=_source(visitor.named_ecid))
        now_ms = self._services.clock_ms()
        return first.cookies(org=self._org, keys=self._services.keys, now_ms=now_ms)

    async def _by_now(self, visitor: Visitor) -> str:
        """The key of the visitor's profile: of a signed-in customer as it is stored, for another
        process may have linked the identity since the page was shown."""
        if not visitor.device_key:
            return visitor.profile_key
        return await self._services.graph.canonical(visitor.profile_key, anew=True)

    async def _device_refuses(self, visitor: Visitor) -> bool:
        """It does so for whoever is signed in on it. What is stored of the profile itself, the
        engine knows."""
        if not visitor.device_key and not visitor.said_out:
            return False
        device = visitor.device_key or visitor.profile_key
        if not device:
            return visitor.said_out
        asked = Interaction(profile_key=device, datastream_id=visitor.datastream_id)
        answer = await self._services.decide(asked)
        return refused(answer.consent, said_out=visitor.said_out)

    async def _change(self, visitor: Visitor, change: Change) -> Visitor:
        now_ms = self._services.clock_ms()
        if visitor.datastream_id not in self._in_force.datastreams:
            raise UnknownDatastream(
                f"{visitor.datastream_id!r}.", fix="Use the id of a defined datastream."
            )
        begins = None if visitor.profile_key else self._caller_named(visitor.named_ecid)
        key = begins.profile_key if begins else await self._by_now(visitor)
        for _ in range(MAX_LEADS):
            interaction = Interaction(
                profile_key=key,
                datastream_id=visitor.datastream_id,
                changes=_with_signal(visitor, change),
                new=begins is not None,
                seen=self._to_be_seen(change) if begins is None else NOTHING_SEEN,
            )
            answer = await self._services.decide(interaction)
            await self._services.durable(answer.sequence)
            # Where another process linked it meanwhile, what was kept becomes that profile's.
            key = await self._services.graph.canonical(interaction.profile_key)
            if key == interaction.profile_key:
                break
        answer = await as_stored(answer, interaction, self._services)
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
            own = begins.cookies(org=self._org, keys=self._services.keys, now_ms=now_ms)
            after = structs.replace(after, ecid=begins.device.ecid, cookies=own)
        name = cookies.cookie_names(self._org).version
        held = {name: tuple(one.value for one in after.cookies if one.name == name)}
        return self._with_token(after, presented(held, self._org))


def _claims(sent: Sequence[SentEvent]) -> tuple[Identity, ...]:
    """Raises EdgeErrors for identities that are none."""
    maps = (one.xdm.get("identityMap", UNSET) for one in sent)
    return claims_of(*(claimed(one, "xdm.identityMap") for one in maps))


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
