"""Audiences whose memberships are imported, as an operator defines them."""

from __future__ import annotations

from typing import Any

import pytest

from perso_core.definitions.export import definitions_to_toml
from perso_core.definitions.external import membership_days
from perso_core.definitions.snapshot import compile_snapshot
from perso_core.definitions.toml_file import definitions_from_toml
from perso_core.pql.explain import explain_rule, reason
from tests.building import NOON_MS
from tests.definitions.whole import WHOLE, fault_of

EXTERNAL = (
    WHOLE
    + """
[[audience]]
id = 'churn-"risk"\\'
name = "Likely to leave"
source = "external"
membership_days = 7
"""
)
ID = 'churn-"risk"\\'


def test_an_external_audience_is_defined_without_a_rule() -> None:
    definitions = definitions_from_toml(EXTERNAL)

    assert definitions.audiences[-1].source == "external"
    assert membership_days(definitions.audiences[-1]) == 7


def test_a_membership_holds_from_its_import_to_its_expiry_to_the_millisecond() -> None:
    rule = compile_snapshot(definitions_from_toml(EXTERNAL)).audience_by_id[ID].rule
    profile = {"externalAudience": {ID: {"since": 1_000, "until": 2_000}}}

    verdicts = {at: rule.evaluate(profile, at) for at in (999, 1_000, 1_999, 2_000)}

    assert {at: verdict.holds for at, verdict in verdicts.items()} == {
        999: False,
        1_000: True,
        1_999: True,
        2_000: False,
    }
    assert (verdicts[999].until_ms, verdicts[1_000].until_ms) == (1_000, 2_000)


def test_a_profile_without_an_import_is_not_in_it() -> None:
    rule = compile_snapshot(definitions_from_toml(EXTERNAL)).audience_by_id[ID].rule

    assert not rule.evaluate({}, 1_000).holds
    assert not rule.evaluate({"externalAudience": {"other": {"until": 9_000}}}, 1_000).holds


def test_rules_of_other_audiences_ask_for_it() -> None:
    asking = EXTERNAL.replace('inSegment("a-gold")', 'inSegment("churn-\\"risk\\"\\\\")')

    assert definitions_from_toml(asking).audiences[1].pql.startswith('inSegment("churn')


def test_it_is_written_back_as_it_was_defined() -> None:
    definitions = definitions_from_toml(EXTERNAL)

    assert definitions_from_toml(definitions_to_toml(definitions)) == definitions
    assert "externalAudience" not in definitions_to_toml(definitions)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("pql = 'a = 1'", 'A [[audience]] with source = "external" has no pql.'),
        ("event_window_days = 9", 'A [[audience]] with source = "external" has no event_wind'),
        ('edge = "local"', 'A [[audience]] with source = "external" has no edge.'),
    ],
)
def test_what_belongs_to_a_rule_is_a_fault_of_an_external_audience(line: str, detail: str) -> None:
    fault = fault_of(EXTERNAL + line + "\n")

    assert fault.detail.startswith(detail)


def test_an_audience_with_a_rule_has_no_days_of_membership() -> None:
    fault = fault_of(WHOLE.replace('alias = "gold"', "membership_days = 3"))

    assert fault.detail == 'A [[audience]] with source = "rule" has no membership_days.'


def test_an_audience_without_a_source_still_needs_its_rule() -> None:
    fault = fault_of(WHOLE + '[[audience]]\nid = "x"\nname = "X"\n')

    assert fault.detail == "This [[audience]] has no pql."


def test_days_beyond_ten_years_are_a_fault() -> None:
    fault = fault_of(EXTERNAL.replace("membership_days = 7", "membership_days = 3651"))

    assert "membership_days" in fault.detail


def test_imported_instants_are_known_to_rules_and_nothing_else_is() -> None:
    soon = EXTERNAL.replace(
        'inSegment("a-gold")', 'externalAudience.get("x").until occurs <= 3 days after now'
    )
    wrong = EXTERNAL.replace(
        'inSegment("a-gold")', 'externalAudience.get("x").untill occurs <= 3 days after now'
    )

    definitions_from_toml(soon)
    assert "untill" in fault_of(wrong).detail


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        ({}, "No import has put the profile into it."),
        (
            {ID: {"since": NOON_MS, "until": NOON_MS + 60_000}},
            "Imported, until 2026-03-15 12:01 UTC.",
        ),
        (
            {ID: {"since": 5, "until": NOON_MS}},
            "No import counts now: the last one ends at 2026-03-15 12:00 UTC.",
        ),
    ],
)
def test_an_explanation_says_that_it_was_imported_and_until_when(
    profile: dict[str, Any], sentence: str
) -> None:
    rule = compile_snapshot(definitions_from_toml(EXTERNAL)).audience_by_id[ID].rule

    told = explain_rule(rule, {"externalAudience": profile}, NOON_MS)

    assert reason(told) == sentence
    assert told.children == ()
