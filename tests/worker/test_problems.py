"""A problem that comes again and again is in the log, and the log has room for others."""

from __future__ import annotations

import pytest

from perso_core.errors import StoreUnavailable
from perso_core.worker.problems import SAME_EACH_S, Logged

FULL = StoreUnavailable("the disk is full.", fix="Make room.")


def test_the_same_problem_is_told_once_and_then_how_often_it_came(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now_s = [100.0]
    logged = Logged(lambda: now_s[0])

    for _ in range(50):
        logged(FULL)
    assert [record.getMessage() for record in caplog.records] == [str(FULL)]
    now_s[0] += SAME_EACH_S
    logged(FULL)

    assert caplog.records[1].getMessage() == f"{FULL} And 49 times more of the one before."


def test_another_problem_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    logged = Logged(lambda: 100.0)

    for problem in (FULL, KeyError("x"), FULL):
        logged(problem)

    assert len(caplog.records) == 3
    assert [record.exc_info is not None for record in caplog.records] == [False, True, False]
