"""`perso audience check | test` as processes of their own, and what is mistyped of any verb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import perso, write
from tests.definitions.whole import WHOLE, changed

VECTORS = Path(__file__).parents[1] / "pql" / "vectors.json"
NOW = "2026-03-15T12:30:45Z"
TODAY = 'CHAIN(xEvent, timestamp, [C0: WHAT(eventType = "view") WHEN(today)])'


# ---- check -------------------------------------------------------------------


def test_every_fault_of_a_rule_is_told_with_its_place_a_caret_and_a_fix(tmp_path: Path) -> None:
    write(tmp_path, "a.cuont() > 1 and\nb.hed() = 2\n", "rule.pql")

    told = perso(tmp_path, "audience", "check", "rule.pql")

    lines = told.stderr.split("\n")
    assert told.returncode == 1
    assert lines[0] == "rule.pql:1:3: There is no function cuont."
    assert lines[2].index("^") == 4 + 2
    assert "Did you mean count?" in lines[3]
    assert lines[4].startswith("rule.pql:2:3: ")
    assert "error: 2 faults in the rule." in told.stderr


def test_a_right_rule_is_told_what_takes_it_what_it_reads_and_what_it_costs(
    tmp_path: Path,
) -> None:
    told = perso(tmp_path, "audience", "check", "-", stdin=f"{TODAY} and loyalty.points > 1\n")

    assert (told.returncode, told.stderr) == (0, "")
    for text in (
        "local         eligible",
        "edge-2025     eligible",
        "of the profile: loyalty.points",
        "of events:      eventType, timestamp",
        "at events whose eventType is view",
        "when loyalty of the profile changes",
        "at the instant at which time alone changes its answer",
        "1 loop",
        "An event counts for 35 days",
    ):
        assert text in told.stdout


def test_a_rule_that_any_event_concerns_is_told_to_be_dear(tmp_path: Path) -> None:
    told = perso(tmp_path, "audience", "check", "-", stdin="xEvent.count() > 3")

    assert "at every event" in told.stdout


def test_a_rule_that_its_edge_refuses_exits_with_1(tmp_path: Path) -> None:
    rule = TODAY.replace("today", "<= 90 days before now")

    here = perso(tmp_path, "audience", "check", "-", stdin=rule)
    wider = perso(tmp_path, "audience", "check", "-", "--event-window-days", "90", stdin=rule)
    adobe = perso(tmp_path, "audience", "check", "-", "--edge", "edge-2025", stdin=rule)

    assert (here.returncode, wider.returncode, adobe.returncode) == (1, 0, 1)
    assert "event_window_days = 90" in here.stdout
    assert "1:61" in adobe.stdout


def test_the_audiences_that_a_rule_asks_for_are_those_of_the_definitions(tmp_path: Path) -> None:
    write(tmp_path)
    rule = f'inSegment("a-gold") and {TODAY}'

    alone = perso(tmp_path, "audience", "check", "-", "--edge", "edge-2025", stdin=rule)
    known = perso(
        tmp_path,
        *("audience", "check", "-", "--edge", "edge-2025", "--definitions", "perso.toml"),
        stdin=rule,
    )

    assert (alone.returncode, known.returncode) == (1, 0)
    assert "Gold (a-gold)" in known.stdout


def test_a_rule_is_held_to_the_schema_and_the_audiences_of_the_definitions(tmp_path: Path) -> None:
    write(tmp_path, f'{WHOLE}\n[schema.profile]\n"age" = "integer"\n')
    words = ("audience", "check", "-", "--definitions", "perso.toml")

    unknown = perso(tmp_path, *words, stdin='inSegment("a-gone")')
    mistyped = perso(tmp_path, *words, stdin='age = "old"')

    assert (unknown.returncode, mistyped.returncode) == (1, 1)
    assert mistyped.stderr.startswith("stdin:1:")
    assert 'no audience of the definitions has the id "a-gone"' in unknown.stderr


@pytest.mark.parametrize(
    ("read", "fix"),
    [
        ("Gold", 'Write its id: inSegment("a-gold").'),
        ("a-golt", 'Write "a-gold".'),
        ("elsewhere", "Add a [[audience]] with this id, or name another."),
    ],
)
def test_a_rule_that_reads_an_audience_that_there_is_not_is_told_what_to_write(
    read: str, fix: str, tmp_path: Path
) -> None:
    write(tmp_path, WHOLE)
    words = ("audience", "check", "-", "--definitions", "perso.toml")

    checked = perso(tmp_path, *words, stdin=f'inSegment("{read}")')

    assert (checked.returncode, checked.stderr) == (
        1,
        f'error: no audience of the definitions has the id "{read}". {fix}\n',
    )


def test_a_field_that_is_called_like_a_size_is_remarked_unless_the_schema_has_it(
    tmp_path: Path,
) -> None:
    write(tmp_path, f'{WHOLE}\n[schema.profile]\n"visits.count" = "integer"\n')
    words = ("audience", "check", "-")

    alone = perso(tmp_path, *words, stdin="visits.count > 3 and loyalty.points > 1")
    known = perso(tmp_path, *words, "--definitions", "perso.toml", stdin="visits.count > 3")

    remark = "visits.count is a field of that name; visits.count() is how many visits has"
    assert (alone.returncode, known.returncode) == (0, 0)
    assert f"Perhaps meant otherwise\n  {remark}" in alone.stdout
    assert "Perhaps" not in known.stdout


def test_a_definitions_file_is_checked_audience_by_audience(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, changed("> 10'''", ">'''"), "wrong.toml")

    right = perso(tmp_path, "audience", "check", "perso.toml")
    wrong = perso(tmp_path, "audience", "check", "wrong.toml")

    assert right.returncode == 0
    assert [line for line in right.stdout.split("\n") if line.endswith(": no faults.")] == [
        "Gold: no faults.",
        "Gold with points: no faults.",
    ]
    assert wrong.returncode == 1
    assert "wrong.toml:38:" in wrong.stderr


def test_what_a_check_tells_can_be_had_as_json(tmp_path: Path) -> None:
    right = perso(tmp_path, "audience", "check", "-", "--json", stdin=TODAY)
    wrong = perso(tmp_path, "audience", "check", "-", "--json", stdin="a ==")

    report = json.loads(right.stdout)
    assert report["edges"]["edge-2025"] == {"eligible": True, "reasons": []}
    assert report["reads"]["events"] == ["eventType", "timestamp"]
    assert report["cost"]["any_event"] is False
    sign, end = json.loads(wrong.stdout)["faults"]
    assert (sign["code"], sign["line"], sign["column"]) == ("pql.syntax", 1, 4)
    assert (end["code"], end["line"], end["column"]) == ("pql.syntax", 1, 5)
    assert wrong.returncode == 1


@pytest.mark.parametrize(
    "rule",
    [
        'xEvent[eventType = "view"].sum(price) > 3',
        'CHAIN(xEvent, timestamp, [A: WHAT(eventType = "view") WHEN(> 1 hour before now)])',
        'xEvent.forall(web.page.name.startsWith("a"))',
    ],
)
def test_of_a_rule_that_is_run_over_all_events_it_is_told_what_that_takes(
    rule: str, tmp_path: Path
) -> None:
    told = perso(tmp_path, "audience", "check", "-", stdin=rule)
    report = json.loads(perso(tmp_path, "audience", "check", "-", "--json", stdin=rule).stdout)

    assert "It is run over all of a visitor's events at each of those above" in told.stdout
    run = report["cost"]["run"]
    assert run["events"] == 5_000
    assert 5_000 <= run["steps"] < 100_000
    assert f"Of one with 5,000 that takes {run['steps']:,} of 1,000,000 steps, here" in told.stdout


def test_a_rule_of_which_the_steps_do_not_suffice_for_many_events_is_told(tmp_path: Path) -> None:
    rule = "exists X from xEvent, Y from xEvent where X.price > Y.price and X.price < 0"

    told = perso(tmp_path, "audience", "check", "-", stdin=rule)

    assert told.returncode == 0
    assert "Of one with 5,000 it comes to its limit of 1,000,000 steps, here in" in told.stdout
    assert "and does not hold then, whatever the rest of the events says." in told.stdout


@pytest.mark.parametrize("rule", [TODAY, "loyalty.points > 3", 'xEvent[a = "b"].count() > 3'])
def test_a_rule_that_is_not_run_over_all_events_is_told_so(rule: str, tmp_path: Path) -> None:
    told = perso(tmp_path, "audience", "check", "-", stdin=rule)
    report = json.loads(perso(tmp_path, "audience", "check", "-", "--json", stdin=rule).stdout)

    assert "is run over all" not in told.stdout
    assert report["cost"]["run"] is None


def test_more_than_adobe_takes_is_a_warning_and_no_fault(tmp_path: Path) -> None:
    steps = ", ".join(f'S{n}: WHAT(eventType = "{n}")' for n in range(7))

    told = perso(tmp_path, "audience", "check", "-", stdin=f"CHAIN(xEvent, timestamp, [{steps}])")

    assert told.returncode == 0
    assert "a chain has 7 steps; Adobe's builder saves up to 6" in told.stdout


# ---- test --------------------------------------------------------------------


def case(case_id: str, pql: str, expect: object, **more: object) -> dict[str, Any]:
    return {"id": case_id, "pql": pql, "profile": {"a": 1}, "now": NOW, "expect": expect, **more}


def cases(directory: Path, *given: object) -> str:
    write(directory, json.dumps(given), "cases.json")
    return "cases.json"


def test_all_of_the_projects_cases_pass(tmp_path: Path) -> None:
    told = perso(tmp_path, "audience", "test", str(VECTORS))

    assert (told.returncode, told.stdout) == (0, "479 passed, 0 failed\n")


def test_a_failed_case_is_told_with_expected_and_got(tmp_path: Path) -> None:
    file = cases(
        tmp_path,
        case("right", "a = 1", True),
        case("other", "a = 2", True),
        case("value", "a + 1", 3, mode="value"),
        case("close", "a / 3", 0.33333333331, mode="value"),
        case("parse", "a = ", {"error": "parse"}, at="1:4"),
        case("type", "a == 1", {"error": "type"}),
        case("edge", "xEvent.count() = 1", "eligible", mode="edge"),
        case("robust", "a = " + "(" * 500, "finishes", mode="robust"),
    )

    told = perso(tmp_path, "audience", "test", file)

    assert told.returncode == 1
    lines = told.stdout.split("\n")
    assert lines[0] == "other: expected true, got false"
    assert lines[1] == "value: expected 3, got 2"
    assert lines[2].startswith("parse: expected error parse at 1:4, got error parse at 1:5: ")
    assert lines[3].startswith("type: expected error type, got error parse at 1:4: ")
    assert lines[4].startswith("edge: expected eligible, got refused at 1:1: ")
    assert lines[5] == "3 passed, 5 failed"


def test_a_case_that_takes_longer_than_it_may_fails(tmp_path: Path) -> None:
    told = perso(
        tmp_path, "audience", "test", cases(tmp_path, case("slow", "a = 1", True, max_ms=0))
    )

    assert told.returncode == 1
    assert "slow: expected true within 0 ms, got true after" in told.stdout


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ('{"a": NaN}', "profile.a is NaN, which no profile holds. Write a number, or null."),
        (
            '{"a": [1, {"b": -1e999}]}',
            "profile.a[1].b is -Infinity, which no profile holds. Write a number, or null.",
        ),
        (
            f'{{"a": {"9" * 5_000}}}',
            "profile.a is Infinity, which no profile holds. Write a number, or null.",
        ),
        *[
            (
                f'{{"a": {"[" * depth}"]"{"]" * depth}}}',
                "profile.a lies more than 200 levels deep. Nest it less.",
            )
            for depth in (200, 5_000, 100_000)
        ],
    ],
)
def test_a_case_with_a_profile_that_cannot_be_is_told_and_the_others_run(
    profile: str, told: str, tmp_path: Path
) -> None:
    """It was told as a crash of ours, or no case was run at all."""
    case = '{"id": "%s", "pql": "a = 1", "now": 0, "profile": %s, "expect": true}'
    both = ", ".join((case % ("odd", profile), case % ("even", '{"a": 1}')))
    write(tmp_path, f"[{both}]", "cases.json")

    done = perso(tmp_path, "audience", "test", "cases.json")

    assert done.stdout == f"odd: expected an answer, got none: {told}\n1 passed, 1 failed\n"
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ('{"loyalty": {"points": NaN}}', "profile.loyalty.points is NaN, which no profile holds."),
        ('{"xEvent": {"timestamp": 1}}', "profile.xEvent is no list of events."),
        ('{"a": 1, "a": 2}', 'an object has the key "a" twice.'),
    ],
)
def test_a_profile_from_a_file_that_cannot_be_is_told(
    profile: str, told: str, tmp_path: Path
) -> None:
    write(tmp_path)
    write(tmp_path, profile, "ada.json")

    done = perso(
        *(tmp_path, "audience", "explain", "gold", "--profile-file", "ada.json"),
        *("--definitions", "perso.toml"),
    )

    assert done.returncode == 1
    assert told in done.stderr


def test_cases_may_name_an_audience_of_the_definitions(tmp_path: Path) -> None:
    write(tmp_path)
    gold = {"loyalty": {"tier": "GOLD"}}
    file = cases(
        tmp_path,
        {"id": "1", "audience": "gold", "profile": gold, "now": NOW, "expect": True},
        {"id": "2", "audience": "Gold with points", "now": NOW, "expect": False},
    )

    told = perso(tmp_path, "audience", "test", file, "--definitions", "perso.toml")

    assert (told.returncode, told.stdout) == (0, "2 passed, 0 failed\n")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("[", "line 1, column 2"),
        ("{}", "not a list"),
        ("[1]", "case 1: "),
        ('[{"pql": "a"}]', "case 1: id is missing"),
        ('[{"id": "x", "pql": 1}]', "case 1 (x): pql is 1"),
        ('[{"id": "x", "pql": "a"}]', "case 1 (x): now is missing"),
        ('[{"id": "x", "pql": "a", "now": "soon"}]', 'case 1 (x): now is "soon"'),
        ('[{"id": "x", "pql": "a", "now": 0}]', "case 1 (x): expect is missing"),
        ('[{"id": "x", "pql": "a", "now": 0, "expect": 1}]', "case 1 (x): expect is 1"),
        ('[{"id": "x", "pql": "a", "now": 0, "expct": 1}]', "Write expect."),
        ('[{"id": "x", "pql": "a", "now": 0, "expect": true, "mode": "v"}]', 'mode is "v"'),
        ('[{"id": "x", "audience": "gold", "now": 0, "expect": true}]', "--definitions"),
        ('[{"id": "x", "pql": "a", "now": 0, "expect": true, "profile": 1}]', "profile is 1"),
        (json.dumps([case("x", "a", True)] * 2), "the id 'x' is given to two cases"),
    ],
)
def test_an_ill_formed_file_names_the_case_and_the_key(
    given: str, named: str, tmp_path: Path
) -> None:
    told = perso(tmp_path, "audience", "test", "-", stdin=given)

    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("error: ")
    assert named in told.stderr


# ---- what people get wrong ---------------------------------------------------


def test_a_rule_that_is_too_long_is_told_how_long_it_may_be(tmp_path: Path) -> None:
    told = perso(tmp_path, "audience", "check", "-", stdin="a" * 300_000)

    assert told.returncode == 1
    assert "larger than 260 KiB" in told.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["audience"],
        ["audience", "check"],
        ["audience", "check", "-", "--edge", "edge-2024"],
        ["audience", "check", "-", "--event-window-days", "0"],
        ["audience", "check", "perso.toml", "--edge", "local"],
        ["audience", "test"],
        ["audience", "explain", "gold"],
        ["audience", "explain", "gold", "--identity", "ECID"],
        ["audience", "explain", "gold", "--identity", "ECID:1"],
        ["audience", "explain", "gold", "--identity", "A:1", "--profile-file", "a.json"],
        ["audience", "explain", "gold", "--identity", "A:1", "--now", NOW],
        ["audience", "explain", "gold", "--profile-file", "a.json", "--now", "soon"],
    ],
)
def test_an_audience_command_that_is_typed_wrongly_is_an_error_and_exit_code_2(
    words: list[str], tmp_path: Path
) -> None:
    told = perso(tmp_path, *words)

    assert told.returncode == 2
    assert told.stderr.startswith("error: ")


@pytest.mark.parametrize("verb", ["check", "test", "explain"])
def test_every_audience_command_has_help_with_an_example(verb: str, tmp_path: Path) -> None:
    told = perso(tmp_path, "audience", verb, "--help")

    assert told.returncode == 0
    assert "perso audience" in told.stdout.split("Example: ")[1]


def test_a_missing_file_is_told_by_name(tmp_path: Path) -> None:
    for words in (["check", "none.pql"], ["test", "none.json"]):
        told = perso(tmp_path, "audience", *words)

        assert told.returncode == 1
        assert told.stderr.startswith("error: ")
        assert words[1] in told.stderr
