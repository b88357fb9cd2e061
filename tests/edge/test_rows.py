"""Every row of the wire has a test that states it, and every code of Adobe's is got or left."""

from __future__ import annotations

import ast
import base64
import re
from functools import lru_cache
from pathlib import Path

import pytest

from tests.edge.rows import PUBLISHED, ROWS, UNUSED, Row
from tests.edge.running import NAMES, RunningEdge, page_view
from tests.edge.test_every_code import ERRORS, RAISED, REFUSALS, WARNINGS

TESTS = Path(__file__).parents[1]


@lru_cache
def named_in(path: Path) -> frozenset[str]:
    """The names of the tests that a file holds."""
    found = ast.parse(path.read_text(encoding="utf-8")).body
    functions = (one for one in found if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(one.name for one in functions if one.name.startswith("test_"))


@pytest.mark.parametrize("row", ROWS, ids=[row.number for row in ROWS])
def test_a_row_has_a_test_that_there_is_or_says_why_it_does_not_apply(row: Row) -> None:
    assert bool(row.tests) != bool(row.why_not)
    for named in row.tests:
        file, _, name = named.partition("::")
        assert name in named_in(TESTS / file), f"{named} is no test"


def test_rows_are_numbered_one_after_the_other() -> None:
    numbers = [tuple(map(int, row.number.split("."))) for row in ROWS]

    assert numbers == [
        (section, at)
        for section in (3, 4, 5, 6)
        for at in range(1, 1 + sum(number[0] == section for number in numbers))
    ]


def test_a_published_code_is_answered_by_a_test_or_says_why_it_never_is() -> None:
    asked = {code for code in (*REFUSALS, *ERRORS, *WARNINGS) if code.startswith("EXEG-")}

    assert asked | UNUSED.keys() == PUBLISHED
    assert not asked & UNUSED.keys()
    assert not UNUSED.keys() & RAISED.keys()


# ---- rows that no other file states ----------------------------------------------


async def test_only_what_belongs_to_an_event_has_an_event_index(edge: RunningEdge) -> None:
    told = await edge.call(body={"events": [*page_view()["events"], *page_view()["events"]]})

    indexes = [(handle["type"], handle.get("eventIndex")) for handle in told.sent["handle"]]
    assert indexes == [
        ("identity:result", None),
        ("activation:pull", 0),
        ("activation:pull", 1),
        ("locationHint:result", None),
        ("state:store", None),
    ]


@pytest.mark.parametrize("action", ["interact", "identity/acquire"])
async def test_an_identity_is_told_with_its_namespace(edge: RunningEdge, action: str) -> None:
    told = await edge.call(action)

    (identity,) = told.payload("identity:result")
    assert identity == {"id": told.ecid, "namespace": {"code": "ECID"}}
    assert re.fullmatch(r"[0-9]{38}", identity["id"])


async def test_the_identity_cookie_is_no_longer_than_adobes(edge: RunningEdge) -> None:
    """Ours has no region in it, and none of the marks of a synchronisation."""
    value = (await edge.call()).cookies[NAMES.identity]

    assert len(value) <= 120
    assert base64.urlsafe_b64decode(value)
