"""What a visitor sends may be a list of thousands, and another one stands beside it."""

from __future__ import annotations

import time

import pytest

from perso_core.pql.compiler import compile_rule
from perso_core.pql.values import compare_texts, member

MANY = [f"number {each}" for each in range(20_000)]
OTHERS = [f"other {each}" for each in range(20_000)]


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("one in other", (False, True)),
        ("one notIn other", (True, False)),
        ('stringCompare("equals", one, other, false)', (False, True)),
        ('stringCompare("notEqualTo", one, other, true)', (True, False)),
    ],
)
def test_of_two_long_lists_each_element_is_looked_at_once(
    rule: str, holds: tuple[bool, bool]
) -> None:
    compiled = compile_rule(rule)
    began_s = time.process_time()

    apart = compiled.evaluate({"one": MANY, "other": OTHERS}, now_ms=0)
    alike = compiled.evaluate({"one": MANY, "other": [*OTHERS, *MANY]}, now_ms=0)

    assert time.process_time() - began_s < 2
    assert (apart.holds, alike.holds) == holds


@pytest.mark.parametrize(
    ("value", "items", "among"),
    [
        ([1, 2], [3, 2.0], True),
        ([True, "1"], [1, 2], False),
        ([None, None], [None, None], False),
        ([[1, None], "x"], [[1.0, None], "y"], True),
        ([{"a": [1]}, "x"], [{"a": [1.0]}, "y"], True),
        ([{"a": 1}, "x"], [{"a": 1, "b": None}, "y"], False),
    ],
)
def test_long_lists_have_in_common_what_short_ones_have(
    value: list[object], items: list[object], among: bool
) -> None:
    assert member(value, items) is among
    assert any(member([one], items) for one in value) is among


@pytest.mark.parametrize("wanted", [["a", "B"], ["B", 7], ["é", "a"], [1, 2]])
@pytest.mark.parametrize("value", ["A", "b", ["x", "A"], ["É", 3], [3], None, []])
@pytest.mark.parametrize("case_sensitive", [True, False])
def test_a_text_among_several_is_one_that_equals_any(
    wanted: list[object], value: object, case_sensitive: bool
) -> None:
    texts = value if isinstance(value, list) else [value]
    each = [
        any(compare_texts("equals", text, one, case_sensitive) for one in wanted)
        for text in texts
        if isinstance(text, str)
    ]
    is_text = any(isinstance(one, str) for one in wanted)

    assert compare_texts("equals", value, wanted, case_sensitive) == any(each)
    assert compare_texts("notEqualTo", value, wanted, case_sensitive) == (is_text and not all(each))
