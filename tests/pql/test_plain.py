"""The plain evaluator alone: it has to know the language as well as the product does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from perso_core.errors import RuleError, RuleFaults
from perso_core.pql.checker import check
from perso_core.pql.nodes import Node
from perso_core.pql.parser import parse
from perso_core.pql.source import Source
from tests.pql.cases import ENDLESS_MS, VECTORS
from tests.pql.plain import plain_holds, plain_value
from tests.pql.plain_time import time_of
from tests.pql.test_vectors import alike

CASES = [case for case in VECTORS if case.get("mode") != "edge"]


def typed(text: str) -> Node:
    """Raises RuleFaults."""
    node, faults = check(Source(text), parse(text))
    if faults:
        raise RuleFaults(faults)
    return node


def answer(case: dict[str, Any]) -> Any:
    now = time_of(case["now"])
    assert now is not None
    asked = plain_value if case.get("mode") == "value" else plain_holds
    return asked(typed(case["pql"]), case["profile"], now.start, ENDLESS_MS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_the_plain_evaluator_gives_what_the_case_expects(case: dict[str, Any]) -> None:
    wanted = case["expect"]
    faults = (RuleFaults, RuleError)
    if wanted == "finishes":
        with suppress(*faults):
            answer(case)
    elif isinstance(wanted, dict):
        with pytest.raises(faults):
            answer(case)
    else:
        assert alike(wanted, answer(case))


def test_all_460_cases_go_through_the_plain_evaluator() -> None:
    assert len(CASES) == 460
