"""Rules of thousands of parts: what they answer, and how they are made."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import pytest

from perso_core.pql.compiler import Verdict, compile_rule
from perso_core.pql.instants import DAY_MS

NOW_MS = 1_000_000


def functions_of(function: Any) -> Iterator[CodeType]:
    """The code of a rule's function and of those it calls."""
    yield function.__code__
    for constant in function.__defaults__ or ():
        if isinstance(constant, FunctionType):
            yield from functions_of(constant)


@pytest.mark.parametrize("word", ["and", "or"])
def test_a_rule_of_10_000_parts_is_made_of_small_functions(word: str) -> None:
    """One function of them all took Python two seconds."""
    rule = compile_rule(f" {word} ".join(f"a.b != {n}" for n in range(10_000)))

    sizes = [len(code.co_code) for code in functions_of(rule.linked.test)]

    assert max(sizes) < 10_000
    assert len({id(code) for code in functions_of(rule.linked.test)}) < 10


@pytest.mark.parametrize("rule", ["{} > 1", "1 < 2 - ({})", "[{}] = 1"])
def test_sums_and_lists_of_5_000_parts_are_made_of_small_functions(rule: str) -> None:
    sign = ", " if "[" in rule else " + "
    compiled = compile_rule(rule.format(sign.join(["a.b.c"] * 5_000)))

    sizes = [len(code.co_code) for code in functions_of(compiled.linked.test)]

    assert max(sizes) < 10_000


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (" + ".join(f"f{n}" for n in range(500)), 500),
        ("0 - " + " - ".join(f"f{n}" for n in range(500)), -500),
        (" - 1 + ".join(f"f{n}" for n in range(500)), 1),
        (f"[{', '.join(f'f{n}' for n in range(500))}].count()", 500),
        (f"os.map({' + '.join(f'n * ^f{n}' for n in range(500))})", [1_000]),
        (" + ".join(["f1", *["missing"] * 500]), None),
    ],
)
def test_every_term_of_a_long_sum_counts(rule: str, value: Any) -> None:
    view = {"os": [{"n": 2}], **{f"f{n}": 1 for n in range(500)}}

    assert compile_rule(rule).value(view, NOW_MS) == value


@pytest.mark.parametrize("wrong", [-1, 0, 255, 256, 499])
def test_every_one_of_many_parts_counts(wrong: int) -> None:
    every = compile_rule(" and ".join(f"f{n} = 1" for n in range(500)))
    some = compile_rule(" or ".join(f"f{n} > 1" for n in range(500)))
    view = {f"f{n}": 2 if n == wrong else 1 for n in range(500)}

    assert every.evaluate(view, NOW_MS).holds is (wrong < 0)
    assert some.evaluate(view, NOW_MS).holds is (wrong >= 0)


def test_one_of_many_parts_that_time_ends_ends_the_rule() -> None:
    many = " and ".join(f"f{n}.isNull()" for n in range(500))
    rule = compile_rule(f"{many} and joined occurs <= 1 day before now and ({many})")

    assert rule.evaluate({"joined": NOW_MS}, NOW_MS) == Verdict(True, NOW_MS + DAY_MS + 1)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("os[{} and n = ^n].count()", 2),
        ("let N = n in os[{} and n = N].count()", 2),
        ("os.filter(o => {} and o.n = ^n).count()", 2),
        ("(select O from os where {} and O.n = n).count()", 2),
    ],
)
def test_many_parts_see_what_is_around_them(rule: str, value: int) -> None:
    many = " and ".join(f"f{n}.isNull()" for n in range(500))
    view = {"n": 1, "os": [{"n": 1}, {"n": 2}, {"n": 1}]}

    assert compile_rule(rule.format(many)).value(view, NOW_MS) == value
