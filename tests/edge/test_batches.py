"""A server's events of several people: accepted once all of them are on disk."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from perso_core.engine.journal import Entry
from perso_core.errors import StoreUnavailable
from perso_core.stores.protocol import Committed
from tests.edge.servers import asking, batch, server_call, telling
from tests.edge.test_identity_assertions import defined, two_processes


@pytest.mark.parametrize("people", [("1", "2"), ("2", "1")])
async def test_a_batch_is_not_accepted_while_an_event_of_one_of_its_people_is_not_on_disk(
    people: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process was faster with the profile of one: her event waits for the next commit."""
    async with two_processes(defined()) as (one, other):
        for request_id, edge in (("r1", other), ("r2", one)):
            await server_call(edge, telling(CRMID="1"), request_id=request_id)
        await server_call(other, asking(CRMID="2"))
        commit, commits = other.store.commit, 0

        async def once(entries: Sequence[Entry], *, announce: bool = False) -> Committed:
            nonlocal commits
            commits += 1
            if commits > 1:
                raise StoreUnavailable("the disk is full.", fix="Make room.")
            return await commit(entries, announce=announce)

        monkeypatch.setattr(other.store, "commit", once)

        told = await server_call(other, batch(*(telling(CRMID=who) for who in people)), "collect")

        assert told.status == 207
        assert told.errors == ["EXEG-0201-503"]
        assert told.sent["errors"][0]["detail"] == (
            "Not all events are known to be stored. Send the same request again later."
        )
