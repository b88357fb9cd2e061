"""Whoever comes is decided alike: by a page's script, by a page that the site's server renders, by
a call to /v2 that proves nothing, and, of a customer, by a proven server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from msgspec import Struct, structs

from perso_core import Identity, PageRequest
from perso_core.decision.event import event_from
from perso_core.decision.identity import Device
from perso_core.decision.profile import mark_of
from perso_core.definitions.activation import Activation
from perso_core.definitions.document import Definitions
from perso_core.edge.cookies import identity_cookies
from perso_core.edge.site import InProcessSite
from perso_core.engine.engine import Answer, Interaction
from perso_core.engine.journal import (
    AttributesPatched,
    Change,
    ConsentChosen,
    EventArrived,
    PrivacySignalled,
)
from perso_core.stores.memory import MemoryStore
from tests.building import NOON_MS, ORG, definitions
from tests.canaries.planting import without_canaries
from tests.decision.test_tcf import AGREED, NO_PURPOSE_1
from tests.edge.running import (
    KEYS,
    NAMES,
    Browser,
    RunningEdge,
    Told,
    cookie_header,
    running_edge,
)
from tests.edge.servers import api_key, issuer, shown_key
from tests.edge.test_consent_standards import GPC, UNREADABLE, tc
from tests.edge.test_identity_assertions import ANNA, assertion, consenting, key, two_processes
from tests.worker.stack import WatchedStore, broken

ECID = "1" * 38
DEVICE, CUSTOMER = f"ECID:{ECID}", key(ANNA)
ADDED = "commerce.productListAdds"
IN, OUT, NO_SHARING = ConsentChosen("in"), ConsentChosen("out"), ConsentChosen(share="n")
SHARES_THOUGH_SIGNALLED = ConsentChosen(share="y", gpc=True)


class Scene(Struct, frozen=True, kw_only=True):
    """Who comes, and what was said before. device: what was said of it, which has put something
    into its basket then; None: it is new. customer: the same of who is signed in, who has a gold
    card; None: nobody is. held: the browser's consent cookie. strings: on the event. asks: there is
    no event. default, opt_in: the datastream's."""

    device: tuple[Change, ...] | None = None
    customer: tuple[Change, ...] | None = None
    held: str = ""
    strings: tuple[Any, ...] = ()
    identities: Mapping[str, Any] = {}
    gpc: bool = False
    asks: bool = False
    default: Any = "in"
    opt_in: bool = False

    @property
    def cookies(self) -> str:
        pairs = dict[str, str]()
        if self.device is not None:
            told = identity_cookies(
                Device(ECID), org=ORG, keys=KEYS, now_ms=NOON_MS, source=0, created_ms=NOON_MS
            )
            pairs = {one.name: one.value for one in told}
        if self.held:
            pairs[NAMES.consent] = f"general={self.held}"
        return cookie_header(pairs)

    @property
    def xdm(self) -> dict[str, Any] | None:
        if self.asks:
            return None
        more = {"consentStrings": list(self.strings)} if self.strings else {}
        named = {"identityMap": self.identities} if self.identities else {}
        return {"eventType": "page", **more, **named}

    @property
    def in_force(self) -> Definitions:
        """Two destinations, one of which advertises; all audiences go to both."""
        one = definitions(default_consent=self.default, consent_strings_opt_in=self.opt_in)
        (pages,) = one.destinations
        ads = structs.replace(pages, id="d-ads", integration_alias="ads", advertising=True)
        return structs.replace(
            one,
            destinations=(pages, ads),
            activations=tuple(
                Activation(audience=audience.id, destination=to)
                for audience in one.audiences
                for to in (pages.id, ads.id)
            ),
            issuers=(issuer(may=("events", "identities")),),
            api_keys=(api_key(),),
        )


class Came(Struct, frozen=True, kw_only=True):
    """What came of it. pages, ads: the audiences told; None: consent permits nothing. cookie: the
    choice that the browser is to keep. device, customer: how many events are kept, and what was
    said (general, share, whether the browser signalled)."""

    pages: tuple[str, ...] | None
    ads: tuple[str, ...] = ()
    cookie: str = ""
    device: tuple[int, Any] = (0, None)
    customer: tuple[int, Any] = (0, None)


