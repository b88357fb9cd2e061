"""What `make fuzz` runs, on fixed inputs; and what it once found."""

from __future__ import annotations

import random

import pytest

from perso_core.errors import RuleFaults
from perso_core.pql.cases import shown
from perso_core.pql.compiler import compile_rule
from tests.fuzz.pql import SITUATIONS, TEXTS, fuzz_one, mutated

# Each went through lists for longer than anyone would wait.
FOUND = [
    "select active from xEvent where " + "select X from xEvent where " * 12 + "X.timestamp",
    "xEvent[" * 9 + "a = 1" + "]" * 9,
    "exists " + ", ".join(f"X{n} from xEvent" for n in range(40)) + " where X0.a = 1",
    "(sum 1 over " + ", ".join(f"X{n} from xEvent" for n in range(20)) + ") > 1",
]


@pytest.mark.parametrize("text", FOUND, ids=lambda text: text[:24])
def test_what_was_found_is_answered_in_time(text: str) -> None:
    fuzz_one(text.encode(), SITUATIONS[2:3])


# Each was taken for a rule of parts: `P => …` stands alone, and is no operand.
NO_OPERANDS = [
    'not(P => P.a = "x")',
    '(P => P.a = "x") and b = 1',
    "a = 1 or not(not(P => P.a = 1))",
    'not(homeA => xs.nope["CA"])',
]


@pytest.mark.parametrize("text", NO_OPERANDS)
def test_a_rule_of_its_own_is_no_part_of_another(text: str) -> None:
    for _ in range(2):  # what was compiled before is remembered
        compile_rule('P => P.a = "x"')
        with pytest.raises(RuleFaults, match="=> stands at the start"):
            compile_rule(text)


def test_every_case_is_answered_or_refused_with_faults() -> None:
    for text in TEXTS:
        fuzz_one(text)


def test_texts_changed_at_random_are_answered_or_refused_with_faults() -> None:
    chance = random.Random(7)
    for number in range(3_000):
        fuzz_one(mutated(chance.choice(TEXTS), 4_096, number))


def test_bytes_that_are_no_text_are_refused_with_faults() -> None:
    chance = random.Random(7)
    for length in range(200):
        fuzz_one(chance.randbytes(length))


# ---- groups -------------------------------------------------------------------


def value_of(text: str, **profile: object) -> object:
    return compile_rule(text).value(profile, 0)


def test_flags_and_numbers_are_groups_of_their_own() -> None:
    told = [{"k": True}, {"k": 1}, {"k": False}, {"k": 0}, {"k": 1.0}]

    assert value_of("a.groupBy(k).values().count()", a=told) == 4
    assert str(value_of("a.groupBy(k).keys()", a=told)) == "[True, 1, False, 0]"


def test_a_list_can_be_what_a_group_has_in_common() -> None:
    told = [{"k": [1]}, {"k": [1]}, {"k": [2]}]

    assert value_of("a.groupBy(k).keys()", a=told) == [[1], [2]]
    assert value_of("a.groupBy(k).map((K, G) => mapEntry(K, G.count())).values()", a=told) == [2, 1]
    assert "[1]" in shown(value_of("a.groupBy(k)", a=told))


# ---- labels -------------------------------------------------------------------


@pytest.mark.parametrize("label", ["A", "B"])
def test_a_step_is_measured_from_an_earlier_one_alone(label: str) -> None:
    with pytest.raises(RuleFaults, match="is no earlier step"):
        compile_rule(
            'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "a") WHEN(<= 5 minutes after'
            f' {label}), B: WHAT(eventType = "b")])'
        )
