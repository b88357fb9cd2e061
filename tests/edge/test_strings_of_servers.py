"""Consent strings on the events that a proven server sends: each is about its event."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from perso_core.definitions.datastream import DefaultConsent
from perso_core.definitions.document import Definitions
from tests.decision.test_tcf import AGREED, NO_PURPOSE_1
from tests.edge.running import RunningEdge
from tests.edge.servers import asking, batch, server_call, server_edge, telling, with_attributes
from tests.edge.test_consent_standards import UNREADABLE, tc
from tests.edge.test_server_api import ADDED, ANNA, kept_events, key_of


def stating(*strings: Any, event_type: str = ADDED) -> dict[str, Any]:
    """An event of Anna's with consent strings on it."""
    told = telling(event_type, CRMID=ANNA)
    told["event"]["xdm"]["consentStrings"] = list(strings)
    return told


async def annas(edge: RunningEdge) -> int:
    return await kept_events(edge, key_of("CRMID", ANNA))


@pytest.mark.parametrize(
    ("strings", "warnings"),
    [
        ([tc(NO_PURPOSE_1)], ["EXEG-0301-200"]),
        ([tc(AGREED), tc(NO_PURPOSE_1)], ["EXEG-0301-200"]),
        ([tc(AGREED[:-4])], ["EXEG-0301-200", UNREADABLE]),
    ],
)
async def test_what_a_string_does_not_permit_is_not_kept_and_not_answered_and_the_choice_stays(
    strings: list[Any], warnings: list[str]
) -> None:
    async with server_edge() as edge:
        await server_call(edge, telling(ADDED, CRMID=ANNA))

        told = await server_call(edge, stating(*strings))
        collected = await server_call(
            edge, batch(telling("x", CRMID="bert"), stating(*strings)), "collect"
        )

        assert (told.status, told.handles("activation:pull")) == (200, [])
        assert told.warnings == warnings
        assert (collected.status, sorted(collected.warnings)) == (202, sorted(warnings))
        assert await annas(edge) == 1
        assert await kept_events(edge, key_of("CRMID", "bert")) == 1
        assert (await server_call(edge, asking(CRMID=ANNA))).audiences == ["basket"]


@pytest.mark.parametrize("string", [tc(AGREED), tc(NO_PURPOSE_1, gdprApplies=False)])
async def test_a_string_that_refuses_nothing_leaves_a_servers_event_as_it_is(string: Any) -> None:
    async with server_edge() as edge:
        assert (await server_call(edge, stating(string))).audiences == ["basket"]
        assert await annas(edge) == 1


def waiting(*, opt_in: bool, default: DefaultConsent = "pending") -> Definitions:
    whole = with_attributes(default_consent=default)
    streams = tuple(
        structs.replace(one, consent_strings_opt_in=opt_in) for one in whole.datastreams
    )
    return structs.replace(whole, datastreams=streams)


@pytest.mark.parametrize("opt_in", [True, False])
async def test_an_agreement_on_a_servers_event_counts_where_the_datastream_takes_it(
    opt_in: bool,
) -> None:
    async with server_edge(waiting(opt_in=opt_in)) as edge:
        told = await server_call(edge, stating(tc(AGREED)))

        assert ("EXEG-0301-200" in told.warnings) is not opt_in
        later = await server_call(edge, telling("x", CRMID=ANNA))
        assert bool(later.handles("activation:pull")) is opt_in
        assert await annas(edge) == 2 * opt_in
