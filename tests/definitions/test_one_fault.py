"""Each fault that a definitions file can have: told once, at its line, with what to write."""

from __future__ import annotations

import pytest

from perso_core.definitions.toml_file import definitions_from_toml
from tests.definitions.whole import changed, fault_of, line_of

# What is wrong -> the change to WHOLE, the line that is told, and words of detail and of fix.
ONE_FAULT = {
    "an unknown table": (
        '[[audience]]\nid = "a-gold"',
        '[[audence]]\nx = 1\n\n[[audience]]\nid = "a-gold"',
        "[[audence]]",
        "“audence”",
        "Write audience.",
    ),
    "an unknown key": (
        'name = "Gold"',
        'nmae = "x"\nname = "Gold"',
        'nmae = "x"',
        "“nmae”",
        "Write name.",
    ),
    "a key of the top inside a table": (
        '[[datastream]]\nid = "demo"',
        '[[datastream]]\nid = "demo"\norg = "x"',
        'org = "x"',
        "“org”",
        "Move org to the top",
    ),
    "a missing org": (
        'org = "5BFE274A5F6980A50A495C08@AdobeOrg"\n',
        "",
        "",
        "no org",
        "at the top",
    ),
    "an org with a space": (
        "@AdobeOrg",
        " Adobe",
        'org = "5BFE274A5F6980A50A495C08 Adobe"',
        "org",
        "5BFE274A5F6980A50A495C08@AdobeOrg",
    ),
    "a missing key": ('name = "Gold"\n', "", "[[audience]]", "no name", 'name = "…"'),
    "a number for text": (
        'name = "Gold"',
        "name = 7",
        "name = 7",
        "7, a whole number",
        "in quotes",
    ),
    "text for a flag": (
        'default_consent = "in"',
        'default_consent = "in"\nenabled = "yes"',
        'enabled = "yes"',
        "enabled is “yes”, text",
        "enabled = true",
    ),
    "a number for a flag": (
        'default_consent = "in"',
        'default_consent = "in"\nenabled = 1',
        "enabled = 1",
        "enabled is 1",
        "enabled = true",
    ),
    "text for a list": (
        '["https://www.shop.test", "http://localhost:8080"]',
        '"https://www.shop.test"',
        'allowed_origins = "https://www.shop.test"',
        "allowed_origins",
        '["…", "…"]',
    ),
    "a number in a list": (
        '"http://localhost:8080"]',
        "8080]",
        'allowed_origins = ["https://www.shop.test", 8080]',
        "8080",
        '["…", "…"]',
    ),
    "text for a day": (
        "start_date = 2026-01-01",
        'start_date = "2026-01-01"',
        'start_date = "2026-01-01"',
        "text",
        "without quotes",
    ),
    "a time for a day": (
        "start_date = 2026-01-01",
        "start_date = 2026-01-01T10:00:00Z",
        "start_date = 2026-01-01T10:00:00Z",
        "a date with a time",
        "2026-12-31",
    ),
    "a table for text": (
        'name = "Gold"',
        "name = { a = { b = 1 } }",
        "name = { a = { b = 1 } }",
        "name is a table",
        "in quotes",
    ),
    "a huge number": (
        'name = "Gold"',
        "name = 0x" + "f" * 9000,
        "name = 0xfffffffffff",
        "a whole number",
        "in quotes",
    ),
    "one bracket for two": (
        "[[datastream]]",
        "[datastream]",
        "[datastream]",
        "[datastream] is one table",
        "[[datastream]]",
    ),
    "a choice that does not exist": (
        '"custom-personalization"',
        '"custom-personalisation"',
        'kind = "custom-personalisation"',
        "custom-personalisation",
        'kind = "custom-personalization"',
    ),
    "a consent that does not exist": (
        'default_consent = "in"',
        'default_consent = "maybe"',
        'default_consent = "maybe"',
        "maybe",
        "in, pending, out",
    ),
    "a vendor beyond the list": (
        'default_consent = "in"',
        'default_consent = "in"\ntcf_vendor = 65536',
        "tcf_vendor = 65536",
        "65536",
        "from 1 to 65535",
    ),
    "no purpose at all": (
        'default_consent = "in"',
        'default_consent = "in"\ntcf_purposes = []',
        "tcf_purposes = []",
        "tcf_purposes is a list",
        "at least one",
    ),
    "a purpose that is no number": (
        'default_consent = "in"',
        'default_consent = "in"\ntcf_purposes = [1, true]',
        "tcf_purposes = [1, true]",
        "tcf_purposes is a list",
        "from 1 to 24",
    ),
    "a device before all people": (
        'default_consent = "in"',
        'default_consent = "in"\nidentity_priority = ["Loyalty", "ECID"]',
        'identity_priority = ["Loyalty", "ECID"]',
        "ECID",
        "CRMID",
    ),
    "an empty id": ('id = "d-server"', 'id = ""', 'id = ""', "id", ""),
    "an id with a space": (
        'id = "d-server"',
        'id = "d server"',
        'id = "d server"',
        "d server",
        "without spaces",
    ),
    "an id of 129 characters": (
        'id = "d-server"',
        'id = "' + "d" * 129 + '"',
        'id = "dddddddddddddd',
        "128",
        "",
    ),
    "an empty name": ('name = "Pages"', 'name = " "', 'name = " "', "name", "people"),
    "a name with a newline": ('name = "Pages"', 'name = "a\\nb"', 'name = "a\\nb"', "a\\nb", ""),
    "an id given twice": (
        'id = "d-server"',
        'id = "d-cms"',
        'id = "d-cms"',
        "two entries",
        "of its own",
    ),
    "a name given twice": (
        'name = "Gold with points"',
        'name = "Gold"',
        'name = "Gold"',
        "two entries",
        "of its own",
    ),
    "an alias with a capital": (
        'alias = "gold"',
        'alias = "Gold1"',
        'alias = "Gold1"',
        "Gold1",
        "short name",
    ),
    "an alias of 41 characters": (
        'alias = "gold"',
        'alias = "' + "g" * 41 + '"',
        'alias = "ggggggggggggggggggggggggggggggggggggggggg"',
        "39",
        "",
    ),
    "an alias that is another's name": (
        'name = "Gold with points"',
        'name = "gold"',
        'alias = "gold"',
        "also the name",
        "another alias",
    ),
    "an alias that is another's id": (
        'alias = "gold"',
        'alias = "a-both"',
        'alias = "a-both"',
        "also the id",
        "another alias",
    ),
    "an alias given twice": (
        'name = "Gold with points"',
        'name = "Gold with points"\nalias = "gold"',
        'alias = "gold"',
        "also the alias",
        "another alias",
    ),
    "an integration alias that starts with a digit": (
        '"serverAlias"',
        '"1st"',
        'integration_alias = "1st"',
        "1st",
        "personalizationAlias",
    ),
    "an integration alias used twice": (
        '"serverAlias"',
        '"personalizationAlias"',
        'integration_alias = "personalizationAlias"',
        "used twice",
        "another alias",
    ),
    "a destination without a datastream": (
        'integration_alias = "serverAlias"\ndatastream = "demo"',
        'integration_alias = "serverAlias"\ndatastream = "dmeo"',
        'datastream = "dmeo"',
        "“dmeo”",
        'Write "demo"',
    ),
    "an activation of an unknown audience": (
        'audience = "a-both"',
        'audience = "a-bth"',
        'audience = "a-bth"',
        "a-bth",
        'Write "a-both"',
    ),
    "an activation to an unknown destination": (
        'audience = "a-both"\ndestination = "d-cms"',
        'audience = "a-both"\ndestination = "zzz"',
        'destination = "zzz"',
        "zzz",
        "[[destination]]",
    ),
    "an end before its start": (
        "end_date = 2026-12-31",
        "end_date = 2025-12-31",
        "end_date = 2025-12-31",
        "2025-12-31",
        "both days",
    ),
    "an audience activated twice": (
        'audience = "a-both"',
        'audience = "a-gold"',
        'audience = "a-gold"',
        "twice",
        "Keep one",
    ),
    "attributes on the kind without": (
        'kind = "custom-personalization-with-attributes"',
        'kind = "custom-personalization"',
        "[[destination.attribute]]",
        "no attributes",
        "with-attributes",
    ),
    "a source with an empty part": (
        '"person.name.firstName"',
        '"person..firstName"',
        'source = "person..firstName"',
        "person..firstName",
        "dots",
    ),
    "a source that is no attribute": (
        '"person.name.firstName"',
        '"xEvent.eventType"',
        'source = "xEvent.eventType"',
        "xEvent",
        "profile put",
    ),
    "an empty target": (
        'target = "firstName"',
        'target = ""',
        'target = ""',
        "target",
        "firstName",
    ),
}


