"""A schema is read from its lines, checked, and made into what rules are checked with."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perso_core.definitions.document import Definitions
from perso_core.definitions.export import definitions_to_toml
from perso_core.definitions.schema import Field, FieldWord, Schema, check_schema, field_types
from perso_core.definitions.toml_file import definitions_from_toml
from perso_core.errors import DefinitionFault
from perso_core.pql.fields import KNOWN
from tests.definitions.whole import WHOLE, faults_of, line_of

ORG = 'org = "acme"\n\n'


def schema_of(lines: str) -> Schema:
    return definitions_from_toml(ORG + lines).schema


def fault_of(lines: str) -> tuple[str, DefinitionFault]:
    """The line that is told, and the fault."""
    (fault,) = faults_of(ORG + lines)
    return line_of(ORG + lines, fault), fault


def with_schema(lines: str) -> str:
    return WHOLE.replace("[[datastream]]", f"{lines}\n[[datastream]]", 1)


# ---- what is read ------------------------------------------------------------


def test_a_line_is_a_path_and_a_type_or_the_values() -> None:
    schema = schema_of(
        '[schema.profile]\n"loyalty.tier" = ["gold", "silver"]\n"orders[].price" = "number"\n'
        "hour = [6, 7.5]\n"
        '[schema.event]\npage = "text"\n[schema]\nclosed = true\n'
    )

    assert schema == Schema(
        profile=(
            Field(path="loyalty.tier", type="text", values=("gold", "silver")),
            Field(path="orders[].price", type="number"),
            Field(path="hour", type="number", values=(6, 7.5)),
        ),
        event=(Field(path="page", type="text"),),
        closed=True,
    )


def test_a_path_may_do_without_quotes() -> None:
    bare = "[schema.event]\ndevice.type = \"text\"\nweb.page.name = 'text'\n"
    quoted = '[schema.event]\n"device.type" = "text"\n"web.page.name" = "text"\n'

    assert schema_of(bare) == schema_of(quoted)


def test_a_file_without_a_schema_knows_what_perso_writes() -> None:
    assert field_types(schema_of("")) is KNOWN


def test_equal_schemas_give_one_value_for_the_checker() -> None:
    text = '[schema.profile]\na = "text"\n'

    assert field_types(schema_of(text)) is field_types(schema_of(text))


def test_what_is_not_told_of_stays_open_in_a_closed_schema() -> None:
    types = field_types(schema_of('[schema]\nclosed = true\n[schema.profile]\na = "text"\n'))

    assert types.profile.rest is None
    assert types.event.rest is not None


def test_an_object_has_fields_of_any_name_besides_those_told() -> None:
    types = field_types(
        schema_of(
            '[schema]\nclosed = true\n[schema.profile]\na = "object"\n"a.b" = "text"\nc.d = "text"'
        )
    )

    assert types.profile.fields["a"].rest is not None
    assert types.profile.fields["c"].rest is None


def test_the_event_types_may_be_listed() -> None:
    types = field_types(schema_of('[schema.event]\neventType = ["view", "buy"]\n'))

    assert types.event.fields["eventType"].values == ("view", "buy")
    assert types.event.fields["timestamp"].kind == "instant"


# ---- what is wrong -----------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "line", "detail", "fix"),
    [
        ('[schema.profile]\na = "txt"\n', 'a = "txt"', "no type “txt”", 'Write "text".'),
        ('[schema.profile]\na = "String"\n', "a =", "no type “String”", 'Write "text".'),
        ('[schema.profile]\na = "double"\n', "a =", "“double”", 'Write "number".'),
        ('[schema.profile]\na = "list of text"\n', "a =", "“list of text”", '"a[]" = "text"'),
        ('[schema.profile]\na = "qqq"\n', "a =", "“qqq”", "Write one of text, number"),
        ('[schema.profile]\n"a.b" = 7\n', '"a.b" = 7', "“a.b” is 7, a whole number", '= "text"'),
        ("[schema.profile]\na = []\n", "a = []", "a list; a type", '= "text"'),
        ('[schema.profile]\na = ["x", 1]\n', "a =", "not all texts", '["gold", "silver"]'),
        ("[schema.profile]\na = [nan]\n", "a =", "not all texts", "[1, 2, 3]"),
        ("[schema.profile]\na = [true]\n", "a =", "not all texts", "[1, 2, 3]"),
        (
            '[schema.profile]\n"a.b" = { type = "text", values = ["x"] }\n',
            '"a.b" = {',
            "a table; a type",
            '"a.b" = "text"',
        ),
        ('[schema.profile]\n"a..b" = "text"\n', '"a..b"', "not a path", "dots between"),
        ('[schema.profile]\n"a[" = "text"\n', '"a["', "not a path", "orders[].price"),
        ('[schema.profile]\n"" = "text"\n', '""', "not a path", "dots between"),
        (
            '[schema.profile]\n"a" = "text"\n"a.b" = "text"\n',
            '"a.b"',
            "told to be text already",
            "Keep one",
        ),
        ('[schema.profile]\n"a[].b" = "text"\n"a.c" = "text"\n', '"a.c"', "a list", "write []"),
        ('[schema.profile]\n"a.c" = "text"\n"a[].b" = "text"\n', '"a[].b"', "an object", "[]"),
        ('[schema.profile]\n"a.b" = "text"\n"a" = "text"\n', '"a" =', "an object", "Keep one"),
        ('[schema.profile]\n"a[]" = "text"\n"a" = "text"\n', '"a" =', "a list", "Keep one"),
        (
            '[schema.profile]\nb.c = "text"\n"b.c" = "number"\n',
            '"b.c"',
            "told to be text already",
            "Keep one",
        ),
        ('[schema.event]\ntimestamp = "text"\n', "timestamp", "by Perso itself", "Take it out."),
        ('[schema.event]\neventType = "number"\n', "eventType", "by Perso itself", "Take it out."),
        ('[schema.profile]\n"xEvent[].a" = "text"\n', '"xEvent', "by Perso itself", "Take it"),
        ('[schema.profile]\nidentityMap.a = "any"\n', "identityMap", "by Perso", "Take it out."),
        ('[schema]\nclosed = "yes"\n', "closed", "closed is “yes”", "closed = true"),
        ("[schema]\nopen = true\n", "open", "no key “open”", "known here: closed, profile, event"),
        ("[[schema]]\nclosed = true\n", "[[schema]]", "schema is a list", "[schema] once"),
        ('[schema]\nprofile = "x"\n', "profile", "profile is “x”", "[schema.profile]"),
    ],
)
def test_a_fault_is_told_once_at_its_line_with_what_to_write(
    lines: str, line: str, detail: str, fix: str
) -> None:
    told, fault = fault_of(lines)

    assert told.startswith(line)
    assert detail in fault.detail
    assert fix in fault.fix


def test_a_fault_finds_its_line_where_the_path_has_no_quotes() -> None:
    told, _ = fault_of('[schema.profile]\na = "text"\nb.c.d = "text"\nb.c.e.f = "txet"\n')

    assert told.startswith("b.c.e.f")


def test_limits_are_told_with_their_number() -> None:
    fields = "".join(f'f{at} = "text"\n' for at in range(5_001))
    values = ", ".join(f'"v{at}"' for at in range(1_001))
    deep = ".".join("a" * 33)

    assert "5,000 is the limit" in fault_of(f"[schema.profile]\n{fields}")[1].detail
    assert "1,000 is the limit" in fault_of(f"[schema.profile]\na = [{values}]\n")[1].detail
    assert "32 names" in fault_of(f'[schema.profile]\n"{deep}" = "text"\n')[1].detail


def test_definitions_made_elsewhere_are_checked_as_well() -> None:
    schema = Schema(event=(Field(path="a", type="boolean", values=("x",)),))

    (finding,) = check_schema(schema)
    assert finding.path == ("schema", "event", "a")


# ---- rules -------------------------------------------------------------------

LOYALTY = '[schema.profile]\nloyalty.tier = ["gold", "silver"]\nloyalty.points = "number"\n'


def test_a_rule_is_checked_against_the_schema_of_its_file() -> None:
    text = with_schema(LOYALTY).replace("loyalty.points > 10", 'loyalty.points > "10"')
    text = text.replace('equals("gold", false)', 'equals("glod", false)')

    faults = faults_of(text)

    assert [line_of(text, fault)[:8] for fault in faults] == ["pql = 'l", "and loya"]
    assert '“Gold”: No value of loyalty.tier does this with "glod"' in faults[0].detail
    line, caret = faults[0].excerpt.split("\n")
    assert line[caret.index("^") :].startswith('"glod"')


def test_an_unknown_field_of_a_closed_schema_is_told_with_the_one_that_was_meant() -> None:
    text = with_schema(f"[schema]\nclosed = true\n\n{LOYALTY}")

    (fault,) = faults_of(text.replace("loyalty.points > 10", "loyalty.pionts > 10"))

    assert "The schema has no field loyalty.pionts" in fault.detail
    assert fault.fix == "Write loyalty.points, or add loyalty.pionts to the schema."


def test_a_file_without_a_schema_refuses_what_can_never_hold_of_an_event() -> None:
    text = WHOLE.replace("loyalty.points > 10", "xEvent[eventType = 5].count() > 0")

    (fault,) = faults_of(text)
    assert "eventType is a text; it is never equal to a number" in fault.detail


def test_a_fault_of_the_schema_is_told_before_any_rule_is_held_to_it() -> None:
    text = with_schema(LOYALTY.replace('"number"', '"numbr"').replace('"gold"', '"gold", 1'))

    assert len(faults_of(text)) == 2


# ---- export ------------------------------------------------------------------

NAMES = st.sampled_from(["a", "_acme", "nick name", "morning-brief", "größe"])
WORDS = st.sampled_from(get_args(FieldWord))
VALUES = st.lists(st.text(max_size=5), min_size=1, max_size=3).map(tuple) | st.lists(
    st.integers(-5, 5) | st.floats(-1, 1), min_size=1, max_size=3
).map(tuple)
ENDS = st.sampled_from(["", "[]", ".*", ".b", "[].b.c", ".*.d"])


@st.composite
def fields(draw: st.DrawFn, prefix: str) -> tuple[Field, ...]:
    found = []
    for at, (name, end) in enumerate(draw(st.lists(st.tuples(NAMES, ENDS), max_size=4))):
        path = f"{prefix}{at}.{name}{end}"
        values = draw(VALUES)
        if draw(st.booleans()):
            found.append(Field(path=path, type=draw(WORDS)))
        elif isinstance(values[0], str):
            found.append(Field(path=path, type="text", values=values))
        else:
            found.append(Field(path=path, type="number", values=values))
    return tuple(found)


@settings(max_examples=80)
@given(st.none() | fields("p"), st.none() | fields("e"), st.booleans())
def test_an_exported_schema_reads_back_to_the_same(
    profile: tuple[Field, ...] | None, event: tuple[Field, ...] | None, closed: bool
) -> None:
    schema = Schema(profile=profile, event=event, closed=closed)
    definitions = Definitions(org="acme", schema=schema)

    assert definitions_from_toml(definitions_to_toml(definitions)) == definitions


def test_no_schema_is_exported_where_there_is_none() -> None:
    assert "schema" not in definitions_to_toml(Definitions(org="acme"))
