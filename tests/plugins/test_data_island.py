"""JSON that is handed to the page's script cannot end that script."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from perso_aiohttp import script_json

JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(), st.text("<>&'\"!-/ script\u2028")
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)


@given(JSON)
def test_any_value_comes_back_from_a_script_element_as_it_was(value: object) -> None:
    class Island(HTMLParser):
        text = ""

        def handle_data(self, data: str) -> None:
            self.text += data

    page = Environment(autoescape=True).from_string("<script>{{ data }}</script>")
    island = Island()
    island.feed(page.render(data=script_json(value)))
    island.close()

    assert json.loads(island.text) == value


@given(JSON)
def test_nothing_in_it_can_end_an_element_an_attribute_or_a_line(value: object) -> None:
    assert not set(script_json(value)) & set("<>&'\u2028\u2029\n")
    script_json(value).encode("ascii")


def test_a_closing_tag_in_a_value_stays_text() -> None:
    assert script_json({"t": "</script><!--"}) == r'{"t": "\u003c/script\u003e\u003c!--"}'


def test_what_json_cannot_say_is_an_error() -> None:
    with pytest.raises(ValueError, match="JSON"):
        script_json(float("nan"))
    with pytest.raises(TypeError):
        script_json({1, 2})
