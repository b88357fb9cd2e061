"""What the log says of pages that go out without an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perso_core import PageRequest
from perso_core.edge.site import MOST_TOLD
from tests.building import definitions
from tests.edge.rendered import held, opened, page, too_late


@pytest.mark.parametrize(
    ("datastream_id", "enabled", "why"),
    [("dmeo", True, "'dmeo' is not defined"), ("demo", False, "'demo' is off")],
)
async def test_a_datastream_that_answers_no_page_is_told_once(
    datastream_id: str,
    enabled: bool,
    why: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All pages had shown their defaults without a word."""
    async with opened(tmp_path, definitions(enabled=enabled)) as perso:
        for _ in range(2):
            shown = await perso.visit(page({}, datastream_id=datastream_id))
            assert shown.state == "unavailable"

    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [f"Pages go out without an answer: the datastream {why}."]


async def test_a_page_that_comes_after_the_closing_is_told_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was shown what was decided, and that nothing of it was stored nobody heard."""
    async with opened(tmp_path, definitions()) as perso:
        pass

    for _ in range(2):
        await perso.visit(page({}))

    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 1
    assert "Perso was closed and is asked all the same: nothing more is stored." in told[0]


@pytest.mark.parametrize(
    ("xdm", "fault"),
    [
        ({"seen": object()}, "BadEvent"),
        ({"identityMap": {"Email": [{"id": ""}]}}, "IdentityBad"),
    ],
)
async def test_a_fault_of_a_page_hides_no_outage_from_the_log(
    xdm: dict[str, Any],
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        for _ in range(2):
            await perso.visit(page(cookies, xdm=xdm))
            await perso.visit(page(cookies))
        await perso.visit(page(cookies, xdm=xdm))
        with monkeypatch.context() as patched:
            too_late(perso, patched)
            await perso.visit(page(cookies))

    told = [one.getMessage() for one in caplog.records if "without an answer" in one.getMessage()]
    assert [text.split()[6] for text in told] == [fault, "TimeoutError"]


async def test_the_log_names_only_so_many_datastreams_that_answer_no_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A site may take the id from the request."""
    async with opened(tmp_path, definitions()) as perso:
        for number in range(MOST_TOLD + 10):
            await perso.visit(PageRequest(datastream_id=f"d{number}"))

    assert len(caplog.records) == MOST_TOLD
