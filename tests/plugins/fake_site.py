"""A site small enough to read at one glance, for what plugins do around any site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import structs

from perso_core import (
    AudienceReason,
    DestinationLookup,
    Lookup,
    PageRequest,
    PersoError,
    SetCookie,
    UnknownAudience,
    Visitor,
)

NAMES = {"a-first": "First visit", "a-again": "Returning", "a-gold": "Gold"}
ALIASES = {"again": "a-again"}


def visitor_in(*audiences: str, site: FakeSite | None = None, alias: str | None = None) -> Visitor:
    """A known visitor in these audiences (ids), told to `cms`; the first alone also to `ads`."""
    cms = DestinationLookup("d-cms", "cms", tuple(audiences))
    ads = DestinationLookup("d-ads", "ads", tuple(audiences[:1]))
    return Visitor(
        state="known",
        site=site or FakeSite(),
        datastream_id="demo",
        lookup=Lookup((cms, ads), until_ms=0),
        alias=alias,
    )


class FakeSite:
    """Counts visits by the cookie `who`. One visit is a first one, more are a return.

    visits: every request it was asked. failing: raised instead of an answer.
    """

    def __init__(self, *, failing: PersoError | None = None) -> None:
        self.failing = failing
        self.visits: list[PageRequest] = []
        self.events: Counter[str] = Counter()

    @property
    def recorded(self) -> list[Mapping[str, Any]]:
        """The events alone."""
        return [request.xdm for request in self.visits if request.xdm is not None]

    async def visit(self, request: PageRequest) -> Visitor:
        self.visits.append(request)
        if self.failing:
            raise self.failing
        who = request.cookie_header.partition("who=")[2].partition(";")[0].strip('"')
        new = not who
        who = who or f"{len(self.visits)}=="
        self.events[who] += request.xdm is not None
        count = self.events[who]
        inside = ("a-first",) if count == 1 else ("a-again",) if count else ()
        return structs.replace(
            visitor_in(*inside, site=self),
            state="known" if count else "new",
            ecid=who,
            event_id=f"visit-{len(self.visits)}" if request.xdm is not None else None,
            cookies=(SetCookie("who", who, 3600), SetCookie("session", "s1")) if new else (),
        )

    async def update(self, visitor: Visitor, attributes: Mapping[str, Any]) -> Visitor:
        return structs.replace(visitor, cookies=(SetCookie("token", "v2", 60),))

    async def choose_consent(self, visitor: Visitor, general: Literal["in", "out"]) -> Visitor:
        return structs.replace(visitor, cookies=(SetCookie("consent", general, 60),))

    async def forget(self, visitor: Visitor) -> Visitor:
        return Visitor(
            state="new",
            site=self,
            datastream_id=visitor.datastream_id,
            cookies=(SetCookie("who", "", 0), SetCookie("session", "", 0)),
        )

    def reason(self, visitor: Visitor, audience_id: str, alias: str) -> AudienceReason:
        known = self.audience_id(audience_id)
        if known is None:
            raise UnknownAudience(audience_id, fix="Name another.")
        holds = known in visitor.audiences
        return AudienceReason(known, NAMES[known], holds, False, f"{NAMES[known]}: {holds}.")

    def audience_id(self, name: str) -> str | None:
        if name in NAMES:
            return name
        by_name = {shown: audience for audience, shown in NAMES.items()}
        return ALIASES.get(name) or by_name.get(name)
