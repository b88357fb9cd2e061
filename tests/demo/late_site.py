"""The shop while Perso does not answer: a site whose every answer comes too late."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, NoReturn

from aiohttp import web

from demo_site.clock import DemoClock
from demo_site.cms.app import build_shop
from perso_core import AudienceReason, PageRequest, StoreUnavailable, Visitor
from tests.journeys.served import served


class LateSite:
    """perso_core.Site, as templates meet it when the store hangs."""

    async def visit(self, request: PageRequest) -> Visitor:
        return Visitor(state="unavailable", site=self, datastream_id=request.datastream_id)

    async def update(self, visitor: Visitor, attributes: Mapping[str, Any]) -> Visitor:
        self._fail()

    async def choose_consent(self, visitor: Visitor, general: Literal["in", "out"]) -> Visitor:
        self._fail()

    async def forget(self, visitor: Visitor) -> Visitor:
        self._fail()

    def reason(self, visitor: Visitor, audience_id: str, alias: str) -> AudienceReason:
        return AudienceReason(audience_id, audience_id, False, False, "")

    def audience_id(self, name: str) -> str | None:
        return name

    def _fail(self) -> NoReturn:
        raise StoreUnavailable("The disk is full.", fix="Make room and try again.")


@contextmanager
def late_shop(directory: Path) -> Iterator[str]:
    """The shop's address."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[web.Application]:
        clock = DemoClock(directory / "clock")
        yield build_shop(LateSite(), edge=None, clock=clock, ad_port=9, alloy=None)

    with served(opened) as port:
        yield f"http://127.0.0.1:{port}"
