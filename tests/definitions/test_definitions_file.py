"""A definitions file is read whole, or every fault of it is told at its place."""

from __future__ import annotations

from datetime import date

import pytest

from perso_core.definitions.document import Definitions
from perso_core.definitions.toml_file import caret_line, definitions_from_toml
from tests.definitions.whole import WHOLE, changed, fault_of, faults_of, line_of

# ---- what is read ------------------------------------------------------------


def test_a_whole_file_gives_its_definitions_in_order() -> None:
    read = definitions_from_toml(WHOLE)

    assert read.org == "5BFE274A5F6980A50A495C08@AdobeOrg"
    assert [one.id for one in read.destinations] == ["d-cms", "d-server"]
    assert [one.id for one in read.audiences] == ["a-gold", "a-both"]
    assert read.destinations[1].attributes[0].target == "firstName"
    assert read.activations[0].start_date == date(2026, 1, 1)
    assert read.activations[1].end_date is None


def test_an_activation_may_name_its_audience_by_alias() -> None:
    text = changed('audience = "a-gold"', 'audience = "gold"')

    assert definitions_from_toml(text) == definitions_from_toml(WHOLE)


def test_an_org_alone_is_a_file() -> None:
    assert definitions_from_toml('org = "acme"') == Definitions(org="acme")


def test_a_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    text = "\ufeff" + WHOLE.replace("\n", "\r\n")

    assert definitions_from_toml(text) == definitions_from_toml(WHOLE)


def test_the_default_consent_is_pending() -> None:
    (datastream,) = definitions_from_toml(changed('default_consent = "in"\n', "")).datastreams

    assert datastream.default_consent == "pending"


def test_a_destination_on_a_datastream_that_answers_none_is_a_fault() -> None:
    faults = faults_of(
        changed(
            'default_consent = "in"', 'default_consent = "in"\npersonalization_destinations = false'
        )
    )

    assert [fault.line for fault in faults] == [15, 22]
    assert "never be answered" in faults[0].detail


# ---- rules -------------------------------------------------------------------


def test_a_fault_in_a_rule_has_its_line_and_column_in_the_file_under_a_caret() -> None:
    fault = fault_of(changed("and loyalty.points > 10'''", "and loyalty.points > )'''"))

    line, caret = fault.excerpt.split("\n")
    assert fault.line == WHOLE.split("\n").index("and loyalty.points > 10'''") + 1
    assert line == "and loyalty.points > )'''"
    assert line[caret.index("^")] == ")"
    assert f"(column {caret.index('^') + 1})" in fault.detail
    assert "“Gold with points”" in fault.detail


def test_the_caret_finds_its_place_behind_escaped_quotes() -> None:
    fault = fault_of(
        changed(
            """pql = 'loyalty.tier.equals("gold", false)'""",
            r'''pql = "loyalty.tier.equals(\"gold\", ))"''',
        )
    )

    line, caret = fault.excerpt.split("\n")
    assert line[caret.index("^") :] == '))"'


def test_every_fault_of_every_rule_is_told() -> None:
    text = changed('loyalty.tier.equals("gold", false)', "loyalty.tier.equals(")
    text = text.replace("loyalty.points > 10", "loyalty.points >")

    lines = [line_of(text, fault) for fault in faults_of(text)]

    assert lines == ["pql = 'loyalty.tier.equals('", "and loyalty.points >'''"]


def test_a_rule_that_names_an_unknown_audience_is_a_fault_at_its_place() -> None:
    text = changed('inSegment("a-gold")', 'inSegment("a-glod")')

    fault = fault_of(text)

    assert line_of(text, fault) == 'inSegment("a-glod")'
    assert fault.excerpt.split("\n")[1] == " " * len('inSegment("') + "^"
    assert 'Write "a-gold"' in fault.fix


def test_a_rule_that_names_an_audience_by_its_alias_is_told_the_id() -> None:
    fault = fault_of(changed('inSegment("a-gold")', 'inSegment("gold")'))

    assert 'inSegment("a-gold")' in fault.fix


def test_a_circle_of_audiences_is_named_member_by_member() -> None:
    text = changed('loyalty.tier.equals("gold", false)', 'inSegment("a-both")')

    fault = fault_of(text)

    assert "“Gold” → “Gold with points” → “Gold”" in fault.detail
    assert line_of(text, fault).startswith("pql = ")


def test_an_audience_that_reads_itself_is_a_circle() -> None:
    fault = fault_of(changed('inSegment("a-gold")', 'inSegment("a-both")'))

    assert "“Gold with points” → “Gold with points”" in fault.detail


# ---- limits ------------------------------------------------------------------


