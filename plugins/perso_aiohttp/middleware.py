"""Each request's visitor: decided before the page renders, remembered in the answer's cookies."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import structs

from perso_aiohttp.answer import add_cookies, checked_domain, checked_wait, keep_private
from perso_aiohttp.page_view import cookies_text, header_text, is_visit, page_view, wants_html
from perso_core import Identity, NoVisitor, PageRequest, PersoError, SetCookie, Site, Visitor

EventFor = Callable[[web.Request], Mapping[str, Any] | None]
CustomerOf = Callable[[web.Request], Awaitable[Identity | None]]

_log = logging.getLogger("perso_aiohttp")


class _Raised(Exception):
    """A function that the site gave did; the log says which."""


class _Plugin:
    """What init_app was told, and whether the site answers at present."""

    def __init__(
        self,
        site: Site,
        *,
        datastream: str,
        alias: str | None,
        event_for: EventFor,
        customer_of: CustomerOf | None,
        cookie_domain: str | None,
        wait_ms: int,
        secure: bool | None,
    ) -> None:
        self.site = site
        self.datastream = datastream
        self.alias = alias
        self.event_for = event_for
        self.customer_of = customer_of
        self.cookie_domain = checked_domain(cookie_domain)
        self.wait_ms = checked_wait(wait_ms)
        self.secure = secure
        self.failing = False
        self.raised: set[tuple[str, str]] = set()
        self.warned: set[tuple[str, ...]] = set()

    async def ask(self, request: web.Request, *, visits: bool) -> Visitor:
        """The visitor. visits: recorded, where that is an event. What fails makes them unavailable:
        without its customer a page is not the device's either."""
        try:
            with self._given("event_for", self.event_for):
                xdm = self.event_for(request) if visits else None
            with self._given("customer_of", self.customer_of):
                customer = await self.customer_of(request) if self.customer_of else None
        except _Raised:
            return self.nobody()
        page = PageRequest(
            datastream_id=self.datastream,
            cookie_header=cookies_text(request),
            xdm=xdm,
            wait_ms=self.wait_ms,
            accept_language=header_text(request, "Accept-Language"),
            gpc=header_text(request, "Sec-GPC") == "1",
            customer=customer,
        )
        try:
            visitor = await self.site.visit(page)
        except PersoError as error:
            self._report(error)
            return self.nobody()
        self.failing = False
        if visitor.state == "known" and self.alias and visitor.for_alias(self.alias) is None:
            self._warn(
                "The datastream %s has no destination with the alias %s: templates see no audience."
                " Write the integration_alias of one, or leave alias out.",
                self.datastream,
                self.alias,
            )
        return self.bound(visitor)

    @contextmanager
    def _given(self, option: str, function: object) -> Iterator[None]:
        """What a function of the site's raises is _Raised, and in the log once of its kind; but for
        an answer of its own, such as a redirect."""
        try:
            yield
        except web.HTTPException:
            raise
        except Exception as error:
            name, kind = _name_of(function), type(error).__name__
            if (name, kind) not in self.raised:
                self.raised.add((name, kind))
                _log.exception(
                    "Pages are rendered without their visitor: %s (%s) raised %s. Mend it.",
                    option,
                    name,
                    kind,
                )
            raise _Raised from error

    def nobody(self) -> Visitor:
        """A visitor of whom nothing could be asked."""
        return Visitor(
            state="unavailable",
            site=self.site,
            datastream_id=self.datastream,
            alias=self.alias,
            asked=False,
        )

    def bound(self, visitor: Visitor) -> Visitor:
        """The visitor as the configured alias sees it, unless it is bound already."""
        if self.alias is None or visitor.alias is not None:
            return visitor
        return structs.replace(visitor, alias=self.alias)

    def warn_of_no_page(self, request: web.Request) -> None:
        self._warn(
            "visitor_from was asked on %s in a request that wants no page: nothing was looked"
            " up. Write `await visitor_for(request)` in its handler.",
            _route(request),
        )

    def warn_of_too_late(self, request: web.Request) -> None:
        self._warn(
            "The visitor was asked for on %s when the answer's headers had left: no cookie is set,"
            " and a cache may keep the page for others. Ask before the answer is prepared.",
            _route(request),
        )

    def _warn(self, *text_and_values: str) -> None:
        """Once for each route, or what else it is about: there are only so many."""
        if text_and_values not in self.warned:
            self.warned.add(text_and_values)
            _log.warning(*text_and_values)

    def _report(self, error: PersoError) -> None:
        """Once for each time it begins: a store that is down fails every request."""
        if not self.failing:
            _log.error("Pages are rendered without their visitor. %s", error)
        self.failing = True


class _Visit:
    """One request's visitor, from its look-up to its cookies.

    visitor: None until it was asked for. touched: the handler read it, so the answer may be this
    visitor's alone; an answer that nobody touched is left as it was. left: its headers are gone.
    """

    def __init__(self, plugin: _Plugin) -> None:
        self.plugin = plugin
        self.visitor: Visitor | None = None
        self.cookies: dict[str, SetCookie] = {}
        self.touched = False
        self.left = False

    def touch(self, request: web.Request, *, sets_cookies: bool = False) -> None:
        """The handler reads it, or changes it."""
        if self.left and (sets_cookies or not self.touched):
            self.plugin.warn_of_too_late(request)
        self.touched = True

    def keep(self, visitor: Visitor) -> Visitor:
        """Make it the request's visitor. Its cookies replace those of the same names."""
        self.visitor = self.plugin.bound(visitor)
        self.cookies.update((cookie.name, cookie) for cookie in visitor.cookies)
        return self.visitor

    def seal(self, request: web.Request, response: web.StreamResponse) -> None:
        """Put cookies and privacy on the answer. Again on the same answer: cookies once."""
        if not self.touched:
            return
        keep_private(response)
        if response.get(_SEALED):
            return
        response[_SEALED] = True
        secure = request.secure if self.plugin.secure is None else self.plugin.secure
        domain = self.plugin.cookie_domain
        add_cookies(response, self.cookies.values(), domain=domain, secure=secure)


