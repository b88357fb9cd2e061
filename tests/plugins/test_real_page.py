"""The page of docs/plugins.md on the real system: engine, database, edge, a server on a port."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from perso_aiohttp import remember, visitor_for, visitor_from
from perso_core.assembly import Perso, open_perso
from perso_core.decision.identity import Identity
from perso_core.definitions.toml_file import definitions_from_toml
from perso_core.settings import Settings
from tests.patience import PATIENT_MS, patience
from tests.plugins.shop import DOCUMENT
from tests.plugins.test_plugin_docs import examples, names_of_the_examples

BANNER = "New running shoes are in."
SHOES = "2739eda4-1fa8-5c24-aa27-67c3b6c5e077"


class Shop:
    """A browser's view of the running shop; and, beside it, what the system keeps."""

    def __init__(self, client: TestClient[web.Request, web.Application], perso: Perso) -> None:
        self.client = client
        self.perso = perso

    async def opens(self, path: str, headers: Mapping[str, str] = DOCUMENT) -> ClientResponse:
        return await self.client.get(path, headers=headers)

    async def chooses(self, word: str) -> ClientResponse:
        return await self.client.post(f"/choose/{word}")

    async def reports(self, page: ClientResponse, path: str) -> dict[str, Any]:
        """What the page's script does: its own page view, under the `_id` it was handed."""
        island = re.search(r'id="page">(.*?)</script>', await page.text())
        assert island, "the page holds its data"
        data = json.loads(island[1])
        xdm = {
            "_id": data["eventId"],
            "eventType": "web.webpagedetails.pageViews",
            "web": {"webPageDetails": {"name": path, "pageViews": {"value": 1}}},
            "environment": {"browserDetails": {"viewportWidth": 800}},
        }
        answer = await self.client.post(
            f"/ee/v1/interact?configId={data['datastream']}",
            data=json.dumps({"events": [{"xdm": xdm}]}),
            headers={"Content-Type": "text/plain; charset=UTF-8", "Sec-Fetch-Dest": "empty"},
        )
        assert answer.status == 200, await answer.text()
        return dict(await answer.json(content_type=None))

    async def kept(self) -> tuple[Mapping[str, Any], ...]:
        """The events that are kept of this browser's visitor, oldest first."""
        ecid = await (await self.client.get("/who")).text()
        profile = await self.perso.profile(Identity("ECID", ecid))
        return tuple(event.xdm for event in profile.events) if profile else ()


async def who(request: web.Request) -> web.Response:
    return web.Response(text=(await visitor_for(request)).ecid or "")


async def chooses(request: web.Request) -> web.Response:
    visitor = await visitor_for(request)
    word = request.match_info["word"]
    assert word in ("in", "out")
    remember(request, await visitor.choose_consent("in" if word == "in" else "out"))
    return web.Response(text=visitor_from(request).state)


@asynccontextmanager
async def the_shop(data_dir: Path, definitions: str | None = None) -> AsyncIterator[Shop]:
    names = names_of_the_examples()
    settings = Settings(
        data_dir=str(data_dir), load_timeout_ms=PATIENT_MS, answer_within_ms=PATIENT_MS
    )
    async with open_perso(settings) as perso:
        await perso.apply(definitions_from_toml(definitions or examples("toml")[0]))
        with patience():
            app = names["shop"](perso)
        app.add_routes(
            [
                web.post("/forget", names["forget_me"]),
                web.post("/choose/{word}", chooses),
                web.get("/who", who),
            ]
        )
        app.add_subapp("/ee", perso.edge_app())
        async with TestClient(TestServer(app)) as client:
            # The tests' own question is no page: it must not count.
            client.session.headers.update({"Sec-Fetch-Dest": "empty"})
            yield Shop(client, perso)


def another_browser(shop: Shop) -> TestClient[web.Request, None]:
    """On the same server, with cookies of its own. Closing it closes the server."""
    return TestClient(shop.client.server)


