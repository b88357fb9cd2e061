"""The keys of an issuer: fetched sparingly, renewed, and served on while the issuer is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from perso_core.definitions.jwks import MAX_JWKS_BYTES
from perso_core.edge.issuer_keys import (
    CALL_WAITS_S,
    FETCH_AGAIN_S,
    KEPT_S,
    RENEW_AFTER_S,
    IssuerKeys,
    fetched,
)
from perso_core.edge.problem import IssuerUnreachable
from tests.edge.servers import (
    asking,
    bearer,
    issuer,
    jwks,
    rsa_key,
    server_call,
    server_edge,
    telling,
    token,
    with_attributes,
)

REMOTE = issuer(jwks_url="https://id.test/jwks.json")


class Publisher:
    """An issuer's key set, as it is fetched; `down` and `hangs` say how fetching fails."""

    def __init__(self, *names: str) -> None:
        self.published: str | bytes = jwks(*names)
        self.down = self.hangs = False
        self.fetches = 0
        self.now_s = 1_000_000.0
        self.keys = IssuerKeys(self._fetch, monotonic_s=lambda: self.now_s)

    async def _fetch(self, url: str) -> bytes:
        assert url == REMOTE.jwks_url
        self.fetches += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.down:
            raise OSError("no route")
        written = self.published
        return written if isinstance(written, bytes) else written.encode()

    async def has(self, kid: str) -> bool:
        return await self.keys(REMOTE, kid) is not None

    async def settle(self) -> None:
        """Let a renewal that nobody waits for come to its end."""
        for _ in range(5):
            await asyncio.sleep(0)


async def test_keys_are_fetched_once_and_then_found() -> None:
    issuer_of = Publisher("k1", "k2")

    found = [await issuer_of.has(kid) for kid in ("k1", "k2", "k1")]

    assert (found, issuer_of.fetches) == ([True] * 3, 1)


async def test_calls_that_come_together_share_one_fetch() -> None:
    issuer_of = Publisher("k1")

    await asyncio.gather(*(issuer_of.has("k1") for _ in range(50)))

    assert issuer_of.fetches == 1


async def test_a_new_key_is_fetched_when_the_first_token_names_it() -> None:
    issuer_of = Publisher("k1")
    await issuer_of.has("k1")
    issuer_of.published = jwks("k1", "k2")
    issuer_of.now_s += FETCH_AGAIN_S

    assert await issuer_of.has("k2")
    assert issuer_of.fetches == 2


async def test_unknown_key_ids_cause_one_fetch_in_30_seconds() -> None:
    issuer_of = Publisher("k1")

    found = [await issuer_of.has(f"x{n}") for n in range(100)]
    issuer_of.now_s += FETCH_AGAIN_S - 1
    found.append(await issuer_of.has("y"))

    assert (any(found), issuer_of.fetches) == (False, 1)


async def test_a_key_that_the_issuer_took_back_is_refused_after_the_renewal() -> None:
    issuer_of = Publisher("k1", "k2")
    await issuer_of.has("k1")
    issuer_of.published = jwks("k2")
    issuer_of.now_s += RENEW_AFTER_S + 1

    renewing = await issuer_of.has("k1")
    await issuer_of.settle()

    assert (renewing, await issuer_of.has("k1"), await issuer_of.has("k2")) == (True, False, True)


async def test_an_issuer_that_is_down_is_served_from_what_is_kept_for_24_hours() -> None:
    issuer_of = Publisher("k1")
    await issuer_of.has("k1")
    issuer_of.down = True
    for _ in range(48):
        issuer_of.now_s += KEPT_S / 48
        assert await issuer_of.has("k1")
        await issuer_of.settle()

    issuer_of.now_s += 1
    with pytest.raises(IssuerUnreachable):
        await issuer_of.has("k1")


