"""Every 207 is counted (P4, P8): in the log, and for `perso doctor`."""

from __future__ import annotations

import asyncio

import pytest

from perso_core.edge.failed_answers import FailedAnswers
from perso_core.edge.services import EdgeServices
from tests.edge.running import RunningEdge, ordinary, running_edge
from tests.edge.test_failures import WRITING, FailingStore


@pytest.mark.parametrize(("action", "body"), WRITING)
async def test_an_answer_with_a_failure_is_counted_and_any_other_is_not(
    action: str, body: object
) -> None:
    store, failed = FailingStore(), FailedAnswers()

    def counting(edge: RunningEdge) -> EdgeServices:
        return edge.services(failed=failed)

    async with running_edge(ordinary(), store=store, services=counting) as edge:
        await edge.call(action, body)
        before = failed.total
        store.refuses_writes = True
        await edge.call(action, body)
        await edge.call("no-such-action", body)

    assert (before, failed.total) == (0, 1)


async def test_a_disk_that_is_merely_slow_is_in_the_log_with_how_many_were_told_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its commits succeed in the end, and nothing had said a word."""
    store, failed = FailingStore(), FailedAnswers()

    def hurried(edge: RunningEdge) -> EdgeServices:
        return edge.services(failed=failed, answer_within_ms=50)

    async with running_edge(ordinary(), store=store, services=hurried) as edge:
        store.stuck = asyncio.Event()
        await asyncio.gather(*(edge.call() for _ in range(5)))
        store.stuck.set()

    assert [record.getMessage() for record in caplog.records] == [
        "Answers with status 207: 1, and 1 since the start (EXEG-0201-503 1 times).",
        # What was not told yet is told as the edge ends.
        "Answers with status 207: 4, and 5 since the start (EXEG-0201-503 4 times).",
    ]


async def test_an_outage_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    failed = FailedAnswers()
    for _ in range(1_000):
        failed.count(["EXEG-0201-503"], 1)
    told = len(caplog.records)
    for _ in range(3):  # as time goes on
        failed.look_again()

    assert (told, len(caplog.records)) == (1, 2)
    assert "999, and 1,000 since the start" in caplog.text


async def test_how_many_failed_is_kept_as_soon_as_the_disk_takes_it() -> None:
    kept: list[tuple[int, int]] = []

    def keep(total: int, last_ms: int) -> bool:
        kept.append((total, last_ms))
        return len(kept) > 1  # not at first

    failed = FailedAnswers(keep)
    failed.count(["EXEG-0201-503"], 1_000)
    failed.count(["EXEG-0201-503"], 2_000)
    async with asyncio.timeout(5):
        while failed.kept != failed.total:
            failed.look_again()
            await asyncio.sleep(0)

    assert (kept[0], kept[-1]) == ((1, 1_000), (2, 2_000))