@pytest.mark.parametrize("name", ONE_FAULT)
def test_a_fault_is_told_once_at_its_line_with_what_to_write(name: str) -> None:
    before, after, line, detail, fix = ONE_FAULT[name]
    text = changed(before, after)

    fault = fault_of(text)

    assert line_of(text, fault).startswith(line)
    assert detail in fault.detail
    assert fix in fault.fix


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("null", "unknown pages"),
        ("*", "unknown pages"),
        ("https://*.shop.test", "unknown pages"),
        ("https://www.shop.test/", "no path"),
        ("https://www.shop.test/page", "no path"),
        ("www.shop.test", "scheme"),
        ("https://WWW.shop.test", "lower case"),
        ("https://user@shop.test", "scheme"),
        ("ftp://shop.test", "scheme"),
        ("https://shop.test:99999", "65535"),
        ("https://shop.test:443", "default port"),
        ("http://shop.test:80", "default port"),
        ("", "scheme"),
    ],
)
def test_an_origin_that_no_browser_sends_is_a_fault(origin: str, words: str) -> None:
    fault = fault_of(changed('"http://localhost:8080"', f'"{origin}"'))

    assert fault.line == 6
    assert words in fault.detail


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "https://[::1]:8443", "https://a"])
def test_an_origin_as_browsers_send_it_is_taken(origin: str) -> None:
    read = definitions_from_toml(changed('"http://localhost:8080"', f'"{origin}"'))

    assert read.datastreams[0].allowed_origins[1] == origin