# ---- the ways --------------------------------------------------------------------


Way = Callable[[RunningEdge, Scene], Awaitable[Came]]


async def by_script(edge: RunningEdge, scene: Scene) -> Came:
    body = {"events": [_event(scene)]}
    signal = GPC if scene.gpc else {}
    return await _answered(edge, await edge.call(body=body, cookie=scene.cookies, headers=signal))


async def by_unproven_server(edge: RunningEdge, scene: Scene) -> Came:
    body, signal = {"event": _event(scene)}, GPC if scene.gpc else {}
    told = await edge.call(body=body, cookie=scene.cookies, headers=signal, version="v2")
    return await _answered(edge, told)


async def by_proven_server(edge: RunningEdge, scene: Scene) -> Came:
    customer = {"id": ANNA, "primary": True, "authenticatedState": "authenticated"}
    named = {**scene.identities, "CRMID": [customer]}
    body = {"event": {"xdm": {**(scene.xdm or {}), "identityMap": named}}}
    told = await edge.call(body=body, cookie=scene.cookies, headers=shown_key(), version="v2")
    return await _answered(edge, told)


async def by_page(edge: RunningEdge, scene: Scene) -> Came:
    shown = await edge.rendered().visit(asked_of(scene))
    permitted = shown.state in ("known", "new")
    told = {one.alias: one.audiences for one in shown.lookup.destinations}
    cookies = {one.name: one.value for one in shown.cookies}
    return await _came(edge, told if permitted else None, cookies)


WAYS: Mapping[str, Way] = {
    "script": by_script,
    "page": by_page,
    "unproven server": by_unproven_server,
    "proven server": by_proven_server,
}


def asked_of(scene: Scene, **more: Any) -> PageRequest:
    asked = PageRequest(
        datastream_id="demo",
        cookie_header=scene.cookies,
        xdm=scene.xdm,
        wait_ms=10_000,
        gpc=scene.gpc,
        customer=Identity("CRMID", ANNA) if scene.customer is not None else None,
    )
    return structs.replace(asked, **more)


def _event(scene: Scene) -> dict[str, Any]:
    data = {"__perso": {"identityAssertion": assertion(ECID)}} if scene.customer is not None else {}
    return {"xdm": scene.xdm or {}, "data": data}


async def _answered(edge: RunningEdge, told: Told) -> Came:
    permitted = "EXEG-0301-200" not in told.warnings
    entries = told.payload("activation:pull")
    audiences = {one["alias"]: tuple(each["id"] for each in one["segments"]) for one in entries}
    return await _came(edge, audiences if permitted else None, told.cookies)


async def _came(
    edge: RunningEdge, told: Mapping[str, tuple[str, ...]] | None, cookies: Mapping[str, str]
) -> Came:
    return Came(
        pages=told.get("cms", ()) if told is not None else None,
        ads=told.get("ads", ()) if told is not None else (),
        cookie=cookies.get(NAMES.consent, "").removeprefix("general="),
        device=await _kept(edge, DEVICE),
        customer=await _kept(edge, CUSTOMER),
    )


async def _kept(edge: RunningEdge, profile_key: str) -> tuple[int, Any]:
    if isinstance(edge.store, WatchedStore):
        edge.store.failing = None
    stored = await edge.store.load(profile_key)
    events = len(stored.profile.events) if stored.profile else 0
    consent = stored.consent
    if consent is None:
        return events, None
    return events, (consent.general, consent.share, consent.gpc_since_ms is not None)


async def before(edge: RunningEdge, scene: Scene) -> None:
    """What was said and done before the scene, as of the store."""
    if scene.device is not None:
        added = event_from({"eventType": ADDED}, event_id="added", received_ms=NOON_MS - 1_000)
        await said(edge, DEVICE, *scene.device, EventArrived(event=added, datastream_id="demo"))
    if scene.customer is not None:
        card = AttributesPatched({"loyalty": {"tier": "gold"}})
        await said(edge, CUSTOMER, *scene.customer, card)


async def said(edge: RunningEdge, profile_key: str, *changes: Change) -> None:
    asked = Interaction(profile_key=profile_key, datastream_id="demo", changes=changes)
    await edge.drain.durable((await edge.admission.decided(asked)).sequence)


