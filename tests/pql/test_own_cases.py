"""Cases whose answers were worked out by hand from the reference, by somebody who had not read the
code: each operator and function with missing, wrong and boundary values."""

from __future__ import annotations

import time

import pytest

from perso_core.pql.cases import Case, cases_from_json, run_case
from tests.pql.cases import HERE

CASES = cases_from_json((HERE / "own_cases.json").read_text())


def cpu_ms() -> float:
    return time.process_time() * 1000


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.id))
def test_the_case_gives_what_was_worked_out(case: Case) -> None:
    outcome = run_case(case, cpu_ms=cpu_ms)

    assert outcome.passed, f"expected {outcome.expected}, got {outcome.got}"
