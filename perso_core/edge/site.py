"""The edge in process: what a template's Visitor stands on, with no HTTP in between."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, Struct, field, structs

from perso_core.decision.attributes import sound_attributes, sound_event
from perso_core.decision.event import event_from
from perso_core.decision.identity import Device, Identity, device_of, ecid_from
from perso_core.definitions.datastream import Datastream
from perso_core.definitions.snapshot import Snapshot
from perso_core.edge import cookies
from perso_core.edge.as_stored import as_stored
from perso_core.edge.caller import Caller, caller_from, named_device
from perso_core.edge.consent_strings import HeardConsent, heard_in, opted_in
from perso_core.edge.fpid import fpid_of
from perso_core.edge.graph import MAX_LEADS, Apart, Graph
from perso_core.edge.held_back import UNTOLD, held_back
from perso_core.edge.identity_map import claimed, claims_of
from perso_core.edge.page_facts import with_page_facts
from perso_core.edge.page_person import Shown, shown_to, untold
from perso_core.edge.version_token import presented, seen_in, tokens_to_hold
from perso_core.engine.engine import NOTHING_SEEN, Answer, Interaction, Seen
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
    Overloaded,
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


class InProcessServices(Struct, frozen=True):
    """What assembly gives. decide, durable and decided_again as for the HTTP edge; explain from the
    engine (None: the profile is not in memory). entropy(n): n random bytes. seen, graph: as for the
    HTTP edge.
    """

    decide: Callable[[Interaction], Awaitable[Answer]]
    durable: Callable[[int], Awaitable[None]]
    decided_again: Callable[[int], bool]
    snapshot: Callable[[], Snapshot]
    explain: Callable[[str, str], Explanation | None]
    clock_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    keys: cookies.CookieKeys
    seen: Callable[[str], Seen] | None = None
    graph: Graph = field(default_factory=Apart)


class InProcessSite:
    """perso_core.visitor.Site on the engine of this process."""

    def __init__(self, services: InProcessServices) -> None:
        self._services = services
        self._failing = False  # pages are going out without an answer, and the log has said so
        self._told: set[str] = set()  # the same of datastreams, by id, and of what pages say

    async def visit(self, request: PageRequest) -> Visitor:
        """See Site. Waits at most request.wait_ms, load and commit together."""
        datastream = self._services.snapshot().datastreams.get(request.datastream_id)
        caller = self._caller(request, (), datastream)
        nobody = untold(request, caller, site=self, org=self._org)
        if datastream is None or not datastream.enabled:
            why = "is not defined" if datastream is None else "is off"
            stream = request.datastream_id
            self._tell_of(stream, f"the datastream {stream!r} {why}.")
            return nobody
        self._told.discard(request.datastream_id)
        try:
            return await self._answered(request, datastream, caller, nobody)
        except (TimeoutError, PersoError) as fault:
            # P4: a store that is slow or failing never breaks the page; its defaults show.
            self._tell_once(fault)
            return nobody

    async def update(self, visitor: Visitor, attributes: Mapping[str, Any]) -> Visitor:
        """See Site. A visitor with no profile gets one, and the cookies that prove it."""
        sound = sound_attributes(attributes)
        _refuse_unasked(visitor)
        return await self._change(visitor, AttributesPatched(sound))

    async def choose_consent(self, visitor: Visitor, general: Literal["in", "out"]) -> Visitor:
        """See Site. Of a signed-in customer it is the device's choice as well. Raises BadChoice."""
        if general not in ("in", "out"):  # a form's own word, whatever types say
            raise BadChoice(f"{general!r}.", fix='Choose "in" or "out".')
        _refuse_unasked(visitor)
        if visitor.device_key:
            await self._durably(visitor, visitor.device_key, ConsentChosen(general))
        chosen = await self._change(visitor, ConsentChosen(general))
        told = (*self._first_cookies(visitor), cookies.consent_cookie(self._org, general))
        return structs.replace(chosen, cookies=(*chosen.cookies, *told))

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
        )

    def reason(self, visitor: Visitor, audience_id: str, alias: str) -> AudienceReason:
        """See Site. Raises UnknownAudience."""
        known = self.audience_id(audience_id)
        if known is None:
            raise UnknownAudience(f"{audience_id!r}.", fix="Use an audience's id, alias or name.")
        name = self._services.snapshot().audience_by_id[known].definition.name
        told = visitor.profile_key and visitor.state in ("known", "new")
        explanation = self._services.explain(visitor.profile_key, known) if told else None
        if explanation is None:
            return AudienceReason(known, name, False, False, UNTOLD[visitor.state])
        snapshot = self._services.snapshot()
        why = held_back(visitor, known, alias, snapshot) if explanation.holds else None
        sentence = why or reason(explanation)
        return AudienceReason(known, name, explanation.holds, why is not None, sentence)

    def audience_id(self, name: str) -> str | None:
        """See Site."""
        return self._services.snapshot().audience_id_by_name.get(name)

    # ---- inside -----------------------------------------------------------------

    def _tell_once(self, fault: Exception) -> None:
        """One line for an outage, however many pages it meets; one for each fault of a page's."""
        told = f"{type(fault).__name__} {fault}".strip()
        if isinstance(fault, (BadEvent, BadIdentity)):
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
    def _org(self) -> str:
        return self._services.snapshot().org

    async def _answered(
        self,
        request: PageRequest,
        datastream: Datastream,
        caller: Caller,
        nobody: Visitor,
    ) -> Visitor:
        """As far as consent permits. caller: by the cookies alone. nobody: the visitor of whom
        nothing is known. Raises TimeoutError past wait_ms, and PersoErrors."""
        if request.xdm is not None:
            request = structs.replace(request, xdm=sound_event(request.xdm))
        arrived = self._event_of(request, datastream)
        if arrived and arrived[0].claims:
            caller = self._caller(request, arrived[0].claims, datastream)
            nobody = untold(request, caller, site=self, org=self._org)
        heard = heard_in([request.xdm] if request.xdm else [], datastream)
        if heard.general == "out":
            return await self._refused(request, caller, heard, nobody)
        may_begin = datastream.default_consent == "in" or opted_in(heard, datastream)
        # A customer may have agreed elsewhere.
        may_begin |= request.customer is not None
        new = caller.device.new
        if heard.unreadable or (new and (not may_begin or caller.said_out)):
            return structs.replace(nobody, state="no-consent")
        if new and request.xdm is None and request.customer is None:
            return structs.replace(nobody, state="new")
        changes: list[Change] = []
        if not new and request.customer is None and caller.said_out:
            # The store's word counts; where it has none, the browser's own `out` does. It is the
            # device's: whoever is signed in on it has not said so.
            changes.append(ConsentChosen("out", unless_chosen=True))
        if opted_in(heard, datastream):
            changes.append(ConsentChosen("in", stated=heard.stated, unless_chosen=True))
        if request.gpc:
            changes.append(PrivacySignalled())
        return await self._visited(request, datastream, caller, tuple(changes), arrived, nobody)

    async def _refused(
        self,
        request: PageRequest,
        caller: Caller,
        heard: HeardConsent,
        nobody: Visitor,
    ) -> Visitor:
        """The visit says no: nothing of it is kept but the refusal, and the browser's cookie."""
        cookie = cookies.consent_cookie(self._org, "out")
        if not caller.device.new:
            said = Interaction(
                profile_key=caller.profile_key,
                datastream_id=request.datastream_id,
                changes=(ConsentChosen("out", stated=heard.stated),),
                visits=True,
            )
            async with asyncio.timeout(request.wait_ms / 1000):
                answer = await self._services.decide(said)
                await self._services.durable(answer.sequence)
        return structs.replace(nobody, state="no-consent", cookies=(cookie,))

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

    async def _visited(
        self,
        request: PageRequest,
        datastream: Datastream,
        caller: Caller,
        changes: tuple[Change, ...],
        arrived: tuple[EventArrived, ...],
        nobody: Visitor,
    ) -> Visitor:
        """changes: what comes before the visit itself. arrived: the visit."""
        deadline = asyncio.get_running_loop().time() + request.wait_ms / 1000
        now_ms = self._services.clock_ms()
        device, tokens = caller.device, caller.tokens
        async with asyncio.timeout_at(deadline):
            shown = await self._shown(request, datastream, caller, changes)
        if shown.refused:
            key, of_device = shown.profile_key, shown.device_key
            return structs.replace(
                nobody, state="no-consent", profile_key=key, device_key=of_device
            )
        for _ in range(MAX_LEADS):
            new = device.new and not shown.device_key
            interaction = Interaction(
                profile_key=shown.profile_key,
                datastream_id=request.datastream_id,
                changes=(*shown.says, *changes, *arrived),
                new=new,
                visits=not new,
                unsigned=caller.proof is None and not device.new and not shown.device_key,
                seen=shown.seen,
            )
            async with asyncio.timeout_at(deadline):
                answer = await self._services.decide(interaction)
            self._failing = False
            if not answer.permitted:
                return self._visitor(nobody, caller, shown, answer, now_ms)
            answer, stored = await self._as_stored(answer, interaction, deadline)
            key = await self._led_on(shown, datastream, deadline) if stored else shown.profile_key
            if key == shown.profile_key:
                break
            # What was told is part of that one now, whatever the customer's identity leads to.
            seen = seen_in(tokens, key, org=self._org, keys=self._services.keys)
            shown = structs.replace(shown, profile_key=key, seen=seen)
        visitor = self._visitor(nobody, caller, shown, answer, now_ms)
        if not answer.permitted:
            return visitor
        if stored:
            visitor = self._with_token(visitor, tokens)
        event_id = arrived[0].event.id if arrived else None
        return structs.replace(visitor, event_id=event_id)

    async def _as_stored(
        self, answer: Answer, interaction: Interaction, deadline: float
    ) -> tuple[Answer, bool]:
        """The answer once it is on disk, and whether it is. A commit that takes longer goes on
        behind the page, or the disk does not take it: the page's own script reports the same _id
        again, so that nothing that was shown is lost."""
        with contextlib.suppress(TimeoutError, StoreUnavailable, Overloaded):
            async with asyncio.timeout_at(deadline):
                await self._services.durable(answer.sequence)
                return await as_stored(answer, interaction, self._services), True
        return answer, False

    def _event_of(self, request: PageRequest, datastream: Datastream) -> tuple[EventArrived, ...]:
        """The visit, where it is recorded. Raises EdgeErrors for its identities."""
        if request.xdm is None:
            return ()
        xdm = with_page_facts(request.xdm, accept_language=request.accept_language)
        now_ms = self._services.clock_ms()
        event = event_from(xdm, event_id=self._services.entropy(16).hex(), received_ms=now_ms)
        arrived = EventArrived(
            event=event,
            claims=claims_of(claimed(xdm.get("identityMap", UNSET), "xdm.identityMap")),
            segmentation=datastream.edge_segmentation,
            datastream_id=datastream.id,
        )
        return (arrived,)

    async def _led_on(self, shown: Shown, datastream: Datastream, deadline: float) -> str:
        """The key of the profile that the customer's is part of since: another process may have
        linked it before this one heard of it."""
        if not shown.device_key:
            return shown.profile_key
        key, priority = shown.profile_key, datastream.identity_priority
        with contextlib.suppress(TimeoutError, StoreUnavailable, Overloaded):
            async with asyncio.timeout_at(deadline):
                return await self._services.graph.canonical(key, priority=priority)
        return key

    async def _shown(
        self,
        request: PageRequest,
        datastream: Datastream,
        caller: Caller,
        changes: tuple[Change, ...],
    ) -> Shown:
        device, tokens = caller.device, caller.tokens
        if request.customer is None:
            seen = seen_in(tokens, device.profile_key, org=self._org, keys=self._services.keys)
            return Shown(profile_key=device.profile_key, seen=seen)
        return await shown_to(
            request.customer,
            device,
            tokens,
            changes,
            keeps=request.xdm is not None,
            said_out=caller.said_out,
            datastream=datastream,
            org=self._org,
            keys=self._services.keys,
            services=self._services,
        )

    def _with_token(self, visitor: Visitor, sent: Sequence[str]) -> Visitor:
        """The visitor with the version token to be set, once what was decided is on disk."""
        if self._services.seen is None:
            return visitor
        tokens = tokens_to_hold(
            sent,
            visitor.profile_key,
            self._services.seen,
            org=self._org,
            keys=self._services.keys,
            beside=visitor.device_key or None,
        )
        return structs.replace(visitor, cookies=(*visitor.cookies, *tokens))

    async def _durably(self, visitor: Visitor, key: str, change: Change) -> None:
        said = Interaction(
            profile_key=key,
            datastream_id=visitor.datastream_id,
            changes=(change,),
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

    async def _change(self, visitor: Visitor, change: Change) -> Visitor:
        now_ms = self._services.clock_ms()
        if visitor.datastream_id not in self._services.snapshot().datastreams:
            raise UnknownDatastream(
                f"{visitor.datastream_id!r}.", fix="Use the id of a defined datastream."
            )
        begins = None if visitor.profile_key else self._caller_named(visitor.named_ecid)
        key = begins.profile_key if begins else await self._by_now(visitor)
        for _ in range(MAX_LEADS):
            interaction = Interaction(
                profile_key=key,
                datastream_id=visitor.datastream_id,
                changes=(change,),
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

    def _visitor(
        self,
        nobody: Visitor,
        caller: Caller,
        shown: Shown,
        answer: Answer,
        now_ms: int,
    ) -> Visitor:
        if not answer.permitted:
            # A device that is not proven yet gets no cookie without consent.
            key = "" if caller.device.new and not shown.device_key else shown.profile_key
            return structs.replace(
                nobody, state="no-consent", profile_key=key, device_key=shown.device_key
            )
        return structs.replace(
            nobody,
            state="known" if answer.known else "new",
            ecid=caller.device.ecid,
            profile_key=shown.profile_key,
            device_key=shown.device_key,
            lookup=answer.lookups[-1],
            cookies=caller.cookies(org=self._org, keys=self._services.keys, now_ms=now_ms),
        )


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
