"""What a template or an ad call asks about one visitor. Every plugin stands on this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct

from perso_core.decision.identity import Identity
from perso_core.decision.lookup import EMPTY, DestinationLookup, Lookup

# known: a profile answered. new: nothing is known of this visitor yet.
# no-consent: the visitor said no, or has not chosen where the datastream waits for a choice.
# unavailable: the answer did not come in time, or the store failed; treat as unknown.
VisitorState = Literal["known", "new", "no-consent", "unavailable"]


class SetCookie(Struct, frozen=True):
    """A cookie to set on the page's answer. max_age_s None: a session cookie."""

    name: str
    value: str
    max_age_s: int | None = None


class PageRequest(Struct, frozen=True, kw_only=True):
    """What a framework knows of one page request.

    cookie_header: the Cookie header as it came, "" when there is none.
    xdm: the page visit to record, as an XDM event that JSON can say; None: look up only. Its
    consent strings count as those of a page's own event do.
    accept_language: the Accept-Language header as it came; "" where it is not the browser's.
    gpc: the browser sent `Sec-GPC: 1`; its absence says nothing.
    customer: who is signed in, by the site's own session; None: nobody. Never a browser's word: the
    page is told of the customer's profile, and what the device did before becomes part of it.
    wait_ms: how long the answer may wait for its commit (interface.md: 50 ms for HTML).
    """

    datastream_id: str
    cookie_header: str = ""
    xdm: Mapping[str, Any] | None = None
    wait_ms: int = 50
    accept_language: str = ""
    gpc: bool = False
    customer: Identity | None = None


class AudienceReason(Struct, frozen=True):
    """Why a visitor is or is not in an audience, as one sentence. alias: the destination that
    was asked about; held_back: in, but not told to that destination, and `sentence` says why.
    """

    audience_id: str
    name: str
    holds: bool
    held_back: bool
    sentence: str


class Site(Protocol):
    """The assembled system, as visitors and plugins see it (perso_core.assembly.Perso)."""

    async def visit(self, request: PageRequest) -> Visitor:
        """Record the visit where there is one, decide, and answer. Never raises for a visitor's
        own fault, a missing consent, a failing store or a visit that cannot be recorded: the state
        says it, and of the last two the log says why."""
        ...

    async def update(self, visitor: Visitor, attributes: Mapping[str, Any]) -> Visitor:
        """Patch the profile's attributes (RFC 7396), durably; the visitor after it."""
        ...

    async def choose_consent(self, visitor: Visitor, general: Literal["in", "out"]) -> Visitor:
        """Keep the visitor's choice, durably; the visitor after it, with its cookies."""
        ...

    async def forget(self, visitor: Visitor) -> Visitor:
        """Erase profile, events and consent, durably; a visitor with cookies to clear."""
        ...

    def reason(self, visitor: Visitor, audience_id: str, alias: str) -> AudienceReason: ...

    def audience_id(self, name: str) -> str | None:
        """The id behind what a template wrote: an id, an alias or a name."""
        ...


class Visitor(Struct, frozen=True, kw_only=True):
    """One visitor as of one request: an immutable value, readable anywhere, also after the
    request.

    `"gold" in visitor` is true when the visitor is in that audience (id, alias or name) and it
    may be told to at least one destination, or to `alias` where the plugin bound one.
    profile_key is empty when there is no profile to speak of, and stands also where the answer did
    not come in time: `forget` and the like are of that profile. Of a signed-in customer it is the
    customer's, and device_key that of the device, which is empty otherwise; ecid may be that of a
    new device, whose cookies her choice sets. event_id: the `_id` of the visit that was recorded;
    the page hands it to its script. cookies: to be set on the answer.
    named_ecid: the ECID that the site's own device id (FPID) gives a visitor who has none yet.
    asked: whether the request was looked at: else nobody knows whose it is. gpc: as the request
    said it: what is kept of the visitor is kept with it. said_out: the browser said no, by its
    cookie or by a string on the visit, which counts where nothing is stored of its device.
    """

    state: VisitorState
    site: Site
    datastream_id: str
    ecid: str | None = None
    profile_key: str = ""
    device_key: str = ""
    lookup: Lookup = EMPTY
    alias: str | None = None
    event_id: str | None = None
    cookies: tuple[SetCookie, ...] = ()
    named_ecid: str | None = None
    asked: bool = True
    gpc: bool = False
    said_out: bool = False

    def __repr__(self) -> str:
        """For logs and pages: no proof of who it is, and no attribute."""
        return (
            f"Visitor(state={self.state!r}, datastream_id={self.datastream_id!r},"
            f" alias={self.alias!r}, audiences={sorted(self.audiences)!r})"
        )

    @property
    def audiences(self) -> frozenset[str]:
        """Ids of the audiences the visitor is in, for `alias` or for any destination."""
        return frozenset(audience for entry in self._asked() for audience in entry.audiences)

    def _asked(self) -> Iterator[DestinationLookup]:
        return (one for one in self.lookup.destinations if self.alias in (None, one.alias))

    def __contains__(self, audience: object) -> bool:
        audience_id = self.site.audience_id(audience) if isinstance(audience, str) else None
        # A page asks for each of its places: a set of all would be made anew for each.
        return audience_id is not None and any(
            audience_id in entry.audiences for entry in self._asked()
        )

    def for_alias(self, alias: str) -> DestinationLookup | None:
        """The answer for one integration alias; None where the datastream has none such."""
        return self.lookup.for_alias(alias)

    def reason(self, audience: str, alias: str | None = None) -> AudienceReason:
        """Why in or why not, as a sentence: as of now, and in any thread. Raises UnknownAudience,
        and StoreUnavailable in another thread than Perso's where that is busy for a second, and in
        a process that was forked off its own."""
        return self.site.reason(self, audience, alias or self.alias or "")

    async def update(self, attributes: Mapping[str, Any]) -> Visitor:
        """What the site's own server knows of the visitor, as a JSON merge patch (RFC 7396).
        Never pass a browser's words. Of whom nothing may be kept nothing is, and the visitor's
        state says so. Raises BadAttributes, StoreUnavailable (also of one who was not looked up).
        """
        return await self.site.update(self, attributes)

    async def choose_consent(self, general: Literal["in", "out"]) -> Visitor:
        """Keep the visitor's choice, durably. Raises BadChoice, and StoreUnavailable as update."""
        return await self.site.choose_consent(self, general)

    async def forget(self) -> Visitor:
        """Erase what is kept of the visitor, durably. Raises StoreUnavailable as update."""
        return await self.site.forget(self)
