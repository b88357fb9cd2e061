"""Where things stand in a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from perso_core.definitions.toml_places import Path, Place, Places

FILE = """\
org = "acme"  # a comment with = and [brackets]

[[audience]]
id = "gold"
pql = '''
loyalty.tier.equals(
  "gold")'''
'quoted key' = 1

[[audience]]
id = "silver"

[[destination]]
id = "slots"

[[destination.attribute]]
source = "a"

[[destination.attribute]]
source = "b"
origins = [
  "one", # a comment with ]
  "two",
]
inline = { first = "x", second = { third = [1, 2] } }
dotted.name.here = true
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("org",), 1),
        (("audience", 0), 3),
        (("audience", 0, "id"), 4),
        (("audience", 0, "pql"), 5),
        (("audience", 0, "quoted key"), 8),
        (("audience", 1, "id"), 11),
        (("destination", 0, "attribute", 0, "source"), 17),
        (("destination", 0, "attribute", 1, "source"), 20),
        (("destination", 0, "attribute", 1, "origins", 1), 23),
        (("destination", 0, "attribute", 1, "inline", "second"), 25),
        (("destination", 0, "attribute", 1, "dotted"), 26),
    ],
)
def test_a_key_or_table_is_found_on_its_line(path: Path, line: int) -> None:
    assert Places(FILE).line(path) == line


def test_a_key_that_is_missing_has_the_line_of_its_table() -> None:
    assert Places(FILE).line(("audience", 1, "name")) == 10


def test_a_key_missing_at_the_top_has_no_line() -> None:
    assert Places(FILE).line(("nothing",)) == 0


def test_windows_line_ends_change_no_line() -> None:
    assert Places(FILE.replace("\n", "\r\n")).line(("audience", 1, "id")) == 11


@pytest.mark.parametrize(
    ("text", "index", "place"),
    [
        ("pql = 'abc'", 1, Place(1, 9)),
        ('pql = "a\\"b"', 2, Place(1, 11)),
        ('pql = "\\u0041b"', 1, Place(1, 14)),
        ("pql = '''\nab\ncd'''", 3, Place(3, 1)),
        ('pql = """\nab\\\n   cd"""', 2, Place(3, 4)),
        ("pql = '''\r\nab\r\ncd'''", 3, Place(3, 1)),
        ("pql = ''''a'''''", 1, Place(1, 11)),
        ("pql = 'abc'", 99, Place(1, 11)),
        ("pql = ''", 0, Place(1, 8)),
    ],
)
def test_a_character_of_a_text_is_found_behind_quotes_and_escapes(
    text: str, index: int, place: Place
) -> None:
    assert Places(text).inside(("pql",), index) == place


def test_what_is_no_text_has_no_inside() -> None:
    assert Places("pql = 5").inside(("pql",), 0) is None


NAMES = st.text("ab.\"' \\[]{}=#é", max_size=4)
VALUES = st.recursive(
    st.text("ab\"'\n\\#[]{},=é\t", max_size=12) | st.booleans() | st.integers(0, 99),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)


@given(DOCUMENTS, st.booleans())
def test_every_value_of_every_document_is_found_where_it_is_written(
    document: dict[str, Any], multiline: bool
) -> None:
    text = tomli_w.dumps(document, multiline_strings=multiline)
    places = Places(text)
    lines = text.split("\n")
    for path, value in _texts(tomllib.loads(text), ()):
        assert places.line(path) > 0
        for index, character in enumerate(value):
            place = places.inside(path, index)
            assert place is not None
            seen = lines[place.line - 1][place.column - 1 :] or "\n"
            assert seen.startswith((character, "\\"))


def _texts(value: Any, path: Path) -> list[tuple[Path, str]]:
    if isinstance(value, str):
        return [(path, value)] if len(path) <= 6 else []
    if not isinstance(value, (dict, list)):
        return []
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [found for key, one in inner for found in _texts(one, (*path, key))]


def test_a_key_of_a_hundred_thousand_parts_is_survived() -> None:
    assert Places("a" + ".a" * 100_000 + " = 1\nb = 2").line(("b",)) == 2