def test_thirty_attributes_are_taken_and_one_more_is_a_fault_at_that_one() -> None:
    def with_attributes(count: int) -> str:
        more = "".join(
            f'[[destination.attribute]]\nsource = "a.b{at}"\ntarget = "t{at}"\n'
            for at in range(1, count)
        )
        return changed('target = "firstName"\n', f'target = "firstName"\n{more}')

    assert len(definitions_from_toml(with_attributes(30)).destinations[1].attributes) == 30
    fault = fault_of(with_attributes(31))
    assert line_of(with_attributes(30), fault) == ""  # one line after the thirtieth
    assert "30 is the limit" in fault.detail


def test_a_target_mapped_twice_is_a_fault() -> None:
    fault = fault_of(
        changed(
            'target = "firstName"\n',
            'target = "firstName"\n[[destination.attribute]]\nsource = "x"\ntarget = "firstName"\n',
        )
    )

    assert fault.line == 28
    assert "first is on line 25" in fault.detail


def test_ten_destinations_on_a_datastream_are_taken_and_one_more_is_a_fault() -> None:
    def with_destinations(count: int) -> str:
        return WHOLE + "".join(
            f'[[destination]]\nid = "d{at}"\nkind = "custom-personalization"\nname = "D{at}"\n'
            f'integration_alias = "a{at}"\ndatastream = "demo"\n'
            for at in range(2, count)
        )

    assert len(definitions_from_toml(with_destinations(10)).destinations) == 10
    assert "more than 10 destinations" in fault_of(with_destinations(11)).detail


def test_250_activations_to_a_destination_are_taken_and_one_more_is_a_fault() -> None:
    def with_activations(count: int) -> str:
        return WHOLE + "".join(
            f'[[audience]]\nid = "x{at}"\nname = "X{at}"\npql = "a.b = {at}"\n'
            f'[[activation]]\naudience = "x{at}"\ndestination = "d-cms"\n'
            for at in range(2, count)
        )

    assert len(definitions_from_toml(with_activations(250)).activations) == 250
    assert "more than 250 activations" in fault_of(with_activations(251)).detail


# ---- what is not TOML, or not this file --------------------------------------


def test_what_is_not_toml_has_its_line_and_a_caret() -> None:
    text = changed('name = "Gold"', "name = Gold")

    fault = fault_of(text)

    assert line_of(text, fault) == "name = Gold"
    assert fault.excerpt == "name = Gold\n       ^"
    assert "not TOML" in fault.detail


def test_a_file_that_breaks_off_has_its_last_line() -> None:
    fault = fault_of('org = "acme"\nnames = [\n\n')

    assert fault.line == 2


def test_nothing_at_all_lacks_its_org() -> None:
    assert "no org" in fault_of("").detail


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 100_000, "too deeply"),
        ("a = " + "9" * 5_000, "line 1 has a number of more than 4300 digits."),
        (
            f"a = '{'9' * 5_000}'\nb = {'9' * 5_000}",
            "line 2 has a number of more than 4300 digits.",
        ),
        ("\na" + ".a" * 500_000 + " = 1", "line 2 has a key of more than 64 parts"),
        ("'a' . b\t." * 40 + "c = 1", "more than 64 parts"),
        ("[[audience]]\n" * 20_000, "no org"),
        ("# " + "x" * 8 * 1024 * 1024, "8 MiB"),
        ("# " + "é" * 5 * 1024 * 1024, "8 MiB"),
    ],
)
def test_a_hostile_file_is_one_clear_fault(text: str, words: str) -> None:
    assert words in faults_of(text)[0].detail


def test_a_thousand_faults_are_told_and_that_there_are_more() -> None:
    faults = faults_of("".join(f"x{at} = 1\n" for at in range(1_200)))

    assert len(faults) == 1_001
    assert "more faults than these 1,000" in faults[-1].detail


# ---- all at once -------------------------------------------------------------


def test_all_faults_of_a_file_are_told_at_once_in_the_order_of_their_lines() -> None:
    text = (
        changed('alias = "gold"', 'alias = "GOLD"')
        .replace('kind = "custom-personalization"\n', 'kind = "nothing"\n')
        .replace("http://localhost:8080", "http://localhost:8080/")
        .replace("2026-12-31", "2020-12-31")
        .replace("loyalty.points > 10", "loyalty.points >")
    )

    assert [line_of(text, fault)[:12] for fault in faults_of(text)] == [
        "allowed_orig",
        'kind = "noth',
        'alias = "GOL',
        "and loyalty.",
        "end_date = 2",
    ]


def test_a_definition_that_could_not_be_read_is_no_second_fault_elsewhere() -> None:
    text = changed('integration_alias = "serverAlias"\ndatastream = "demo"\n', "")

    assert [fault.line for fault in faults_of(text)] == [16, 16]


def test_a_long_line_is_cut_around_its_caret() -> None:
    line, caret = caret_line("a" * 500 + "X" + "b" * 500, 501).split("\n")

    assert len(line) == 100
    assert line[caret.index("^")] == "X"
