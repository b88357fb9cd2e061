"""Every example in docs/clients.md runs in a browser and does what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.sync_api import BrowserContext, Page

from tests.demo.browser import ALLOY_2_33_JS, ALLOY_JS, ROOT, chromium, need_alloy
from tests.journeys.served import (
    ALIASES,
    ORG,
    SNEAKER_BROWSER,
    edge_and_pages,
    self_signed,
    served,
)

CLIENTS = ROOT / "docs/clients.md"
HOSTS = ("www.shop.example", "www.magazine.example", "edge.shop.example")


def examples(language: str) -> list[str]:
    """The page's code in that language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", CLIENTS.read_text(encoding="utf-8"), re.DOTALL)


class Shop:
    """Serves the example that is to be shown."""

    def __init__(self) -> None:
        self.html = ""
        self.app = web.Application()
        self.app.router.add_get("/product", self._product)

    async def _product(self, _: web.Request) -> web.Response:
        return web.Response(text=self.html, content_type="text/html")


SHOP = Shop()


@pytest.fixture(scope="module")
def visitors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    directory = tmp_path_factory.mktemp("clients")
    origins = [f"https://{host}" for host in HOSTS[:2]]
    opened = edge_and_pages(directory, need_alloy(), origins=origins, more=SHOP.app)
    with served(opened, tls=self_signed(directory, *HOSTS)) as port:
        rules = ",".join(f"MAP {host}:443 127.0.0.1:{port}" for host in HOSTS)
        with chromium(f"--host-resolver-rules={rules}") as browser:
            yield browser.new_context(ignore_https_errors=True)


@pytest.fixture
def page(visitors: BrowserContext) -> Iterator[Page]:
    visitors.clear_cookies()
    page = visitors.new_page()
    yield page
    page.close()


def shown(page: Page, html: str, *, alloy: Path = ALLOY_JS) -> Page:
    """The example as the shop's own page."""
    SHOP.html = html
    page.route("**/alloy.min.js", lambda route: route.fulfill(path=need_alloy(alloy)))
    page.goto(f"https://{HOSTS[0]}/more/product")
    return page


def test_all_examples_are_run_here_or_with_the_mobile_sdk() -> None:
    counts = {name: len(examples(name)) for name in ("html", "js", "json")}

    assert counts == {"html": 2, "js": 2, "json": 1}
    assert CLIENTS.read_text(encoding="utf-8").count("```") == 2 * sum(counts.values())


@pytest.mark.parametrize("alloy", [ALLOY_JS, ALLOY_2_33_JS], ids=["2.32.0", "2.33.1"])
def test_alloy_s_page_shows_its_banner_at_once(page: Page, alloy: Path) -> None:
    shown(page, examples("html")[0], alloy=alloy)

    page.get_by_text("New sneakers are in.").wait_for(timeout=10_000)


def test_perso_js_s_page_shows_its_banner_and_links_to_the_magazine(page: Page) -> None:
    shown(page, examples("html")[1])

    page.get_by_text("New sneakers are in.").wait_for(timeout=10_000)
    page.wait_for_function("() => document.getElementById('magazine').search", timeout=10_000)
    link = page.get_by_role("link").get_attribute("href")
    assert link is not None
    assert link.startswith("https://www.magazine.example/?adobe_mc=TS%3D")


def test_a_page_that_its_server_asked_for_asks_nobody(page: Page) -> None:
    shown(page, '<!doctype html><script src="https://edge.shop.example/ee/perso.js"></script>')
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.evaluate(f"() => perso('configure', {{ datastreamId: 'demo', orgId: '{ORG}' }})")
    page.evaluate(f"() => {{ {examples('js')[0]} }}")
    page.wait_for_function("() => document.title === 'personalizationAlias'", timeout=10_000)

    assert asked == []


@pytest.mark.parametrize("alloy", [ALLOY_JS, ALLOY_2_33_JS], ids=["2.32.0", "2.33.1"])
def test_a_tags_rule_gets_the_list_that_the_sdk_resolved_with(page: Page, alloy: Path) -> None:
    """The extension triggers its rules with the result of sendEvent; Tags adds who triggered."""
    shown(page, examples("html")[0], alloy=alloy)

    aliases, told = page.evaluate(
        """async (code) => {
          const result = await alloy('sendEvent', {});
          const rule = { id: 'RL1', name: 'Audiences' };
          const type = 'adobe-alloy.send-event-complete';
          new Function('event', code)({ ...result, $type: type, $rule: rule });
          return [result.destinations.map(({ alias }) => alias), window.adAudiences];
        }""",
        examples("js")[1],
    )

    assert aliases == ALIASES
    assert told == [SNEAKER_BROWSER]


def test_a_tags_rule_without_an_answer_does_nothing(page: Page) -> None:
    shown(page, "<!doctype html><title>Empty</title>")

    page.evaluate("code => new Function('event', code)({ propositions: [] })", examples("js")[1])

    assert page.evaluate("() => window.adAudiences") is None
