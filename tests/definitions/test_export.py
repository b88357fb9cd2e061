"""Definitions are written as a file that reads back to the same definitions."""

from __future__ import annotations

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from perso_core.definitions.activation import Activation
from perso_core.definitions.audience import Audience
from perso_core.definitions.datastream import Datastream
from perso_core.definitions.destination import AttributeMapping, Destination
from perso_core.definitions.document import Definitions
from perso_core.definitions.export import definitions_to_toml
from perso_core.definitions.toml_file import definitions_from_toml
from tests.definitions.whole import WHOLE

PRINTABLE = st.characters(min_codepoint=33, max_codepoint=0x2FFF).filter(str.isprintable)
IDS = st.text(PRINTABLE, min_size=1, max_size=12)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
DAYS = st.dates(date(1970, 1, 1), date(9999, 12, 30))
# Layout that a rule may have: all of it must come back as it was.
GAPS = st.text(" \t\n\r", min_size=1, max_size=4)
RULES = st.builds(
    "loyalty.tier{}={}{}".format, GAPS, GAPS, st.sampled_from(['"a\\"b"', '"é"', "7"])
)


@st.composite
def some_definitions(draw: st.DrawFn) -> Definitions:
    """Definitions without a fault."""
    ids = draw(st.lists(IDS, min_size=8, max_size=8, unique=True))
    audiences = tuple(
        Audience(
            id=f"a{number}-{audience_id}",
            name=f"n{number} {audience_id}",
            pql=draw(RULES),
            alias=draw(st.sampled_from([None, f"alias-{number}"])),
            description=draw(ANY_TEXT),
            edge=draw(st.sampled_from(["local", "edge-2025", "edge-classic"])),
            event_window_days=draw(st.none() | st.integers(1, 3_650)),
        )
        for number, audience_id in enumerate(ids[: draw(st.integers(0, 3))])
    )
    datastreams = tuple(
        Datastream(
            id=datastream_id,
            name=datastream_id,
            enabled=draw(st.booleans()),
            edge_segmentation=draw(st.booleans()),
            allowed_origins=tuple(draw(st.sets(st.sampled_from(["https://a.b", "http://c:81"])))),
            default_consent=draw(st.sampled_from(["in", "pending", "out"])),
            tcf_vendor=draw(st.integers(1, 65_535)),
            tcf_purposes=tuple(draw(st.lists(st.integers(1, 24), min_size=1, max_size=3))),
            consent_strings_opt_in=draw(st.booleans()),
            identity_priority=tuple(draw(st.sets(st.sampled_from(["CRMID", "loyalty"])))),
        )
        for datastream_id in ids[: draw(st.integers(1, 2))]
    )
    mappings = tuple(
        AttributeMapping(source=f"_acme.a-{number}", target=target)
        for number, target in enumerate(ids[: draw(st.integers(0, 4))])
    )
    destinations = tuple(
        Destination(
            id=destination_id,
            kind="custom-personalization-with-attributes",
            name=destination_id,
            integration_alias=f"alias.{number}",
            datastream=draw(st.sampled_from(datastreams)).id,
            description=draw(ANY_TEXT),
            advertising=draw(st.booleans()),
            attributes=mappings,
        )
        for number, destination_id in enumerate(ids[: draw(st.integers(1, 2))])
    )
    return Definitions(
        org=draw(st.sampled_from(["acme", "5BFE274A5F6980A50A495C08@AdobeOrg"])),
        datastreams=datastreams,
        destinations=destinations,
        audiences=audiences,
        activations=tuple(
            _activation(audience, destination, draw)
            for audience in audiences
            for destination in destinations
        ),
    )


def _activation(audience: Audience, destination: Destination, draw: st.DrawFn) -> Activation:
    start, end = sorted((draw(DAYS), draw(DAYS)))
    return Activation(
        audience=audience.id,
        destination=destination.id,
        start_date=draw(st.sampled_from([None, start])),
        end_date=draw(st.sampled_from([None, end])),
    )


@settings(max_examples=60)
@given(some_definitions())
def test_what_is_exported_reads_back_to_the_same_definitions(definitions: Definitions) -> None:
    assert definitions_from_toml(definitions_to_toml(definitions)) == definitions


def test_a_rule_of_several_lines_is_exported_as_several_lines() -> None:
    text = definitions_to_toml(definitions_from_toml(WHOLE))

    assert '"""\ninSegment(' in text
    assert "\nand loyalty.points > 10" in text


def test_every_entry_is_exported_below_a_header_of_its_own() -> None:
    text = definitions_to_toml(definitions_from_toml(WHOLE))

    headers = [line for line in WHOLE.split("\n") if line.startswith("[[")]
    assert [line for line in text.split("\n") if line.startswith("[[")] == headers


def test_a_carriage_return_in_a_rule_survives_the_export() -> None:
    rule = "loyalty.points\r\n> 10"
    definitions = Definitions(org="acme", audiences=(Audience(id="a", name="A", pql=rule),))

    assert definitions_from_toml(definitions_to_toml(definitions)).audiences[0].pql == rule


def test_what_is_empty_is_left_out_of_the_export() -> None:
    text = definitions_to_toml(definitions_from_toml(WHOLE))

    assert "description" not in text
    assert "end_date" in text