async def test_after_an_outage_the_first_token_is_taken_again() -> None:
    issuer_of = Publisher("k1")
    issuer_of.down = True
    with pytest.raises(IssuerUnreachable):
        await issuer_of.has("k1")
    issuer_of.down = False
    issuer_of.now_s += FETCH_AGAIN_S

    assert await issuer_of.has("k1")


async def test_an_issuer_that_hangs_keeps_no_call_longer_than_its_share() -> None:
    issuer_of = Publisher("k1")
    issuer_of.hangs = True
    began = asyncio.get_running_loop().time()

    with pytest.raises(IssuerUnreachable):
        await issuer_of.has("k1")
    waited_s = asyncio.get_running_loop().time() - began
    await issuer_of.keys.close()

    assert CALL_WAITS_S * 0.9 <= waited_s < 1


@pytest.mark.parametrize("published", ["", "<html>", "[]", " " * (MAX_JWKS_BYTES + 1)])
async def test_what_is_no_key_set_is_an_outage_and_takes_no_key_away(published: str) -> None:
    issuer_of = Publisher("k1")
    await issuer_of.has("k1")
    issuer_of.published = published
    issuer_of.now_s += FETCH_AGAIN_S

    with pytest.raises(IssuerUnreachable):
        await issuer_of.has("k2")
    assert await issuer_of.has("k1")


# ---- over HTTP ---------------------------------------------------------------------


@asynccontextmanager
async def publishing(answer: Any) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/jwks.json", answer)
    app.router.add_get("/moved", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("/jwks.json"))
    finally:
        await server.close()


async def test_a_token_is_verified_with_the_keys_that_its_issuer_publishes() -> None:
    async def keys(_: web.Request) -> web.Response:
        return web.Response(text=jwks("k1"))

    async with (
        publishing(keys) as url,
        server_edge(with_attributes(issuers=(issuer(jwks_url=url),))) as edge,
    ):
        good = await server_call(edge, asking(CRMID="anna"))
        forged = await server_call(
            edge, asking(CRMID="anna"), headers=bearer(token(rsa_key("attacker")))
        )

    assert (good.status, forged.code) == (200, "EXEG-0502-401")


async def test_a_token_that_nobody_can_verify_now_gives_207_and_does_nothing() -> None:
    async def down(_: str) -> bytes:
        raise OSError("no route")

    async with server_edge(with_attributes(issuers=(REMOTE,)), issuer_key=IssuerKeys(down)) as edge:
        told = [
            await server_call(edge, telling(CRMID="anna")),
            await server_call(edge, {"events": [telling(CRMID="a")["event"]]}, "collect"),
        ]

        assert [(one.status, one.sent["handle"], one.errors) for one in told] == [
            (207, [], ["EXEG-0203-502"])
        ] * 2
        assert len(edge.engine) == 0


async def test_an_algorithm_that_the_issuer_does_not_use_asks_nobody_for_keys() -> None:
    publisher = Publisher("k1")
    async with server_edge(with_attributes(issuers=(REMOTE,)), issuer_key=publisher.keys) as edge:
        told = await server_call(
            edge, asking(CRMID="anna"), headers=bearer(token(algorithm="PS256"))
        )

    assert (told.code, publisher.fetches) == ("EXEG-0502-401", 0)


async def redirects(request: web.Request) -> web.Response:
    if request.path == "/moved":
        return web.Response(text=jwks("k1"))
    raise web.HTTPFound("/moved")


async def fails(_: web.Request) -> web.Response:
    return web.Response(status=500, text=jwks("k1"))


async def floods(_: web.Request) -> web.Response:
    return web.Response(text=" " * (MAX_JWKS_BYTES + 1))


@pytest.mark.parametrize("answer", [redirects, fails, floods])
async def test_only_a_plain_small_answer_is_read(answer: Any) -> None:
    async with publishing(answer) as url:
        with pytest.raises(ValueError, match=r"status 302|status 500|more than"):
            await fetched(url)
