"""Identities that a caller may not send are refused, each by its place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.edge.running import RunningEdge, page_view
from tests.edge.test_errors import ECID, assert_problem, identified


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("interact", page_view(more={"xdm": identified({"id": "INVALID_ID"})})),
        ("interact", page_view(identityMap={"ECID": [{"id": "INVALID_ID"}]})),
        ("collect", page_view(more={"xdm": identified({"id": "INVALID_ID"})})),
        ("identity/acquire", {"xdm": identified({"id": "INVALID_ID"})}),
        (
            "privacy/set-consent",
            {
                "consent": [{"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}],
                **identified({"id": "INVALID_ID"}),
            },
        ),
    ],
)
async def test_an_ecid_that_is_none_is_told_back_and_no_identity_is_set(
    edge: RunningEdge, action: str, body: object
) -> None:
    told = await edge.call(action, body)

    assert_problem(told, "EXEG-0305-400", 400, "INVALID_ID")
    assert b"handle" not in told.body


@pytest.mark.parametrize("text", ["", "a\x00b", "a\nb", "x" * 257, "\u2028", "a\u200b", "\ue000"])
async def test_an_id_must_be_short_and_printable(edge: RunningEdge, text: str) -> None:
    body = page_view(identityMap={"CRMID": [{"id": text}]})

    assert_problem(await edge.call(body=body), "EXEG-0305-400", 400)


async def test_an_id_may_hold_signs_that_are_newer_than_this_python(edge: RunningEdge) -> None:
    newer = "\U0001fae9"  # of Unicode 16, a face with bags under its eyes

    assert (await edge.call(body=page_view(identityMap={"CRMID": [{"id": newer}]}))).status == 200


@pytest.mark.parametrize("primary", ["true", 1, None])
async def test_primary_is_a_truth_value(edge: RunningEdge, primary: object) -> None:
    body = page_view(identityMap={"CRMID": [{"id": "a", "primary": primary}]})

    assert_problem(await edge.call(body=body), "EXEG-0102-400", 400, "primary")


async def test_a_request_cannot_name_two_visitors(edge: RunningEdge) -> None:
    body = page_view(more={"xdm": identified({"id": ECID}, {"id": "2" * 38})})

    assert_problem(await edge.call(body=body), "EXEG-0305-400", 400, ECID, "2" * 38)


async def test_a_request_claims_at_most_20_identities(edge: RunningEdge) -> None:
    def claims(count: int) -> dict[str, Any]:
        return page_view(identityMap={"CRMID": [{"id": f"c{n}"} for n in range(count)]})

    assert (await edge.call(body=claims(20))).status == 200
    assert_problem(await edge.call(body=claims(21)), "EXEG-0102-400", 400, "21", "20")