_VISIT = web.RequestKey("perso_aiohttp", _Visit)
_SEALED = web.ResponseKey("perso_aiohttp", bool)


def init_app(
    app: web.Application,
    site: Site,
    *,
    datastream: str,
    alias: str | None = None,
    event_for: EventFor = page_view,
    customer_of: CustomerOf | None = None,
    cookie_domain: str | None = None,
    wait_ms: int = 50,
    secure: bool | None = None,
) -> None:
    """Give each request of the app its visitor.

    alias: the integration alias whose audiences templates see; None: those of any destination.
    event_for: the XDM event that a page visit is; None from it: look up, record nothing.
    customer_of: who is signed in, by the site's own session; None from it: nobody. Pages show the
    customer's audiences then, as pages' scripts do that send an identity assertion.
    cookie_domain: the apex (`example.org`), where the Web SDK writes its cookies; ours must be
    there too, or a browser holds two of each and sends both. None: the host that answers.
    wait_ms: how long a page may wait until its visit is on disk, 60,000 at most.
    secure: whether cookies are for https alone; None: as the request came. Behind a proxy that
    ends TLS, say True.
    Middlewares that stand before ours see no visitor. Raises BadCookieDomain, BadWait.
    """
    plugin = _Plugin(
        site,
        datastream=datastream,
        alias=alias,
        event_for=event_for,
        customer_of=customer_of,
        cookie_domain=cookie_domain,
        wait_ms=wait_ms,
        secure=secure,
    )

    @web.middleware
    async def with_visitor(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _VISIT in request:  # an outer application has asked: a visit counts once
            return await handler(request)
        visit = request[_VISIT] = _Visit(plugin)
        if wants_html(request):
            visit.keep(await plugin.ask(request, visits=is_visit(request)))
        return await _answer(visit, request, handler)

    app.middlewares.append(with_visitor)
    app.on_response_prepare.append(_seal)


def visitor_from(request: web.Request) -> Visitor:
    """The visitor of a request that wants HTML.

    On any other request, an unavailable visitor who is in no audience; there, write
    `await visitor_for(request)`. Raises NoVisitor when the app has no middleware of ours.
    """
    visit = _visit_of(request)
    visit.touch(request)
    if visit.visitor is None:
        visit.plugin.warn_of_no_page(request)
        return visit.plugin.nobody()
    return visit.visitor


async def visitor_for(request: web.Request) -> Visitor:
    """The visitor of any request, looked up without an event where it is not there yet.

    Raises NoVisitor when the app has no middleware of ours.
    """
    visit = _visit_of(request)
    visit.touch(request)
    if visit.visitor is None:
        visit.keep(await visit.plugin.ask(request, visits=False))
    assert visit.visitor is not None, "keep gave the request its visitor"
    return visit.visitor


def remember(request: web.Request, visitor: Visitor) -> None:
    """Answer with this visitor's cookies: after update, choose_consent and forget, which return
    a new visitor. From here on visitor_from gives it. Raises NoVisitor."""
    visit = _visit_of(request)
    visit.touch(request, sets_cookies=bool(visitor.cookies))
    visit.keep(visitor)


def page_data(request: web.Request) -> dict[str, Any]:
    """What the page's script needs: {"eventId": str or None, "datastream": str}.

    The script sends eventId as the `_id` of its own page view, so that the visit counts once.
    """
    visitor = visitor_from(request)
    return {"eventId": visitor.event_id, "datastream": visitor.datastream_id}


def _name_of(function: object) -> str:
    """As its author knows it. Of an object its class: what the object says of itself may be
    secret."""
    whole = getattr(function, "func", function)  # of a functools.partial
    named = whole if hasattr(whole, "__qualname__") else type(whole)
    return f"{named.__module__}.{named.__qualname__}"


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


async def _answer(visit: _Visit, request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, sealed. An outer middleware may have put another request object in
    front of the handler, so the signal below would not find the visit."""
    try:
        response = await handler(request)
    except web.HTTPException as answer:
        visit.seal(request, answer)
        raise
    if not response.prepared:  # otherwise its headers have left, sealed by the signal
        visit.seal(request, response)
    return response


async def _seal(request: web.Request, response: web.StreamResponse) -> None:
    """The last moment before headers leave: for answers that stream, and for those that an outer
    middleware put in place of the handler's."""
    visit: _Visit | None = request.get(_VISIT)
    if visit is not None:
        visit.seal(request, response)
        visit.left = True


def _visit_of(request: web.Request) -> _Visit:
    visit: _Visit | None = request.get(_VISIT)
    if visit is None:
        raise NoVisitor(
            f"{request.method} {request.path}",
            fix="Call perso_aiohttp.init_app(app, site, datastream=…) before the app starts,"
            " and let middlewares that ask for the visitor stand after it.",
        )
    return visit