# ---- who comes, and what comes of it ------------------------------------------------


BASKET, GOLD, BOTH = ("basket",), ("gold",), ("basket", "gold")
BROWSERS = ("script", "page", "unproven server")
ASKING = ("page", "unproven server")
ALL = tuple(WAYS)
SAID_IN, SAID_OUT = ("in", None, False), ("out", None, False)
SIGNALLED = (None, None, True)

SCENES: Mapping[str, tuple[Scene, Came, tuple[str, ...]]] = {
    "who was here": (
        Scene(device=()),
        Came(pages=BASKET, ads=BASKET, device=(2, None)),
        BROWSERS,
    ),
    "who was here, and only asks": (
        Scene(device=(), asks=True),
        Came(pages=BASKET, ads=BASKET, device=(1, None)),
        ASKING,
    ),
    "nobody may be kept before they choose": (
        Scene(device=(IN,), default="pending"),
        Came(pages=BASKET, ads=BASKET, device=(2, SAID_IN)),
        BROWSERS,
    ),
    "who has not chosen where that is waited for": (
        Scene(default="pending"),
        Came(pages=None),
        ("script", "page"),
    ),
    "a newcomer whose browser holds a refusal": (
        Scene(held="out"),
        Came(pages=None, cookie="out"),
        ("script", "page"),
    ),
    "who refused, whatever the browser holds": (
        Scene(device=(OUT,), held="in"),
        Came(pages=None, cookie="out", device=(0, SAID_OUT)),
        BROWSERS,
    ),
    "whose browser alone holds a refusal": (
        Scene(device=(), held="out"),
        Came(pages=None, cookie="out", device=(0, SAID_OUT)),
        BROWSERS,
    ),
    "whose browser holds an outdated refusal": (
        Scene(device=(IN,), held="out"),
        Came(pages=BASKET, ads=BASKET, device=(2, SAID_IN)),
        BROWSERS,
    ),
    "who refuses by a string": (
        Scene(device=(IN,), strings=(tc(AGREED), tc(NO_PURPOSE_1))),
        Came(pages=None, cookie="out", device=(0, SAID_OUT)),
        BROWSERS,
    ),
    "whose string cannot be read": (
        Scene(device=(), strings=(tc("CO052l"),)),
        Came(pages=None, device=(1, None)),
        BROWSERS,
    ),
    "who agrees by a string": (
        Scene(device=(), strings=(tc(AGREED),), default="pending", opt_in=True),
        Came(pages=(), device=(1, SAID_IN)),
        BROWSERS,
    ),
    "whose browser signals": (
        Scene(device=(), gpc=True),
        Came(pages=BASKET, device=(2, (None, None, True))),
        BROWSERS,
    ),
    "whose browser signals, and who only asks": (
        Scene(device=(), gpc=True, asks=True),
        Came(pages=BASKET, device=(1, (None, None, True))),
        ASKING,
    ),
    "who signs in": (
        Scene(device=(), customer=()),
        Came(pages=BOTH, ads=BOTH, customer=(2, None)),
        ALL,
    ),
    "who is signed in, and only asks": (
        Scene(device=(), customer=(), asks=True),
        Came(pages=GOLD, ads=GOLD, device=(1, None)),
        (*ASKING, "proven server"),
    ),
    "a customer who refused, on a device that did not": (
        Scene(device=(), customer=(OUT,)),
        Came(pages=None, device=(1, None), customer=(0, SAID_OUT)),
        ALL,
    ),
    "a customer on a device that refused": (
        Scene(device=(OUT,), customer=()),
        Came(pages=None, cookie="out", device=(0, SAID_OUT)),
        BROWSERS,
    ),
    "a customer on a device whose browser holds a refusal": (
        Scene(device=(), customer=(), held="out"),
        Came(pages=None, cookie="out", device=(1, None)),
        BROWSERS,
    ),
    "a customer on a device that refused sharing": (
        Scene(device=(NO_SHARING,), customer=()),
        Came(pages=BOTH, device=(0, (None, "n", False)), customer=(2, (None, "n", False))),
        ALL,
    ),
    "such a customer who only asks": (
        Scene(device=(PrivacySignalled(),), customer=(), asks=True),
        Came(pages=GOLD, device=(1, (None, None, True)), customer=(0, (None, None, True))),
        ASKING,
    ),
    "a customer whose browser signals": (
        Scene(device=(), customer=(), gpc=True),
        Came(pages=BOTH, device=(0, SIGNALLED), customer=(2, SIGNALLED)),
        BROWSERS,
    ),
    "a customer whose browser signals, and who only asks": (
        Scene(device=(), customer=(), gpc=True, asks=True),
        Came(pages=GOLD, device=(1, SIGNALLED), customer=(0, SIGNALLED)),
        ASKING,
    ),
    "a customer whose browser signals, on a device that shares all the same": (
        Scene(device=(SHARES_THOUGH_SIGNALLED,), customer=(), gpc=True),
        Came(
            pages=BOTH, ads=BOTH, device=(0, (None, "y", True)), customer=(2, (None, None, False))
        ),
        BROWSERS,
    ),
    "a customer whose browser signals where a choice is waited for, on a device without one": (
        Scene(device=(), customer=(IN,), gpc=True, default="pending"),
        Came(pages=GOLD, customer=(1, ("in", None, True))),
        BROWSERS,
    ),
    "of whom a server asks": (
        Scene(device=(NO_SHARING,), customer=(), asks=True),
        Came(pages=GOLD, device=(1, (None, "n", False))),
        ("proven server",),
    ),
    "a customer where a choice is waited for, whose device agreed": (
        Scene(device=(IN,), customer=(), default="pending"),
        Came(pages=BASKET, ads=BASKET, device=(0, SAID_IN), customer=(2, SAID_IN)),
        ALL,
    ),
}


