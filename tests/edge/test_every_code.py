"""Each code that the edge can answer with, got over HTTP: its status, its type, its place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from typing import Any

import pytest

from perso_core.decision.caps import Caps
from perso_core.decision.projection import Projection
from perso_core.definitions.activation import Activation
from perso_core.edge.abuse import Limits
from perso_core.edge.issuer_keys import IssuerKeys
from perso_core.edge.limits import Rate
from perso_core.edge.problem import EdgeError, HttpBad
from perso_core.edge.services import PrivacyServices
from perso_core.errors import NotHeardEverywhere, StoreUnavailable
from perso_core.stores.memory import MemoryStore
from perso_core.stores.protocol import Stored, Whole
from tests.edge.raw import connected, request
from tests.edge.running import Browser, Told, ordinary, page_view, running_edge
from tests.edge.servers import (
    NOW_S,
    api_key,
    asking,
    bearer,
    issuer,
    part,
    server_call,
    server_edge,
    shown_key,
    telling,
    token,
    with_attributes,
)
from tests.edge.test_errors import identified
from tests.edge.test_server_api import known

Ask = Callable[[], Awaitable[Told]]

ADOBE = "https://ns.adobe.com/aep/errors/"
OWN = "urn:perso:"


def asked(action: str = "interact", body: object = None, **call: Any) -> Ask:
    """A browser's call."""

    async def ask() -> Told:
        async with running_edge(ordinary()) as edge:
            return await edge.call(action, body, request_id="r-1", **call)

    return ask


def shown(headers: Callable[[], dict[str, str]], body: object = None) -> Ask:
    """A server's call under these headers."""

    async def ask() -> Told:
        async with server_edge() as edge:
            return await server_call(
                edge, body or asking(CRMID="a"), headers=headers(), request_id="r-1"
            )

    return ask


def consented(value: object, **more: object) -> Ask:
    said = {"standard": "IAB TCF", "version": "2.0", "value": value, **more}
    return asked("privacy/set-consent", {"consent": [said]})


async def of_a_disabled_datastream() -> Told:
    async with running_edge(ordinary(enabled=False)) as edge:
        return await edge.call(request_id="r-1")


async def too_often() -> Told:
    limits = Limits(datastream=Rate(per_s=1, burst=1))
    async with running_edge(ordinary(), services=lambda edge: edge.services(limits=limits)) as edge:
        await edge.call()
        return await edge.call(request_id="r-1")


async def with_a_fault(fault: Exception) -> Told:
    async def fails(_: object) -> Any:
        raise fault

    async with running_edge(ordinary(), services=lambda edge: edge.services(durable=fails)) as edge:
        return await edge.call(request_id="r-1")


class DamagedStore(MemoryStore):
    async def load(self, key: str, projection: Projection | None = None) -> Stored:
        return Stored(set_aside=True)


async def of_a_damaged_profile() -> Told:
    async with running_edge(ordinary()) as before_the_damage:
        known = await before_the_damage.call()
    async with running_edge(ordinary(), store=DamagedStore()) as edge:
        browser = Browser(edge)
        browser.cookies.update(known.cookies)
        told = await browser.send(request_id="r-1")
        assert (await browser.send()).status == 200
        return told


async def without_the_issuers_keys() -> Told:
    async def down(_: str) -> bytes:
        raise OSError("no route")

    remote = issuer(jwks_url="https://id.test/keys")
    keys = IssuerKeys(down)
    async with server_edge(with_attributes(issuers=(remote,)), issuer_key=keys) as edge:
        return await server_call(edge, asking(CRMID="a"), request_id="r-1")


async def by_a_key_for(**may: Any) -> Told:
    async with server_edge(with_attributes(api_keys=(api_key(**may),))) as edge:
        return await server_call(edge, telling(CRMID="a"), headers=shown_key(), request_id="r-1")


async def by_a_key_that_may_not_import() -> Told:
    async with server_edge(with_attributes(api_keys=(api_key(),))) as edge:
        headers = {**shown_key(), "Content-Type": "text/csv"}
        return await server_call(edge, b"id", "import/audience", headers=headers, request_id="r-1")


