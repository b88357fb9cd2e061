"""The project's 479 cases. `mode: edge` asks about eligibility, which is not built yet."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from perso_core.errors import RuleFaults, RuleSyntaxError, RuleTypeError
from perso_core.pql.compiler import compile_rule
from perso_core.pql.instants import instant_of
from tests.pql.cases import ENDLESS_MS, VECTORS

EVALUATED = [case for case in VECTORS if case.get("mode") != "edge"]
FAULTS = {"parse": RuleSyntaxError, "type": RuleTypeError}

# Groups of cases that raise RuleNotSupportedYet. A case may pass or be counted here, nothing else.
NOT_SUPPORTED: Counter[str] = Counter()


def alike(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(map(alike, wanted, got))
    if type(wanted) in (int, float):
        return type(got) in (int, float) and abs(wanted - got) < 1e-9
    return type(wanted) is type(got) and bool(wanted == got)


def answer(case: dict[str, Any]) -> Any:
    rule = compile_rule(case["pql"], event_window_ms=ENDLESS_MS)
    now_ms = instant_of(case["now"])
    assert now_ms is not None
    if case.get("mode") == "value":
        return rule.value(case["profile"], now_ms)
    return rule.evaluate(case["profile"], now_ms).holds


@pytest.mark.parametrize("case", EVALUATED, ids=lambda case: str(case["id"]))
def test_the_case_gives_what_it_expects(case: dict[str, Any]) -> None:
    started = time.process_time()
    wanted = case["expect"]
    if wanted == "finishes":
        with suppress(RuleFaults):
            answer(case)
    elif isinstance(wanted, dict):
        with pytest.raises(RuleFaults) as raised:
            answer(case)
        fault = raised.value.faults[0]
        assert type(fault) is FAULTS[wanted["error"]]
        assert fault.place == case.get("at", fault.place)
    else:
        assert alike(wanted, answer(case))
    spent_ms = (time.process_time() - started) * 1000
    assert spent_ms <= case.get("max_ms", 2000)


def test_no_group_of_cases_is_left_out_but_eligibility() -> None:
    asked = Counter(str(case["group"]) for case in VECTORS if case.get("mode") == "edge")

    assert asked == {"edge-accept": 6, "edge-refuse": 13}
    assert NOT_SUPPORTED == {}
    assert len(EVALUATED) == 460


def test_rules_about_edge_eligibility_compile_here_all_the_same() -> None:
    for case in VECTORS:
        if case.get("mode") == "edge":
            assert compile_rule(case["pql"]).text == case["pql"]
