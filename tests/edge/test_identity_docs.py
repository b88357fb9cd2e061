"""The example of docs/identity.md: what the site signs, and what its page sends."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from jwt.algorithms import ECAlgorithm
from pytest_aiohttp.plugin import AiohttpClient

from perso_core import Identity
from perso_core.decision.caps import Caps
from perso_core.decision.profile import Profile, attributes_of
from perso_core.decision.union import united
from perso_core.definitions.issuer import Issuer
from perso_core.definitions.toml_file import definitions_from_toml
from perso_core.edge.assertion import MEMBER, PLACE
from perso_core.engine.engine import Interaction
from perso_core.engine.journal import AttributesPatched
from tests.building import NOON_MS
from tests.definitions.whole import WHOLE
from tests.edge.running import Browser, page_view, running_edge
from tests.edge.servers import ec_key, with_attributes
from tests.edge.test_identity_assertions import key
from tests.plugins.fake_site import FakeSite
from tests.plugins.shop import DOCUMENT, page

PAGE = (Path(__file__).parents[2] / "docs" / "identity.md").read_text("utf-8")


def example(language: str, number: int = 0) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(found[number])


def documented_issuer() -> Issuer:
    """The page's, with its keys at hand instead of at its URL."""
    told = tomllib.loads(example("toml"))["issuer"][0]
    jwk = {**ECAlgorithm.to_jwk(ec_key().public_key(), as_dict=True), "kid": "2026-11"}
    told |= {"jwks": json.dumps({"keys": [jwk]}), "jwks_url": ""}
    lists = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    return Issuer(**{**told, **lists})


async def test_what_the_documented_function_signs_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: NOON_MS / 1_000)
    site: dict[str, Any] = {}
    exec(example("python"), site)
    async with running_edge(with_attributes(issuers=(documented_issuer(),))) as edge:
        patch = AttributesPatched({"loyalty": {"tier": "gold"}})
        asked = Interaction(profile_key=key("4711"), datastream_id="demo", changes=(patch,))
        await edge.drain.durable((await edge.admission.decided(asked)).sequence)
        browser = Browser(edge)
        ecid = (await browser.send()).ecid

        sent = page_view()
        assertion = site["identity_assertion"](ec_key(), ecid, "4711")
        sent["events"][0]["data"] = {"__perso": {"identityAssertion": assertion}}
        told = await browser.send(body=sent)

    assert (told.warnings, told.audiences) == ([], ["gold"])


def test_the_documented_issuer_is_a_good_definition() -> None:
    (site,) = definitions_from_toml(f"{WHOLE}\n{example('toml')}").issuers

    assert site.may == ("identities",)


def test_the_page_sends_it_where_the_edge_looks() -> None:
    assert f"data: {{ {PLACE}: {{ {MEMBER}: assertion }} }}" in example("js")


async def test_the_documented_site_says_who_is_signed_in(aiohttp_client: AiohttpClient) -> None:
    documented: dict[str, Any] = {"__name__": "site"}
    exec(example("python", 1), documented)
    site, app = FakeSite(), web.Application()

    @web.middleware
    async def session(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[documented["CUSTOMER"]] = "4711"
        return await handler(request)

    app.middlewares.append(session)
    documented["with_visitors"](app, site)
    app.router.add_get("/", page)

    await (await aiohttp_client(app)).get("/", headers=DOCUMENT)

    assert [visit.customer for visit in site.visits] == [Identity("CRMID", "4711")]


def gaps() -> list[tuple[object, object, object]]:
    """The rows of the page's table: said of one device, of another one, and kept."""
    (table,) = re.findall(r"^\| said of one .*\n\|.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    rows = [re.findall(r"`([^`]+)`", line) for line in table.splitlines()]
    return [(json.loads(one), json.loads(other), json.loads(kept)) for one, other, kept in rows]


@pytest.mark.parametrize(("one", "other", "kept"), gaps())
def test_of_what_two_devices_say_of_one_field_that_is_kept_which_the_page_says(
    one: object, other: object, kept: object
) -> None:
    devices = [
        Profile(key=f"ECID:{name * 38}", version=1, attributes={"field": said})
        for name, said in (("1", one), ("2", other))
    ]
    for first, second in (devices, reversed(devices)):
        customer = Profile(key=key("4711"), version=1)
        for device in (first, second):
            customer = united(customer, device, now_ms=NOON_MS, caps=Caps()).profile

        assert attributes_of(customer) == {"field": kept}