async def of_somebody_held_back() -> Told:
    held = Activation(audience="gold", destination="d-server", end_date=date(2026, 1, 1))
    async with server_edge(with_attributes(activations=(held,))) as edge:
        await known(edge)
        return await server_call(edge, asking(CRMID="anna-4711"), request_id="r-1")


async def of_somebody_with_gaps() -> Told:
    async with server_edge() as edge:
        await known(edge)
        return await server_call(edge, asking(CRMID="anna-4711"), request_id="r-1")


async def of_a_full_profile() -> Told:
    async with running_edge(with_attributes(), caps=Caps(events=1)) as edge:
        await server_call(edge, telling(CRMID="1"))
        return await server_call(edge, telling(CRMID="1"), request_id="r-1")


async def before_consent() -> Told:
    async with running_edge(ordinary(default_consent="pending")) as edge:
        return await edge.call(request_id="r-1")


def two_primaries() -> dict[str, Any]:
    both = {"A": [{"id": "a", "primary": True}], "B": [{"id": "b", "primary": True}]}
    return {"event": {"xdm": {"identityMap": both}}}


SOMEBODY = {"identity": {"namespace": "CRMID", "id": "a"}}


async def by_a_key_without_privacy() -> Told:
    async with server_edge(with_attributes(api_keys=(api_key(),))) as edge:
        return await server_call(
            edge, SOMEBODY, "privacy/export", headers=shown_key(), request_id="r-1"
        )


async def with_a_server_that_is_late() -> Told:
    async def none(_: str) -> tuple[str, ...]:
        return ()

    async def nothing(_: str) -> None:
        return None

    async def nothing_whole(_: object) -> dict[str, Whole]:
        return {}

    async def late(_: object) -> None:
        raise NotHeardEverywhere("process 7 has not heard.", fix="Restart it.")

    privacy = PrivacyServices(whole=nothing_whole, devices=none, current=nothing, forget=late)
    keys = (api_key(may=("privacy",)),)
    async with server_edge(with_attributes(api_keys=keys), privacy=privacy) as edge:
        return await server_call(
            edge, SOMEBODY, "privacy/erase", headers=shown_key(), request_id="r-1"
        )


# Answered alone, as problem+json.
REFUSALS: dict[str, Ask] = {
    "EXEG-0002-400": asked(config=None),
    "EXEG-0003-400": asked(config="BOGUS"),
    "EXEG-0004-422": of_a_disabled_datastream,
    "EXEG-0101-400": asked(body=b"{"),
    "EXEG-0102-400": asked(body={"events": 1}),
    "EXEG-0103-400": asked(body={}),
    "EXEG-0104-422": consented(""),
    "EXEG-0106-400": asked(headers={"Content-Type": "text"}),
    "EXEG-0109-408": asked(body=b""),
    "EXEG-0111-415": asked(headers={"Content-Type": "a/b"}),
    "EXEG-0112-413": asked(body=b" " * 70_000),
    "EXEG-0113-400": asked(body=page_view(more={"meta": {"configOverrides": {"x": 1}}})),
    "EXEG-0304-400": shown(bearer, two_primaries()),
    "EXEG-0305-400": asked(body=page_view(more={"xdm": identified({"id": "1"})})),
    "EXEG-0306-400": shown(bearer, {"event": {"xdm": {"eventType": "a"}}}),
    "EXEG-0500-401": shown(lambda: bearer(part({}))),
    "EXEG-0502-401": shown(lambda: bearer(token()[:-8] + "AAAAAAAA")),
    "EXEG-0503-401": shown(lambda: bearer(token(exp=NOW_S - 60, iat=NOW_S - 120))),
    "EXEG-0504-401": shown(lambda: bearer(token(aud="another"))),
    "EXEG-0505-401": lambda: by_a_key_for(datastreams=("another",)),
    "EXEG-0506-401": lambda: by_a_key_for(may=("attributes",)),
    "edge.privacy-refused": by_a_key_without_privacy,
    "edge.too-many-requests": too_often,
    "edge.import-refused": by_a_key_that_may_not_import,
    "edge.origin-refused": asked(origin="https://evil.test"),
    "edge.no-such-path": asked("bogus"),
    "edge.method-refused": asked(method="PUT"),
}
# Inside a valid answer of 207, and of 200.
ERRORS: dict[str, Ask] = {
    "EXEG-0001-500": lambda: with_a_fault(RuntimeError("a fault of ours")),
    "EXEG-0201-503": lambda: with_a_fault(StoreUnavailable("full.", fix="Make room.")),
    "EXEG-0203-502": without_the_issuers_keys,
    "edge.profile-set-aside": of_a_damaged_profile,
    "edge.not-heard": with_a_server_that_is_late,
}
WARNINGS: dict[str, Ask] = {
    "EXEG-0301-200": before_consent,
    "EXEG-0303-200": asked(body=page_view(more={"query": {"identity": {"fetch": ["CORE"]}}})),
    "edge.assertion-ignored": asked(
        body={"events": [{"data": {"__perso": {"identityAssertion": "no token"}}}]}
    ),
    "edge.consent-unreadable": consented("nothing!"),
    "edge.audience-withheld": of_somebody_held_back,
    "edge.attribute-withheld": of_somebody_with_gaps,
    "edge.made-room": of_a_full_profile,
}