@pytest.mark.parametrize(
    ("scene", "came", "way"),
    [
        pytest.param(scene, came, way, id=f"{name}-{way}")
        for name, (scene, came, ways) in SCENES.items()
        for way in ways
    ],
)
async def test_whoever_comes_is_decided_alike_whichever_way(
    scene: Scene, came: Came, way: str
) -> None:
    async with running_edge(scene.in_force) as edge:
        await before(edge, scene)

        assert await WAYS[way](edge, scene) == came


@pytest.mark.parametrize("way", ALL)
async def test_where_what_a_device_did_cannot_move_the_customer_is_told_of_all_the_same(
    way: str,
) -> None:
    """With an error, over HTTP. A page had shown its defaults, and a server was told nothing."""
    scene = Scene(device=(), customer=())
    store = WatchedStore(MemoryStore())
    async with running_edge(scene.in_force, store=store) as edge:
        await before(edge, scene)
        store.failing = broken()

        told = await WAYS[way](edge, scene)

        assert (told.pages, told.ads) == (GOLD, GOLD)


async def test_a_page_tells_nothing_where_it_is_not_known_what_was_stored_in_the_end() -> None:
    """Another process had been faster, perhaps with a refusal."""
    scene = Scene(device=())

    async with running_edge(scene.in_force) as edge:
        await before(edge, scene)

        async def decide(asked: Interaction) -> Answer:
            if not asked.changes:
                raise broken()
            return await edge.admission.decided(asked)

        overtaken = edge.services(decide=decide, decided_again=lambda sequence: True)
        shown = await InProcessSite(overtaken, lambda key, audience: None).visit(asked_of(scene))

        assert shown.state == "unavailable"
        assert not shown.audiences


async def test_a_refusal_on_a_page_stands_where_another_process_kept_an_agreement_since() -> None:
    """This process knows of an earlier refusal alone, and the browser's token of what came then."""
    async with two_processes(definitions()) as (one, other):
        browser = Browser(one)
        ecid = (await browser.send()).ecid
        refusing = Scene(strings=(tc(NO_PURPOSE_1),))
        held = cookie_header(browser.cookies)
        await one.rendered().visit(asked_of(refusing, cookie_header=held))
        browser.edge = other
        other.now_ms += 1
        await browser.send("privacy/set-consent", consenting("in"))

        held = cookie_header(browser.cookies)
        await one.rendered().visit(asked_of(refusing, cookie_header=held))

        consent = (await one.store.load(f"ECID:{ecid}")).consent
        assert consent
        assert consent.general == "out"


