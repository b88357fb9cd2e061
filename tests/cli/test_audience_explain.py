"""`perso audience explain`, as a process of its own."""

from __future__ import annotations

import json
import time
from pathlib import Path

import apsw

from tests.cli.test_commands import ECID, perso, record, serving, write
from tests.definitions.whole import WHOLE

NOW = "2026-03-15T12:30:45Z"
TODAY = 'CHAIN(xEvent, timestamp, [C0: WHAT(eventType = "view") WHEN(today)])'


def put(directory: Path, **attributes: object) -> None:
    write(directory)
    perso(directory, "apply", "perso.toml")
    perso(directory, "profile", "put", "-", stdin=record(ECID, **attributes))


def explain(directory: Path, *words: str) -> str:
    told = perso(directory, "audience", "explain", *words)
    assert (told.returncode, told.stderr) == (0, "")
    return told.stdout


def test_a_stored_profile_is_told_why_it_is_in_and_since_when(tmp_path: Path) -> None:
    put(tmp_path, loyalty={"tier": "gold", "points": 5})

    gold = explain(tmp_path, "gold", "--identity", f"ECID:{ECID}")
    both = explain(tmp_path, "Gold with points", "--profile", f"ECID:{ECID}")

    assert gold.startswith("In “Gold” since 2")
    assert "Loyalty tier is gold; the rule wants gold." in gold
    assert both.startswith("Not in “Gold with points”. Loyalty points is 5; needs more than 10.\n")
    assert "In audience Gold." in both


def test_a_profile_is_explained_beside_a_running_server(tmp_path: Path) -> None:
    put(tmp_path, loyalty={"tier": "gold"})
    with serving(tmp_path):
        assert explain(tmp_path, "a-gold", "--identity", f"ECID:{ECID}").startswith("In “Gold”")


def test_explaining_waits_for_no_writer_and_writes_nothing(tmp_path: Path) -> None:
    """It took the store's write lock: beside a busy server it failed after five seconds."""
    put(tmp_path, loyalty={"tier": "gold"})
    database = tmp_path / ".perso" / "perso.sqlite"
    writer = apsw.Connection(str(database))
    writer.execute("BEGIN IMMEDIATE")
    before = database.read_bytes()
    began_s = time.monotonic()

    told = explain(tmp_path, "gold", "--identity", f"ECID:{ECID}")

    assert told.startswith("In “Gold” since 2")
    assert time.monotonic() - began_s < 5
    assert database.read_bytes() == before
    writer.close(force=True)


def test_whoever_a_datastreams_servers_alone_know_is_explained_on_that(tmp_path: Path) -> None:
    """There was no way to ask, and nothing was said to be kept of him."""
    write(tmp_path)
    perso(tmp_path, "apply", "perso.toml")
    row = {
        "identity": {"namespace": "CRMID", "id": "4711"},
        "attributes": {"loyalty": {"tier": "gold"}},
    }
    write(tmp_path, json.dumps(row), "customers.ndjson")
    perso(tmp_path, "import", "attributes", "customers.ndjson", "--datastream", "demo")

    asked = perso(tmp_path, "audience", "explain", "gold", "--identity", "CRMID:4711")
    told = explain(tmp_path, "gold", "--identity", "CRMID:4711", "--datastream", "demo")

    assert (asked.returncode, asked.stdout) == (1, "")
    assert "Under no datastream nothing is kept of CRMID:4711" in asked.stderr
    assert "Give --datastream demo." in asked.stderr
    assert told.startswith("In “Gold” since 2")


def test_an_identity_that_is_part_of_a_person_is_explained_as_the_person(tmp_path: Path) -> None:
    """After a merge nothing was said to be kept of it."""
    put(tmp_path, loyalty={"tier": "gold"})
    connection = apsw.Connection(str(tmp_path / ".perso" / "perso.sqlite"))
    connection.execute("INSERT INTO link VALUES ('mail:ada', ?, 1)", (f"ECID:{ECID}",))
    connection.close()

    assert explain(tmp_path, "gold", "--identity", "mail:ada").startswith("In “Gold” since 2")


def test_an_explanation_can_be_had_as_json(tmp_path: Path) -> None:
    put(tmp_path, loyalty={"tier": "tin"})

    told = json.loads(explain(tmp_path, "a-both", "--identity", f"ECID:{ECID}", "--json"))

    assert (told["in"], told["since"], told["until"]) == (False, None, None)
    assert [part["place"] for part in told["lacking"]["parts"]] == ["1:1", "2:5"]
    assert told["tree"]["children"][0]["because"]["got"] == "tin"


def test_json_tells_instants_to_the_millisecond(tmp_path: Path) -> None:
    audience = (
        '[[audience]]\nid = "a-just"\nname = "Just"\npql = "at occurs <= 1 hour before now"\n'
    )
    write(tmp_path, f"{WHOLE}\n{audience}")
    write(tmp_path, '{"at": "2026-03-15T11:59:59.998Z"}', "profile.json")
    asked = (
        "--profile-file",
        "profile.json",
        "--definitions",
        "perso.toml",
        "--now",
        "2026-03-15T12:00:00Z",
    )

    told = json.loads(explain(tmp_path, "a-just", *asked, "--json"))

    assert (told["in"], told["until"]) == (True, "2026-03-15T12:59:59.999Z")


