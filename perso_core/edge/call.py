"""One call to the edge, as its action sees it, and what the action replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from perso_core.decision.identity import Device, Identity
from perso_core.definitions.datastream import Datastream
from perso_core.edge.caller import Caller, caller_from, proven_by
from perso_core.edge.context import AuthContext
from perso_core.edge.cookies import CookieKeys, proven_device, received
from perso_core.edge.first_party import FirstParty
from perso_core.edge.fpid import fpid_of
from perso_core.edge.problem import EdgeError, NamespaceNotFetched, Problem, Report, shown
from perso_core.edge.wire import (
    Handle,
    RequestMeta,
    RequestQuery,
    encode_answer,
    state_store,
    state_store_of,
)
from perso_core.visitor import SetCookie

FETCHED = frozenset({"ECID"})


class Call(Struct, frozen=True, kw_only=True):
    """A call whose datastream, origin and media type were found good; its body is not decoded yet.

    same_site_none: what the answer's cookies need (origins.py). now_ms: when the call came.
    server: it came to /v2. context: a server's proof, on v2 alone; None: whoever calls is answered
    as a browser. silent: no body is wanted where nothing is amiss.
    gpc: the browser sent `Sec-GPC: 1`; its absence says nothing.
    accept_language: the header, "" when absent. first_party: page and edge are of one site; None:
    they are not, or nothing says so. media_type: of the body, in small letters.
    admitted: it was admitted before it was decoded (admission.py).
    """

    request_id: str
    datastream: Datastream
    org: str
    body: bytes
    cookie_header: str
    same_site_none: bool
    now_ms: int
    server: bool = False
    context: AuthContext | None = None
    silent: bool = False
    gpc: bool = False
    accept_language: str = ""
    first_party: FirstParty | None = None
    media_type: str = ""
    admitted: bool = False

    @property
    def report(self) -> Report:
        return Report(request_id=self.request_id, config_id=self.datastream.id, org_id=self.org)

    def cookies(self, meta: RequestMeta) -> Mapping[str, tuple[str, ...]]:
        """Those of the Cookie header and those that the body carries."""
        return received(self.cookie_header, meta.state.entries)

    def caller(
        self,
        meta: RequestMeta,
        named: str | None,
        claims: Sequence[Identity],
        *,
        keys: CookieKeys,
        entropy: Callable[[int], bytes],
    ) -> Caller:
        """Who calls, by the Cookie header, the cookies in the body, the ECID it names and its
        claims, one of which may be an FPID."""
        fpid = fpid_of(claims, self.cookie_header, self.datastream)
        return caller_from(
            self.cookies(meta), named, fpid, org=self.org, keys=keys, entropy=entropy
        )

    def proven(self, meta: RequestMeta, keys: CookieKeys) -> Device | None:
        """The device that the cookies prove, those of a browser or those that its server
        forwards."""
        proof = proven_device(self.cookies(meta), org=self.org, keys=keys)
        fpid = fpid_of((), self.cookie_header, self.datastream)
        return proven_by(proof, fpid, org=self.org, keys=keys)

    def kept(
        self, meta: RequestMeta, cookies: Sequence[SetCookie], more: SetCookie | None = None
    ) -> tuple[list[Handle], tuple[str, ...]]:
        """The handles that have the SDK keep cookies, and the Set-Cookie headers that keep them
        themselves. cookies: of the identity; where page and edge are of one site they go by
        header, since browsers shorten the life of what a script wrote. more: always by the SDK;
        the same for many visitors.
        """
        headers = self.headers(meta, cookies) if cookies else ()
        if cookies and not headers:
            told = (*cookies, more) if more else cookies
            return [state_store(told, same_site_none=self.same_site_none)], ()
        return [state_store_of(more, self.same_site_none)] if more else [], headers

    def headers(self, meta: RequestMeta, cookies: Sequence[SetCookie]) -> tuple[str, ...]:
        """Set-Cookie headers for the cookies; none where page and edge are of two sites."""
        if self.first_party is None:
            return ()
        domain = self.first_party.domain(meta.state.domain)
        if domain is None:
            return ()
        return tuple(self.first_party.header(one, domain) for one in cookies)

    def reply(
        self,
        handles: Sequence[Handle],
        *,
        errors: Sequence[EdgeError] = (),
        warnings: Sequence[EdgeError] = (),
        set_cookies: tuple[str, ...] = (),
    ) -> Reply:
        """200 with what was asked for; 207 where something of it failed."""
        return Reply(
            207 if errors else 200,
            encode_answer(
                self.request_id,
                handles,
                errors=self._problems(errors) if errors else (),
                warnings=self._problems(warnings) if warnings else (),
            ),
            set_cookies,
            tuple(error.code for error in errors) if errors else (),
        )

    def _problems(self, faults: Sequence[EdgeError]) -> list[Problem]:
        return [fault.problem(self.report) for fault in faults]


class Reply(Struct, frozen=True):
    """body empty: 204. set_cookies: values of Set-Cookie headers. failed: codes of the errors of a
    207."""

    status: int
    body: bytes = b""
    set_cookies: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


NOTHING_TO_TELL = Reply(204)


def fetch_warnings(query: RequestQuery) -> tuple[EdgeError, ...]:
    """A warning where the caller wants identities of namespaces that we have not."""
    if FETCHED.issuperset(query.identity.fetch):
        return ()
    unknown = [name for name in query.identity.fetch if name not in FETCHED]
    names = shown(", ".join(unknown[:5]))
    return (NamespaceNotFetched(f"Not fetched: {names}.", fix="Ask for ECID alone."),)
