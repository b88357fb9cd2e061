"""An explanation says where a rule asks for what another field holds."""

from __future__ import annotations

from typing import Any

import pytest

from perso_core.pql.compiler import compile_rule
from perso_core.pql.explain import explain_rule


@pytest.mark.parametrize(
    ("text", "profile", "says"),
    [
        (
            "tier = gold",
            {"tier": "gold"},
            "Tier is gold; the rule wants what the field gold holds, which is not known.",
        ),
        (
            "tier = gold",
            {"tier": "gold", "gold": "tin"},
            "Tier is gold; the rule wants what the field gold holds, which is tin.",
        ),
        (
            "tier != gold",
            {"tier": "gold"},
            "Tier is gold; the rule wants anything but what the field gold holds, which is not"
            " known.",
        ),
        (
            "points > limits.upper",
            {"points": 4, "limits": {"upper": 5}},
            "Points is 4; the rule wants more than what the field limits.upper holds, which is 5.",
        ),
        (
            'tier in [gold, "tin"]',
            {"tier": "gold"},
            "Tier is gold; the rule wants what the field gold holds or tin.",
        ),
        (
            "tier.equals(gold)",
            {"tier": "gold"},
            "Tier is gold; the rule wants what the field gold holds, which is not known.",
        ),
        ('tier = "gold"', {"tier": "tin"}, "Tier is tin; the rule wants gold."),
    ],
)
def test_a_word_without_quotes_is_told_to_be_read_as_a_field(
    text: str, profile: dict[str, Any], says: str
) -> None:
    """tier = gold said "Tier is gold; the rule wants gold." to a profile that was not in."""
    assert explain_rule(compile_rule(text), profile, 0).says == says