async def test_what_a_page_says_of_a_newcomer_is_kept_with_the_browsers_signal() -> None:
    """A form's answer had told advertising what the browser says may not be shared."""
    scene = Scene(gpc=True, asks=True)
    async with running_edge(scene.in_force) as edge:
        asked = await edge.rendered().visit(asked_of(scene))

        known = await asked.update({"loyalty": {"tier": "gold"}})

        ads, pages = known.for_alias("ads"), known.for_alias("cms")
        assert ads
        assert pages
        assert (ads.audiences, pages.audiences) == ((), GOLD)


@pytest.mark.parametrize(
    "scene",
    [
        Scene(held="out"),
        Scene(strings=(tc(NO_PURPOSE_1),)),
        Scene(strings=(tc("CO052l"),), held="out"),
        Scene(device=(), held="out"),
        Scene(device=(), customer=(), held="out"),
        Scene(device=(OUT,), customer=()),
        Scene(customer=(), strings=(tc(NO_PURPOSE_1),)),
    ],
)
async def test_what_a_page_says_of_who_refused_is_not_kept_and_nothing_is_shown(
    scene: Scene,
) -> None:
    """A newcomer had got a profile and its cookies, and a customer was shown on the device."""
    async with running_edge(scene.in_force) as edge:
        await before(edge, scene)
        refused = await edge.rendered().visit(asked_of(scene))

        after = await refused.update({"loyalty": {"tier": "silver"}})

        assert after.state == "no-consent"
        assert not after.audiences
        assert {one.name for one in after.cookies} <= {NAMES.consent}
        stored = await edge.profile(CUSTOMER)
        assert stored is None or without_canaries(stored.attributes)["loyalty"] == {"tier": "gold"}


async def test_who_agrees_after_that_is_kept() -> None:
    scene = Scene(held="out", asks=True)
    async with running_edge(scene.in_force) as edge:
        agreed = await (await edge.rendered().visit(asked_of(scene))).choose_consent("in")

        after = await agreed.update({"loyalty": {"tier": "gold"}})

        assert after.state == "known"
        assert after.audiences == {"gold"}


async def test_so_is_a_choice() -> None:
    scene = Scene(customer=(IN,), gpc=True, asks=True, default="pending")
    async with running_edge(scene.in_force) as edge:
        await before(edge, scene)
        await said(edge, CUSTOMER, OUT)

        agreed = await (await edge.rendered().visit(asked_of(scene))).choose_consent("in")

        assert await _kept(edge, CUSTOMER) == (0, ("in", None, True))
        assert await _kept(edge, agreed.device_key) == (0, ("in", None, True))


async def test_what_a_page_says_of_a_customer_leaves_the_signal_the_devices_word() -> None:
    """A form's answer had made it the customer's own, which no later word on the device took back,
    also of a device that shares though its browser signals."""
    pending = Scene(customer=(), gpc=True, asks=True, default="pending")
    async with running_edge(pending.in_force) as edge:
        await before(edge, pending)
        shown = await (await edge.rendered().visit(asked_of(pending))).choose_consent("in")
        consent = (await edge.store.load(CUSTOMER)).consent
        assert consent
        assert consent.share_of == mark_of(shown.device_key).hex()

    shares = Scene(device=(SHARES_THOUGH_SIGNALLED,), customer=(), gpc=True, asks=True)
    async with running_edge(shares.in_force) as edge:
        await before(edge, shares)
        shown = await edge.rendered().visit(asked_of(shares))
        after = await shown.update({"loyalty": {"tier": "gold", "points": 1}})
        ads = after.for_alias("ads")
        assert ads
        assert ads.audiences == GOLD


async def test_a_batch_that_proves_nothing_is_told_why_a_string_cannot_be_read() -> None:
    scene = Scene(device=(), strings=(tc("CO052l"),))
    async with running_edge(scene.in_force) as edge:
        await before(edge, scene)

        told = await edge.call(
            "collect", {"events": [_event(scene)]}, cookie=scene.cookies, version="v2"
        )

        assert told.warnings == ["EXEG-0301-200", UNREADABLE]