async def test_the_first_page_a_visitor_opens_is_already_theirs_and_the_next_one_remembers(
    tmp_path: Path,
) -> None:
    async with the_shop(tmp_path) as shop:
        first = await shop.opens("/shoes/trail")
        second = await shop.opens("/")

        assert BANNER in await first.text()
        assert len(first.headers.getall("Set-Cookie")) == 2
        assert first.headers["Cache-Control"] == "private, no-store"
        assert BANNER in await second.text()
        assert "Set-Cookie" not in second.headers
        names = [event["web"]["webPageDetails"]["name"] for event in await shop.kept()]
        assert names == ["/shoes/trail", "/"]


async def test_who_never_looked_at_shoes_sees_the_default(tmp_path: Path) -> None:
    async with the_shop(tmp_path) as shop:
        assert "<p>Welcome." in await (await shop.opens("/")).text()


async def test_a_visit_that_the_script_reports_again_counts_once_and_gains_what_it_knows(
    tmp_path: Path,
) -> None:
    async with the_shop(tmp_path) as shop:
        page = await shop.opens("/shoes/trail")
        answer = await shop.reports(page, "/shoes/trail")

        (event,) = await shop.kept()
        assert event["environment"] == {
            "type": "browser",
            "browserDetails": {"viewportWidth": 800},
        }
        lookups = [one for one in answer["handle"] if one["type"] == "activation:pull"]
        assert [segment["id"] for segment in lookups[0]["payload"][0]["segments"]] == [SHOES]


async def test_a_visitor_is_recognised_after_a_restart(tmp_path: Path) -> None:
    async with the_shop(tmp_path) as shop:
        await shop.opens("/shoes/trail")
        cookies = {morsel.key: morsel.value for morsel in shop.client.session.cookie_jar}
    async with the_shop(tmp_path) as shop:
        shop.client.session.cookie_jar.update_cookies(cookies)
        assert BANNER in await (await shop.opens("/")).text()


async def test_a_forgotten_visitor_is_a_stranger_on_the_next_page(tmp_path: Path) -> None:
    async with the_shop(tmp_path) as shop:
        await shop.opens("/shoes/trail")
        forgotten = await shop.client.post("/forget", allow_redirects=False)

        assert all("Max-Age=0" in one for one in forgotten.headers.getall("Set-Cookie"))
        assert "<p>Welcome." in await (await shop.opens("/")).text()
        assert len(await shop.kept()) == 1


async def test_a_visitor_who_says_no_sees_the_default_and_nothing_is_kept(tmp_path: Path) -> None:
    async with the_shop(tmp_path) as shop:
        await shop.opens("/shoes/trail")
        assert await (await shop.chooses("out")).text() == "no-consent"

        page = await shop.opens("/shoes/trail")
        assert "<p>Welcome." in await page.text()
        assert '"eventId": null' in await page.text()


async def test_nothing_is_kept_and_no_cookie_set_before_a_choice_where_one_is_needed(
    tmp_path: Path,
) -> None:
    waits = examples("toml")[0].replace('default_consent = "in"', 'default_consent = "pending"')
    async with the_shop(tmp_path, waits) as shop:
        page = await shop.opens("/shoes/trail")

        assert "<p>Welcome." in await page.text()
        assert "Set-Cookie" not in page.headers


async def test_two_visitors_never_see_each_others_page(tmp_path: Path) -> None:
    async with the_shop(tmp_path) as shop, another_browser(shop) as other:
        await shop.opens("/shoes/trail")
        for _ in range(10):
            theirs = await other.get("/", headers=DOCUMENT)
            mine = await shop.opens("/")
            assert BANNER not in await theirs.text()
            assert BANNER in await mine.text()


async def test_a_page_fetched_ahead_is_no_visit_until_it_is_opened(tmp_path: Path) -> None:
    async with the_shop(tmp_path) as shop:
        await shop.opens("/")
        await shop.opens("/shoes/trail", DOCUMENT | {"Sec-Purpose": "prefetch"})

        assert len(await shop.kept()) == 1


async def test_a_phone_and_a_search_are_in_the_event_as_rules_read_them(tmp_path: Path) -> None:
    async with the_shop(tmp_path) as shop:
        headers = {"Sec-CH-UA-Mobile": "?1", "Referer": "https://www.google.com/"}
        await shop.opens("/", DOCUMENT | headers)

        (event,) = await shop.kept()
        assert event["device"] == {"type": "mobile"}
        assert event["web"]["webReferrer"]["type"] == "search_engine"
