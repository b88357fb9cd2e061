"""A visitor who reads HTML: pages fetched over HTTP, with a browser's cookies and headers."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from types import TracebackType

import aiohttp

PAGE_HEADERS = {"Accept": "text/html", "Sec-Fetch-Dest": "document"}


class Shopper:
    """One visitor. Used as `async with Shopper(url) as shopper`."""

    def __init__(self, shop: str) -> None:
        self.shop = shop
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def __aenter__(self) -> Shopper:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def open(self, path: str, headers: Mapping[str, str] = {}) -> str:
        """A page's HTML."""
        address = self.shop + path
        async with self._session.get(address, headers={**PAGE_HEADERS, **headers}) as answer:
            return await answer.text()

    async def post(
        self, path: str, form: Mapping[str, str] = {}, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Status and text after a form from our own page was sent and followed."""
        sent = {"Origin": self.shop, **PAGE_HEADERS} if headers is None else dict(headers)
        async with self._session.post(self.shop + path, data=form, headers=sent) as answer:
            return answer.status, await answer.text()

    async def get(self, path: str) -> aiohttp.ClientResponse:
        """An answer with its headers; its body is read."""
        async with self._session.get(self.shop + path, headers=PAGE_HEADERS) as answer:
            await answer.read()
            return answer


def banner(page: str) -> str:
    """The banner's heading."""
    return _text(page, r'<h2 id="a-title">(.*?)</h2>')


def offer(page: str) -> str:
    return _text(page, r'<h2 id="b-title">(.*?)</h2>')


def tags(page: str) -> list[str]:
    """What the lettered places say of themselves, in the page's order."""
    found = re.findall(r'class="tag" .*?</span>(.*?)</a>', page)
    return [html.unescape(tag) for tag in found]


def first_article(page: str) -> str:
    return _text(page, r'<ol class="reads">.*?<a href="[^"]*">(.*?)</a>')


def digest(page: str) -> str:
    return _text(page, r'<p class="digest"[^>]*>(.*?)</p>')


def said(page: str) -> str:
    return _text(page, r'id="said"[^>]*>(.*?)</p>')


def counts(page: str) -> str:
    """`2 in, 38 not, 0 held back`."""
    return _text(page, r'<h3 id="i-why">Audiences <span>(.*?)</span>')


def _text(page: str, pattern: str) -> str:
    found = re.search(pattern, page, re.DOTALL)
    assert found, f"the page has nothing like {pattern}"
    return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip()
