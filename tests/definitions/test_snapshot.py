"""A snapshot made after another: the rules that stayed are the same objects."""

from __future__ import annotations

import pytest
from msgspec import structs

from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import DAY_MS, compile_snapshot
from perso_core.errors import RuleFaults
from perso_core.pql.compiler import compile_rule
from perso_core.pql.nodes import Node
from perso_core.rules.formula import Formula, formula_of
from tests.building import BASKET_RULE, GOLD_RULE, definitions

BOTH = {"basket": BASKET_RULE, "gold": GOLD_RULE}
SILVER_RULE = 'loyalty.tier.equals("silver", false)'


def with_window(days: int) -> Definitions:
    """Of the basket alone."""
    both = definitions(BOTH)
    audiences = tuple(
        structs.replace(one, event_window_days=days) if one.id == "basket" else one
        for one in both.audiences
    )
    return structs.replace(both, audiences=audiences)


def test_a_rule_that_stayed_is_not_compiled_again() -> None:
    before = compile_snapshot(definitions(BOTH))

    after = compile_snapshot(definitions({**BOTH, "gold": SILVER_RULE}), before=before)

    assert after.audience_by_id["basket"].rule is before.audience_by_id["basket"].rule
    assert after.audience_by_id["gold"].rule.text == SILVER_RULE


def test_a_rule_that_moved_to_another_audience_is_not_compiled_again() -> None:
    before = compile_snapshot(definitions(BOTH))

    after = compile_snapshot(definitions({"vip": GOLD_RULE}), before=before)

    assert after.audience_by_id["vip"].rule is before.audience_by_id["gold"].rule


def test_a_rule_whose_event_window_changed_is_compiled_again() -> None:
    before = compile_snapshot(definitions(BOTH))

    after = compile_snapshot(with_window(40), before=before)

    assert after.audience_by_id["basket"].rule.event_window_ms == 40 * DAY_MS
    assert after.audience_by_id["gold"].rule is before.audience_by_id["gold"].rule


def test_only_what_changed_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compile_snapshot(definitions(BOTH))
    compiled: list[str] = []

    def noted(text: str, *, event_window_ms: int) -> object:
        compiled.append(text)
        return compile_rule(text, event_window_ms=event_window_ms)

    monkeypatch.setattr("perso_core.definitions.snapshot.compile_rule", noted)
    compile_snapshot(definitions({**BOTH, "silver": SILVER_RULE}), before=before)

    assert compiled == [SILVER_RULE]


def test_only_what_changed_is_read_again_for_the_rules_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = compile_snapshot(definitions(BOTH))
    read: list[object] = []

    def noted(node: Node, *, event_window_ms: int) -> Formula | None:
        read.append(node)
        return formula_of(node, event_window_ms=event_window_ms)

    monkeypatch.setattr("perso_core.rules.outline.formula_of", noted)
    buyers = 'xEvent[eventType = "commerce.purchases"].count() > 1'
    compile_snapshot(definitions({**BOTH, "buyers": buyers}), before=before)

    assert read == [compile_rule(buyers).node]


def test_a_snapshot_made_after_another_is_as_one_made_alone() -> None:
    before = compile_snapshot(definitions({"silver": SILVER_RULE, **BOTH}))
    wanted = definitions({"gold": SILVER_RULE, "basket": BASKET_RULE})

    after, alone = compile_snapshot(wanted, before=before), compile_snapshot(wanted)

    assert after.id == alone.id
    assert after.event_window_ms == alone.event_window_ms
    assert [(one.id, one.rule.text) for one in after.audiences] == [
        (one.id, one.rule.text) for one in alone.audiences
    ]


# ---- what an earlier Perso took ------------------------------------------------


def from_before() -> Definitions:
    """A rule that is refused now, two that ask for it, and one that does not."""
    return definitions(
        {
            "refused": "loyalty.tier.equals(",
            "asks": 'inSegment("refused")',
            "asks-not": 'not inSegment("asks")',
            "gold": GOLD_RULE,
        }
    )


def test_a_rule_that_is_refused_now_is_off_with_all_that_ask_for_it_and_no_other() -> None:
    snapshot = compile_snapshot(from_before(), tolerant=True)

    assert [one.id for one in snapshot.audiences] == ["gold"]
    assert set(snapshot.off) == {"refused", "asks", "asks-not"}
    assert snapshot.off["asks"] == "It asks for refused."
    assert snapshot.definitions == from_before()
    assert snapshot.audience_id_by_name.get("refused") is None


def test_a_definition_that_is_applied_now_is_refused_whole() -> None:
    with pytest.raises(RuleFaults):
        compile_snapshot(from_before())
