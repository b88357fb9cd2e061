"""Pages that a site's own server renders, on a real store: what their tests have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from msgspec import structs

from perso_core import Identity, PageRequest, Visitor
from perso_core.assembly import Perso, open_perso
from perso_core.definitions.document import Definitions
from perso_core.engine.engine import Answer, Interaction
from perso_core.settings import Settings
from tests.building import NOON_MS
from tests.edge.running import cookie_header


@asynccontextmanager
async def opened(directory: Path, in_force: Definitions, **more: Any) -> AsyncIterator[Perso]:
    settings = Settings(data_dir=str(directory), **more)
    async with open_perso(settings, clock_ms=lambda: NOON_MS) as perso:
        await perso.apply(in_force)
        yield perso


def page(cookies: Mapping[str, str], **more: Any) -> PageRequest:
    xdm = {"eventType": "commerce.productListAdds"}
    request = PageRequest(
        datastream_id="demo", cookie_header=cookie_header(cookies), xdm=xdm, wait_ms=10_000
    )
    return structs.replace(request, **more)


def held(visitor: Visitor, before: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """The browser's cookies after a page."""
    return {**before, **{one.name: one.value for one in visitor.cookies}}


def too_late(perso: Perso, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no profile is read within a page's time."""

    async def late(interaction: Interaction) -> Answer:
        raise TimeoutError

    services = perso._services
    monkeypatch.setattr(perso, "_services", dataclasses.replace(services, decide=late))


ANNA = Identity("CRMID", "c-17")
FPID = {"shop_id": "7d9a5d0e-7f0e-4a0b-8f1d-0f3e5a1c2b3d"}
