"""The edge in process: what a template's Visitor stands on, with no HTTP in between."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, structs

from perso_core.decision.attributes import sound_event
from perso_core.decision.identity import Identity
from perso_core.definitions.datastream import Datastream
from perso_core.edge import cookies, page_says
from perso_core.edge.call import Call
from perso_core.edge.caller import Caller, caller_from
from perso_core.edge.consent_strings import heard_in
from perso_core.edge.consult import Consulted
from perso_core.edge.fpid import fpid_of
from perso_core.edge.held_back import UNTOLD, held_back
from perso_core.edge.identity_map import claimed, claims_of
from perso_core.edge.interact import arrived_event
from perso_core.edge.overrides import Overrides
from perso_core.edge.page_person import customer_key, untold
from perso_core.edge.problem import EdgeError
from perso_core.edge.services import EdgeServices
from perso_core.edge.unstored import Deadline, Unread
from perso_core.edge.visit import held_by, visited
from perso_core.edge.wire import InteractRequest, SentEvent
from perso_core.engine.journal import EventArrived
from perso_core.errors import BadEvent, BadIdentity, PersoError, UnknownAudience
from perso_core.pql.explain import Explanation, reason
from perso_core.visitor import AudienceReason, PageRequest, Visitor

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
        datastream = self._services.in_force.datastreams.get(request.datastream_id)
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
        """See Site."""
        return await page_says.update(visitor, attributes, self._services)

    async def choose_consent(self, visitor: Visitor, general: Literal["in", "out"]) -> Visitor:
        """See Site."""
        return await page_says.choose_consent(visitor, general, self._services)

    async def forget(self, visitor: Visitor) -> Visitor:
        """See Site."""
        return await page_says.forget(visitor, self._services)

    def reason(self, visitor: Visitor, audience_id: str, alias: str) -> AudienceReason:
        """See Site. Raises UnknownAudience."""
        known = self.audience_id(audience_id)
        if known is None:
            raise UnknownAudience(f"{audience_id!r}.", fix="Use an audience's id, alias or name.")
        name = self._services.in_force.audience_by_id[known].definition.name
        told = visitor.profile_key and visitor.state in ("known", "new")
        explanation = self._explain_from(visitor.profile_key, known) if told else None
        if explanation is None:
            return AudienceReason(known, name, False, False, UNTOLD[visitor.state])
        snapshot = self._services.in_force
        why = held_back(visitor, known, alias, snapshot) if explanation.holds else None
        sentence = why or reason(explanation)
        return AudienceReason(known, name, explanation.holds, why is not None, sentence)

    def audience_id(self, name: str) -> str | None:
        """See Site."""
        return self._services.in_force.audience_id_by_name.get(name)

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
    def _org(self) -> str:
        return self._services.in_force.org

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
        heard = heard_in(sent, datastream)
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
            said_out = nobody.said_out or out
            return structs.replace(nobody, state="no-consent", cookies=kept, said_out=said_out)
        if not consulted.lookups:
            return structs.replace(nobody, state="new")
        services = self._services
        return structs.replace(
            nobody,
            state="known" if consulted.known else "new",
            ecid=caller.device.ecid,
            profile_key=caller.profile_key,
            lookup=consulted.lookups[-1],
            event_id=arrived[0].event.id if arrived else None,
            cookies=(
                *caller.cookies(org=call.org, keys=services.keys, now_ms=call.now_ms),
                *services.tokens_of(caller, call.org),
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


def _claims(sent: Sequence[SentEvent]) -> tuple[Identity, ...]:
    """Raises EdgeErrors for identities that are none."""
    maps = (one.xdm.get("identityMap", UNSET) for one in sent)
    return claims_of(claimed(one, "xdm.identityMap") for one in maps)
