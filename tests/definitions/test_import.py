"""Exported segment definitions become audiences, or are told why not; nothing is silent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perso_core.definitions.audience import Audience
from perso_core.definitions.check import check_definitions
from perso_core.definitions.document import Definitions
from perso_core.definitions.imported import merged
from perso_core.definitions.imported_file import added_to, new_file
from perso_core.definitions.imported_meaning import METHODS
from perso_core.definitions.imported_outcome import Outcome
from perso_core.definitions.imported_page import MAX_ENTRIES, Page, entries_of, page_from_json
from perso_core.definitions.imported_remarks import remarks_of
from perso_core.definitions.imported_segment import READ_FIELDS
from perso_core.definitions.toml_file import definitions_from_toml
from perso_core.errors import BadImport
from tests.definitions.exported import (
    GOLD_ID,
    GOLD_RULE,
    ORG,
    OTHER_ID,
    THIRD_ID,
    another,
    evaluation,
    forty,
    imported,
    imported_text,
    segment,
    third,
)
from tests.definitions.whole import WHOLE


def only(*given: Any, **more: Any) -> Outcome:
    (outcome,) = imported(*given, **more)
    return outcome


def fates(outcomes: list[Outcome]) -> list[str]:
    return [outcome.becomes for outcome in outcomes]


def reasons(outcome: Outcome) -> str:
    return " ".join(f"{one.detail} {one.fix}" for one in outcome.reasons)


def notes(outcome: Outcome) -> str:
    return " ".join(outcome.notes)


def defined(*audiences: Audience) -> Definitions:
    return Definitions(org="acme", audiences=audiences)


GOLD = Audience(
    id=GOLD_ID, name="Gold members", pql=GOLD_RULE, description="Upper tier", edge="edge-classic"
)


# ---- wrappers ----------------------------------------------------------------


def paged() -> dict[str, Any]:
    return {"segments": [segment(), another()], "page": {"totalCount": 2}, "link": {}}


def children() -> dict[str, Any]:
    return {"children": [segment(), another()], "_page": {"totalCount": 2}, "_links": {}}


def bulk() -> dict[str, Any]:
    return {"results": {GOLD_ID: segment(), OTHER_ID: another()}}


@pytest.mark.parametrize("wrapper", [paged(), children(), bulk(), [segment(), another()]])
def test_a_page_in_any_wrapper_gives_its_definitions_in_order(wrapper: Any) -> None:
    outcomes = imported_text(json.dumps(wrapper))

    assert fates(outcomes) == ["imported", "imported"]
    assert [one.id for one in outcomes] == [GOLD_ID, OTHER_ID]


def test_a_definition_alone_is_imported() -> None:
    (outcome,) = imported_text(json.dumps(segment()))

    assert outcome.audience == GOLD
    assert outcome.notes == ()


def test_several_pages_are_one_import() -> None:
    outcomes = imported_text(json.dumps(paged()), json.dumps([third(f'inSegment("{GOLD_ID}")')]))

    assert fates(outcomes) == ["imported"] * 3


def test_a_place_names_page_wrapper_and_position() -> None:
    places = [one.place for one in imported_text(json.dumps(paged()), json.dumps(bulk()))]

    assert places == [
        "p0 segments[0]",
        "p0 segments[1]",
        f"p1 results[“{GOLD_ID}”]",
        f"p1 results[“{OTHER_ID}”]",
    ]


def test_a_byte_order_mark_changes_nothing() -> None:
    assert fates(imported_text("\ufeff" + json.dumps(segment()))) == ["imported"]


def test_pages_that_lack_definitions_are_told() -> None:
    page = page_from_json(json.dumps({**paged(), "page": {"totalCount": 111}}), name="p")
    outcomes = imported_text(json.dumps(paged()))

    (remark,) = remarks_of([page], outcomes, org=None)

    assert "111 definitions; 2 were given" in remark


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "p0:1: This is not JSON"),
        ('{"segments": [\n\n}', "p0:3: This is not JSON"),
        ("{}\n{}", "more follows the first value"),
        ("null", "neither an object nor a list"),
        ("7", "neither an object nor a list"),
        ('"text"', "neither an object nor a list"),
        ("{}", "no segment definitions"),
        ('{"title": "Unauthorized", "status": 401}', "it says “Unauthorized”"),
        ('{"segments": 5}', "segments is not a list"),
        ('{"children": {}}', "children is not a list"),
        ('{"results": []}', "results is not an object"),
        ('[{"id": "a", "id": "b"}]', "“id” stands twice"),
        ("[NaN]", "NaN is no JSON value"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[" + "9" * 5_000 + "]", "a number of 5,000 digits"),
    ],
)
def test_what_is_no_export_is_one_clear_error(text: str, words: str) -> None:
    with pytest.raises(BadImport) as refused:
        imported_text(text)

    assert words in refused.value.detail
    assert refused.value.fix


def test_4000_definitions_are_taken_and_one_more_is_an_error() -> None:
    page = page_from_json(json.dumps([1] * MAX_ENTRIES), name="p")

    assert len(entries_of([page])) == 4_000
    with pytest.raises(BadImport) as refused:
        entries_of([page, Page(page.entries[:1])])
    assert "4,001" in refused.value.detail


# ---- what is imported ----------------------------------------------------------


def test_the_forty_audiences_are_imported_with_their_rules_and_nothing_to_say() -> None:
    given = forty()

    outcomes = imported(*given)

    rules = [one.audience.pql for one in outcomes if one.audience]
    assert rules == [one["expression"]["value"] for one in given]
    assert [one.notes for one in outcomes] == [()] * 40


@pytest.mark.parametrize(
    ("field", "edge", "words"),
    [
        ("synchronous", "edge-classic", ""),
        ("continuous", "local", "as events arrive"),
        ("batch", "local", "once a day"),
        ("none", "local", "does not say how"),
    ],
)
def test_how_adobe_evaluates_decides_whose_rules_it_is_held_to(
    field: str, edge: str, words: str
) -> None:
    outcome = only(segment(evaluationInfo=evaluation(field)))

    assert outcome.audience is not None
    assert outcome.audience.edge == edge
    assert words in notes(outcome)
    assert bool(outcome.notes) == bool(words)


def test_synchronous_is_the_edge_whatever_one_of_adobes_pages_says() -> None:
    assert METHODS == {"synchronous": "edge", "continuous": "streaming", "batch": "batch"}


def test_a_flag_that_was_exported_as_text_is_read() -> None:
    info = {"synchronous": {"enabled": "false"}, "continuous": {"enabled": "true"}}

    outcome = only(segment(evaluationInfo=info))

    assert outcome.audience is not None
    assert outcome.audience.edge == "local"
    assert "as events arrive" in notes(outcome)


def test_a_merge_policy_that_is_not_active_on_edge_is_told() -> None:
    policy = {"id": "p-1", "isActiveOnEdge": "false"}

    outcome = only(segment(mergePolicy=policy))

    assert "not active on Adobe's edge" in notes(outcome)
    assert "“p-1” is not kept" in notes(outcome)


def test_a_rule_that_no_edge_of_adobes_would_take_is_local_with_the_reason() -> None:
    rule = "CHAIN(xEvent, timestamp, [C0: WHAT(a = 1), C1: WHAT(a = 2) WHEN(<= 1 hour after C0)])"

    outcome = only(segment(rule))

    assert outcome.audience is not None
    assert outcome.audience.edge == "local"
    assert "no time window; edge-classic looks 24 hours back" in notes(outcome)


def test_a_window_beyond_35_days_gets_an_event_window_of_its_own() -> None:
    outcome = only(
        segment("CHAIN(xEvent, timestamp, [C0: WHAT(a = 1) WHEN(<= 90 days before now)])")
    )

    assert outcome.audience is not None
    assert outcome.audience.event_window_days == 90
    assert "event_window_days = 90" in notes(outcome)


def test_a_window_of_35_days_needs_none() -> None:
    outcome = only(
        segment("CHAIN(xEvent, timestamp, [C0: WHAT(a = 1) WHEN(<= 35 days before now)])")
    )

    assert outcome.audience is not None
    assert (outcome.audience.event_window_days, outcome.notes) == (None, ())


@pytest.mark.parametrize(
    "rule",
    [
        "CHAIN(xEvent, timestamp, [C0: WHAT(a = 1)])",
        "not(CHAIN(xEvent, timestamp, [C0: WHAT(a = 1)]))",
        "CHAIN(xEvent, timestamp, [C0: WHAT(a = 1) WHEN(> 2 days before now)])",
        "xEvent[a = 1].count() > 3",
        "xEvent.sum(price) > 3",
        "(sum X.p over X from xEvent where X.c = 1) > 10",
    ],
)
def test_a_rule_that_asks_for_events_of_any_age_is_told_how_old_they_may_be(rule: str) -> None:
    assert "events however old they are; here those of 35 days" in notes(only(segment(rule)))


@pytest.mark.parametrize(
    "rule",
    [
        "xEvent[a = 1 and timestamp occurs <= 3 days before now].count() > 3",
        "CHAIN(xEvent, timestamp, [C0: WHAT(a = 1) WHEN(today), C1: WHAT(b = 1)])",
        'loyalty.joinDate occurs > 90 days before now and city = "Oslo"',
    ],
)
def test_a_rule_that_bounds_its_events_or_reads_none_has_no_such_note(rule: str) -> None:
    assert "however old" not in notes(only(segment(rule, evaluationInfo=evaluation("continuous"))))


def test_a_chain_of_seven_steps_is_imported_with_a_warning() -> None:
    steps = ", ".join(f"C{at}: WHAT(a = {at}) WHEN(today)" for at in range(7))

    seven = only(segment(f"CHAIN(xEvent, timestamp, [{steps}])"))
    six = only(segment(f"CHAIN(xEvent, timestamp, [{steps.rpartition(', C6')[0]}])"))

    assert "A chain has 7 steps, more than the 6" in notes(seven)
    assert six.becomes == "imported"
    assert "steps" not in notes(six)


# ---- what is told --------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": " Gold members "}, "“ Gold members ” is written “Gold members”"),
        ({"name": "Gold\u00a0mem\u200bbers"}, "is written “Gold members”"),
        ({"id": "not-a-uuid"}, "not a UUID"),
        ({"audienceId": "crm-7"}, "audienceId “crm-7” is not kept"),
        ({"description": 7}, "description is 7, not text"),
        ({"schema": None}, "names no schema"),
        ({"ttlInDays": 30}, "ttlInDays is 30"),
        ({"mergePolicyId": "mp-1"}, "merge policy “mp-1” is not kept"),
        ({"dataGovernancePolicy": {"excludeOptOut": False}}, "excludeOptOut is false"),
        ({"dataGovernancePolicy": {"excludeOptOut": "false"}}, "excludeOptOut is false"),
        ({"labels": ["core/C1", 7]}, "The labels “core/C1”, 7 are not kept"),
        ({"dependencies": [OTHER_ID]}, f"names also “{OTHER_ID}”"),
        ({"dependencies": "x"}, "dependencies is “x” and is not read"),
        ({"evaluationInfo": "edge"}, "evaluationInfo is “edge” and is not read"),
        ({"evaluationInfo": {"batch": {"enabled": 1}}}, "batch.enabled is 1, taken for false"),
        ({"evaluationInfo": None}, "does not say how"),
    ],
)
def test_what_is_otherwise_here_is_told(more: dict[str, Any], words: str) -> None:
    outcome = only(segment(**more))

    assert outcome.becomes == "imported"
    assert words in notes(outcome)


@pytest.mark.parametrize(
    "more",
    [
        {"lifecycleState": "active"},
        {"lifecycleState": "PUBLISHED"},
        {"lifecycleState": None, "state": "enabled"},
        {"type": "SegmentDefinition"},
        {"audienceId": GOLD_ID},
        {"dependencies": []},
        {"labels": []},
        {"dataGovernancePolicy": {"excludeOptOut": True}},
        {"schema": {"id": "https://ns.adobe.com/xdm/context/profile__union"}},
        {"expression": {"type": "pql", "value": GOLD_RULE}},
    ],
)
def test_what_means_the_same_here_is_not_told(more: dict[str, Any]) -> None:
    outcome = only(segment(**more))

    assert (outcome.becomes, outcome.notes) == ("imported", ())


def test_dependencies_that_leave_out_what_the_rule_reads_are_told() -> None:
    _, outcome = imported(segment(), another(f'inSegment("{GOLD_ID}")', dependencies=[]))

    assert f"does not name “{GOLD_ID}”" in notes(outcome)


def test_fields_that_nothing_is_made_of_are_named_once() -> None:
    more: dict[str, Any] = {"creationTime": 0, "updateEpoch": 1_700_000_000, "dependents": []}
    outcomes = imported(segment(**more), another(**more))

    (remark,) = remarks_of([], outcomes, org=None)

    assert outcomes[0].not_kept == ("creationTime", "updateEpoch", "dependents")
    assert remark.count("“creationTime”") == 1


def test_every_field_is_read_or_told_as_not_kept() -> None:
    more: dict[str, Any] = dict.fromkeys(READ_FIELDS - segment().keys() - {"type", "state"}, "0")

    outcome = only(segment(**more, namespace="AEPSegments"))

    assert outcome.not_kept == ("namespace",)


def test_definitions_of_another_organisation_are_told() -> None:
    outcomes = imported(segment())

    (remark,) = remarks_of([], outcomes, org="acme")

    assert f"from “{ORG}” into the organisation “acme”" in remark
    assert [*remarks_of([], outcomes, org=ORG)] == []


# ---- what is skipped, what is refused --------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"lifecycleState": "draft"}, "“draft”; only published"),
        ({"lifecycleState": "inactive"}, "“inactive”"),
        ({"state": "disabled"}, "state is “disabled”"),
        ({"type": "ExternalSegment", "expression": None}, "external audience"),
        ({"schema": {"name": "_xdm.context.account"}}, "_xdm.context.account"),
    ],
)
def test_what_perso_does_not_evaluate_is_skipped(more: dict[str, Any], words: str) -> None:
    outcome = only(segment(**more))

    assert (outcome.becomes, outcome.audience) == ("skipped", None)
    assert words in reasons(outcome)


TREE = {"nodeType": "fnApply", "fnName": "="}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"id": None}, "no id"),
        ({"id": 7}, "id is 7, not text"),
        ({"id": "two words"}, "without spaces"),
        ({"id": "x" * 129}, "128 printable"),
        ({"name": None}, "no name"),
        ({"name": " \u200b "}, "no name"),
        ({"name": ["x"]}, "name is a list"),
        ({"name": "x" * 257}, "256"),
        ({"type": "Composition"}, "type is “Composition”"),
        ({"lifecycleState": 1}, "lifecycleState is 1"),
        ({"schema": "profile"}, "schema has no name"),
        ({"expression": None}, "no expression"),
        ({"expression": GOLD_RULE}, "not an object"),
        ({"expression": {"type": "SQL", "value": "x"}}, "type “SQL”"),
        ({"expression": {"format": "pql/json", "value": "{}"}}, "/segment/conversion"),
        ({"expression": {"value": TREE}}, "/segment/conversion"),
        ({"expression": {"format": "pql/xml", "value": "x"}}, "“pql/xml”"),
        ({"expression": {"value": " "}}, "no rule"),
        ({"expression": {"value": None}}, "value is null"),
        ({"expression": {"value": "a = \ud800"}}, "half of a character (U+D800)"),
    ],
)
def test_what_has_to_be_mended_is_refused_with_what_to_do(more: dict[str, Any], words: str) -> None:
    fields = {**segment(), **more}
    outcome = only({name: value for name, value in fields.items() if value is not None})

    assert (outcome.becomes, outcome.audience) == ("refused", None)
    assert words in reasons(outcome)
    assert all(one.fix for one in outcome.reasons)


@pytest.mark.parametrize("value", [None, 7, "text", True, [], 1.5])
def test_what_is_no_definition_at_all_is_refused_beside_those_that_are(value: Any) -> None:
    assert fates(imported(value, segment())) == ["refused", "imported"]


def test_a_failure_in_a_bulk_answer_is_refused_with_what_adobe_said() -> None:
    answer = {"results": {OTHER_ID: {"status": 404, "message": "not found"}, GOLD_ID: segment()}}

    outcomes = imported_text(json.dumps(answer))

    assert fates(outcomes) == ["refused", "imported"]
    assert outcomes[0].id == OTHER_ID
    assert "404, “not found”" in reasons(outcomes[0])


def test_a_bulk_answer_gives_an_id_to_what_has_none() -> None:
    (outcome,) = imported_text(json.dumps({"results": {GOLD_ID: segment(id=None)}}))

    assert (outcome.becomes, outcome.id) == ("imported", GOLD_ID)
    assert "asked for by" in notes(outcome)


def test_a_bulk_answer_under_another_id_is_told() -> None:
    (outcome,) = imported_text(json.dumps({"results": {OTHER_ID: segment()}}))

    assert outcome.id == GOLD_ID
    assert f"asked for by the id “{OTHER_ID}”" in notes(outcome)


def test_every_fault_of_a_rule_is_told_at_its_place_under_a_caret() -> None:
    outcome = only(segment("a == 1"))

    (reason,) = outcome.reasons
    line, caret = reason.excerpt.split("\n")
    assert (reason.line, reason.column) == (1, 4)
    assert (line, caret) == ("a == 1", "   ^")


def test_all_that_is_wrong_with_a_definition_is_told_at_once() -> None:
    outcome = only({**segment("a == 1"), "id": 7, "name": 8})

    assert len(outcome.reasons) == 3


def test_a_rule_is_held_to_the_schema_of_the_definitions_that_it_comes_into() -> None:
    fields = '[schema]\nclosed = true\n[schema.profile]\n"loyalty.tier" = "text"\n'
    base = definitions_from_toml(f'org = "acme"\n{fields}')

    outcomes = imported(segment(), another('loyalty.teir = "gold"'), base=base)

    assert fates(outcomes) == ["imported", "refused"]
    (reason,) = outcomes[1].reasons
    assert (reason.line, reason.column) == (1, 1)
    assert "loyalty.tier" in reason.fix


# ---- one id, one audience ----------------------------------------------------------


def test_the_same_definition_on_two_pages_is_imported_once() -> None:
    outcomes = imported(segment(), another(), segment())

    assert fates(outcomes) == ["imported", "imported", "skipped"]
    assert "the same as p0 [0]" in reasons(outcomes[2])


def test_two_definitions_of_one_id_that_differ_are_both_refused() -> None:
    outcomes = imported(segment(), segment("loyalty.points > 3"), another())

    assert fates(outcomes) == ["refused", "refused", "imported"]
    assert "p0 [1]" in reasons(outcomes[0])


def test_of_two_definitions_with_one_name_the_later_is_refused() -> None:
    outcomes = imported(segment(), another(name="Gold members "))

    assert fates(outcomes) == ["imported", "refused"]
    assert "another name" in reasons(outcomes[1])


def test_a_name_that_is_a_word_for_a_defined_audience_is_refused() -> None:
    known = Audience(id="k", name="Known", pql=GOLD_RULE, alias="gold")

    assert fates(imported(segment(name="gold"), base=defined(known))) == ["refused"]
    assert fates(imported(segment(name="Known"), base=defined(known))) == ["refused"]
    assert fates(imported(segment(name="k"), base=defined(known))) == ["refused"]


def test_a_name_that_is_another_ones_id_is_refused_whichever_comes_first() -> None:
    assert fates(imported(segment(name=OTHER_ID), another())) == ["refused", "imported"]


def test_the_same_rule_again_is_unchanged() -> None:
    outcome = only(segment(), base=defined(GOLD))

    assert (outcome.becomes, outcome.notes) == ("unchanged", ())


def test_another_rule_for_a_defined_audience_is_refused() -> None:
    outcome = only(segment("loyalty.points > 3"), base=defined(GOLD))

    assert outcome.becomes == "refused"
    assert "--replace" in reasons(outcome)


def test_another_rule_takes_its_place_with_replace_and_keeps_the_alias() -> None:
    known = Audience(id=GOLD_ID, name="Gold members", pql=GOLD_RULE, alias="gold")

    outcomes = imported(segment("loyalty.points > 3"), base=defined(known), replace=True)

    (audience,) = merged(defined(known), outcomes).audiences
    assert fates(outcomes) == ["replaced"]
    assert (audience.pql, audience.alias) == ("loyalty.points > 3", "gold")


def test_another_name_for_a_defined_audience_is_told_and_taken_only_with_replace() -> None:
    known = Audience(id=GOLD_ID, name="Our gold", pql=GOLD_RULE, edge="edge-classic")

    kept = only(segment(), base=defined(known))
    taken = only(segment(), base=defined(known), replace=True)

    assert (kept.becomes, kept.audience) == ("unchanged", known)
    assert "name and description" in notes(kept)
    assert taken.becomes == "replaced"


# ---- segments of segments ------------------------------------------------------------


def test_a_rule_may_read_what_comes_later_or_is_defined_already() -> None:
    known = Audience(id="known", name="Known", pql=GOLD_RULE)
    rule = f'inSegment("{OTHER_ID}") and inSegment("known")'

    assert fates(imported(segment(rule), another(), base=defined(known))) == ["imported"] * 2


def test_a_rule_that_reads_what_is_missing_is_refused_and_names_all_of_it() -> None:
    outcome = only(segment('inSegment("gone") and inSegment("lost")'))

    assert outcome.becomes == "refused"
    assert [one.detail for one in outcome.reasons] == [
        "It reads inSegment(“gone”), which is neither given nor defined.",
        "It reads inSegment(“lost”), which is neither given nor defined.",
    ]


def test_what_hangs_on_a_refused_or_skipped_one_is_refused_with_it() -> None:
    outcomes = imported(
        segment(f'inSegment("{OTHER_ID}")'),
        another(f'inSegment("{THIRD_ID}")'),
        third(lifecycleState="draft"),
        segment(id="free", name="Free"),
    )

    assert fates(outcomes) == ["refused", "refused", "skipped", "imported"]
    assert "which is refused here" in reasons(outcomes[0])
    assert "which is skipped here" in reasons(outcomes[1])


def test_a_circle_is_refused_and_named_and_what_hangs_on_it_too() -> None:
    outcomes = imported(
        segment(f'inSegment("{OTHER_ID}")'),
        another(f'inSegment("{GOLD_ID}")'),
        third(f'inSegment("{GOLD_ID}")'),
    )

    assert fates(outcomes) == ["refused"] * 3
    assert "“Gold members” → “Others” → “Gold members”" in reasons(outcomes[0])
    assert "which is refused here" in reasons(outcomes[2])


def test_a_circle_through_a_replaced_audience_leaves_it_as_it_was() -> None:
    reader = Audience(id=OTHER_ID, name="Others", pql=f'inSegment("{GOLD_ID}")')
    base = defined(GOLD, reader)

    outcomes = imported(segment(f'inSegment("{OTHER_ID}")'), base=base, replace=True)

    assert fates(outcomes) == ["refused"]
    assert merged(base, outcomes) == base


def test_a_circle_of_4000_is_told_in_a_few_words() -> None:
    ring = [
        segment(f'inSegment("s{(at + 1) % 4000}")', id=f"s{at}", name=f"S{at}", evaluationInfo=None)
        for at in range(4000)
    ]

    outcomes = imported(*ring)

    assert {one.becomes for one in outcomes} == {"refused"}
    assert len(reasons(outcomes[0])) < 300


# ---- the file ------------------------------------------------------------------------


def test_a_new_file_reads_back_to_the_audiences() -> None:
    definitions = merged(Definitions(org=ORG), imported(*forty()))

    assert definitions_from_toml(new_file(definitions)) == definitions


def test_audiences_are_added_to_a_file_that_keeps_its_comments() -> None:
    before = f"# ours\n{WHOLE}# the end"
    base = definitions_from_toml(before)
    outcomes = imported(*forty(), base=base)

    text = added_to(before, [one.audience for one in outcomes if one.audience])

    assert text is not None
    assert text.startswith(before)
    assert definitions_from_toml(text) == merged(base, outcomes)


def test_a_file_with_windows_line_ends_keeps_them() -> None:
    before = WHOLE.replace("\n", "\r\n")

    text = added_to(before, [GOLD])

    assert text is not None
    assert text.count("\n") == text.count("\r\n")
    assert definitions_from_toml(text).audiences[-1] == GOLD


def test_nothing_can_be_added_after_a_file_that_lists_its_audiences_in_one_value() -> None:
    before = "org = 'a'\naudience = [{id = 'x', name = 'X', pql = 'a = 1'}]\n"

    assert added_to(before, [GOLD]) is None


# ---- laws ------------------------------------------------------------------------------

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
RULES = st.sampled_from(
    [
        GOLD_RULE,
        "a ==",
        "xEvent.count() > 2",
        f'inSegment("{GOLD_ID}")',
        f'inSegment("{OTHER_ID}") and not inSegment("{THIRD_ID}")',
        "CHAIN(xEvent, timestamp, [C0: WHAT(a = 1) WHEN(<= 90 days before now)])",
    ]
)
FIELDS = sorted(READ_FIELDS)


@st.composite
def nearly_exported(draw: st.DrawFn) -> dict[str, Any]:
    """A definition in which some fields are anything at all."""
    made = segment(
        draw(RULES),
        id=draw(st.sampled_from([GOLD_ID, OTHER_ID, THIRD_ID])),
        name=draw(st.sampled_from(["A", "B", "C", OTHER_ID])),
        evaluationInfo=draw(st.sampled_from([evaluation(), evaluation("batch")])),
    )
    spoilt = draw(st.dictionaries(st.sampled_from(FIELDS), ANY_JSON, max_size=2))
    made["expression"] |= draw(
        st.dictionaries(st.sampled_from(["type", "format", "value"]), ANY_JSON, max_size=1)
    )
    return {**made, **spoilt}


@settings(max_examples=150, deadline=None)
@given(ANY_JSON)
def test_any_json_gives_a_report_or_a_clean_error(value: Any) -> None:
    try:
        outcomes = imported_text(json.dumps(value))
    except BadImport:
        return

    assert all(one.reasons or one.audience for one in outcomes)


@settings(max_examples=150, deadline=None)
@given(st.lists(nearly_exported() | ANY_JSON, max_size=6), st.booleans(), st.booleans())
def test_what_is_imported_stands_beside_what_is_defined_without_a_fault(
    given_ones: list[Any], known: bool, replace: bool
) -> None:
    base = defined(*([GOLD] if known else []))

    outcomes = imported(*given_ones, base=base, replace=replace)

    assert len(outcomes) == len(given_ones)
    assert all(bool(one.audience) != bool(one.reasons) for one in outcomes)
    assert [*check_definitions(merged(base, outcomes))] == []


@settings(max_examples=100, deadline=None)
@given(st.lists(nearly_exported(), max_size=5), st.booleans())
def test_importing_again_changes_nothing(given_ones: list[Any], replace: bool) -> None:
    first = merged(defined(), imported(*given_ones))

    again = imported(*given_ones, base=first, replace=replace)

    assert merged(first, again) == first
    assert not {"imported", "replaced"} & {*fates(again)}