def below(error: type[EdgeError]) -> Iterator[type[EdgeError]]:
    for inner in error.__subclasses__():
        yield inner
        yield from below(inner)


RAISED = {error.code: error for error in below(EdgeError)}


def test_there_is_a_call_for_each_code_that_can_be_answered() -> None:
    assert {*REFUSALS, *ERRORS, *WARNINGS, HttpBad.code} == RAISED.keys()


def assert_is(problem: dict[str, Any], code: str) -> None:
    """What stands in every problem (RFC 9457), with Adobe's report."""
    error = RAISED[code]
    assert problem["type"] == (ADOBE if code.startswith("EXEG-") else OWN) + code
    assert (problem["status"], problem["title"]) == (error.status, error.title)
    assert problem["detail"]
    assert problem["report"]["requestId"] == "r-1"


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refusal_is_a_problem_of_its_own_status(code: str) -> None:
    told = await REFUSALS[code]()

    assert told.status == RAISED[code].status
    assert told.headers["Content-Type"] == "application/problem+json"
    assert told.headers["x-request-id"] == "r-1"
    assert_is(told.sent, code)


WITH_ITS_ANSWER = ("EXEG-0201-503", "edge.profile-set-aside")
DECIDED = ["identity:result", "activation:pull", "locationHint:result", "state:store"]


@pytest.mark.parametrize("code", ERRORS)
async def test_a_fault_that_is_not_the_callers_stands_in_a_valid_answer(code: str) -> None:
    told = await ERRORS[code]()

    # What could not be stored was decided all the same, and is told.
    kept = [handle["type"] for handle in told.sent["handle"]]
    assert (told.status, kept) == (207, DECIDED if code in WITH_ITS_ANSWER else [])
    assert told.headers["Content-Type"] == "application/json"
    (problem,) = told.sent["errors"]
    assert_is(problem, code)


@pytest.mark.parametrize("code", WARNINGS)
async def test_a_warning_leaves_the_answer_good(code: str) -> None:
    told = await WARNINGS[code]()

    assert told.status == 200
    assert isinstance(told.sent["handle"], list)
    found = [one for one in told.sent["warnings"] if one["type"].endswith(code)]
    assert found
    assert_is(found[0], code)


async def test_what_is_no_http_has_a_code_and_no_request_id(served: str) -> None:
    def ask() -> Any:
        with connected(served) as connection:
            connection.send(request(host=b""))
            return connection.answer()

    told = await asyncio.to_thread(ask)

    assert (told.status, told.header("content-type")) == (400, "application/problem+json")
    assert told.sent == {
        "type": OWN + HttpBad.code,
        "status": 400,
        "title": HttpBad.title,
        "detail": told.sent["detail"],
        "report": {},
    }
