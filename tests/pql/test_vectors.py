"""The project's 479 cases, run as `perso audience test` runs them."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from msgspec import structs

from perso_core.pql.cases import Case, cases_from_json, run_case
from perso_core.pql.cases import alike as alike  # the plain evaluator's tests compare as we do
from perso_core.pql.compiler import compile_rule
from tests.pql.cases import HERE, VECTORS

CASES = cases_from_json((HERE / "vectors.json").read_text())


def cpu_ms() -> float:
    return time.process_time() * 1000


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.id))
def test_the_case_gives_what_it_expects(case: Case) -> None:
    bounded = structs.replace(case, max_ms=case.max_ms or 2_000)

    outcome = run_case(bounded, cpu_ms=cpu_ms)

    assert outcome.passed, f"expected {outcome.expected}, got {outcome.got}"


def test_no_case_is_left_out() -> None:
    modes = Counter(case.mode for case in CASES)

    assert len(CASES) == 479
    assert modes["edge"] == 19
    assert [case.id for case in CASES] == [case["id"] for case in VECTORS]


def test_the_place_of_a_fault_is_part_of_what_is_expected() -> None:
    placed = [case for case in CASES if case.at is not None]
    moved = [structs.replace(case, at="99:99") for case in placed]

    assert placed
    assert not any(run_case(case, cpu_ms=cpu_ms).passed for case in moved)


def test_a_rule_that_adobes_edge_refuses_compiles_here_all_the_same() -> None:
    for case in CASES:
        if case.mode == "edge":
            assert compile_rule(case.pql).text == case.pql