def test_a_profile_from_a_file_is_asked_as_of_an_instant(tmp_path: Path) -> None:
    text = WHOLE.replace("loyalty.points > 10", TODAY)
    write(tmp_path, text)
    profile = {
        "loyalty": {"tier": "gold"},
        "xEvent": [{"eventType": "view", "timestamp": "2026-03-15T09:00:00Z"}],
    }
    write(tmp_path, json.dumps(profile), "ada.json")
    words = ("a-both", "--profile-file", "ada.json", "--definitions", "perso.toml", "--now")

    then = explain(tmp_path, *words, NOW)
    next_day = explain(tmp_path, *words, "2026-03-16T00:00:00Z")

    assert "If nothing else happens, this ends at 2026-03-16 00:00 UTC." in then
    assert "2026-03-15 09:00 UTC: view" in then
    assert next_day.startswith("Not in “Gold with points”. No view today.")


HOUR = 'CHAIN(xEvent, timestamp, [C0: WHAT(eventType = "view") WHEN(<= 1 hour before now)])'
VIEW_AT_9 = {"xEvent": [{"eventType": "view", "timestamp": "2026-03-15T09:00:00Z"}]}


def of_audiences(directory: Path, profile: object, now: str) -> str:
    """What is told of `asks`, which asks for `between`, which asks for `hour`."""
    rules = {"hour": HOUR, "between": 'inSegment("hour")', "asks": 'not(inSegment("between"))'}
    tables = [
        f"[[audience]]\nid = '{one}'\nname = '{one}'\npql = '''{rule}'''\n"
        for one, rule in rules.items()
    ]
    write(directory, "org = 'X'\n" + "\n".join(tables))
    write(directory, json.dumps(profile), "ada.json")
    words = ("--profile-file", "ada.json", "--definitions", "perso.toml", "--now", now)
    return explain(directory, "asks", *words)


def test_an_audience_of_audiences_changes_when_time_changes_those_it_asks_for(
    tmp_path: Path,
) -> None:
    out = of_audiences(tmp_path, VIEW_AT_9, "2026-03-15T09:30:00Z")
    to_come = of_audiences(tmp_path, VIEW_AT_9, "2026-03-15T08:30:00Z")
    over = of_audiences(tmp_path, VIEW_AT_9, "2026-03-15T10:30:00Z")

    # At 10:00:00.000 the view still counts.
    assert "If nothing else happens, it enters at 2026-03-15 10:00:00 UTC." in out
    assert "If nothing else happens, this ends at 2026-03-15 09:00 UTC." in to_come
    assert "Time alone does not end it." in over


def test_time_does_not_change_memberships_that_a_file_states(tmp_path: Path) -> None:
    stated = {**VIEW_AT_9, "segmentMembership": {"ups": {"between": {"status": "exited"}}}}

    assert "Time alone does not end it." in of_audiences(tmp_path, stated, "2026-03-15T09:30:00Z")


def test_what_a_visitor_sent_is_shown_and_steers_no_terminal(tmp_path: Path) -> None:
    put(tmp_path, loyalty={"tier": "\x1b[31mgo\u202eld\x9b"})

    told = explain(tmp_path, "gold", "--identity", f"ECID:{ECID}")

    assert "Loyalty tier is \u241b[31mgo\ufffdld\ufffd; the rule wants gold." in told


def test_a_caret_stands_below_its_place_also_after_a_control_character(tmp_path: Path) -> None:
    told = perso(tmp_path, "audience", "check", "-", stdin='a = "\x1b\x00" and b == 1')

    line, caret = told.stderr.split("\n")[1:3]
    assert line.index("==") == caret.index("^") - 1
    assert "\x1b" not in told.stderr


def test_explaining_from_a_place_without_a_store_makes_none(tmp_path: Path) -> None:
    words = ("audience", "explain", "gold", "--identity", "A:1", "--data-dir", "typo")
    told = perso(tmp_path, *words)

    assert told.returncode == 1
    assert "nothing was applied in typo yet" in told.stderr
    assert not (tmp_path / "typo").exists()


def test_an_unknown_audience_or_profile_is_an_error(tmp_path: Path) -> None:
    put(tmp_path)

    audience = perso(tmp_path, "audience", "explain", "golt", "--identity", f"ECID:{ECID}")
    profile = perso(tmp_path, "audience", "explain", "gold", "--identity", "CRMID:nobody")

    assert (audience.returncode, profile.returncode) == (1, 1)
    assert "Write 'gold'" in audience.stderr
    assert "Nothing is kept of CRMID:nobody" in profile.stderr


def test_a_profile_from_a_file_has_its_events_as_the_edge_keeps_them(tmp_path: Path) -> None:
    """The rule held of visitors, and not of a file with the same event."""
    audience = (
        '[[audience]]\nid = "a-today"\nname = "Today"\npql = "xEvent.max(timestamp) occurs today"\n'
    )
    write(tmp_path, f"{WHOLE}\n{audience}")
    write(tmp_path, '{"xEvent": [{"timestamp": "2026-03-15T09:00:00Z"}]}', "ada.json")

    told = explain(
        *(tmp_path, "a-today", "--profile-file", "ada.json"),
        *("--definitions", "perso.toml", "--now", NOW),
    )

    assert told.startswith("In “Today”.")
