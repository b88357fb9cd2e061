"""The inspector and the templates agree on which audiences a place asks for."""

from __future__ import annotations

import re

from demo_site.cms.audiences import audiences_from
from demo_site.cms.places import PLACES
from demo_site.cms.shop import environment
from perso_jinja import lint
from tests.demo.browser import ROOT

TEMPLATE = ROOT / "demo_site/cms/templates/places.html"
_MACROS = {"A": "banner", "B": "offer", "D": "article_order"}


def test_every_audience_that_a_template_names_is_defined() -> None:
    names = {card.alias for card in audiences_from().cards}

    assert lint(environment(), names) == []


def test_a_place_lists_the_audiences_that_its_template_asks_for_in_that_order() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    for letter, macro in _MACROS.items():
        found = re.search(rf"macro {macro}\(\) %}}(.*?){{% endmacro", text, re.DOTALL)
        assert found, macro
        asked = re.findall(r'{% (?:else)?audience "([^"]+)" %}', found[1])
        assert tuple(asked) == PLACES[letter].looks_at


def test_a_place_says_that_it_shows_the_audience_that_it_asked_for() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")

    shown = re.findall(r'audience "([^"]+)" %}\n{{ \w+\("([^"]+)"', text)

    assert len(shown) == sum(len(place.looks_at) for place in PLACES.values())
    assert [pair for pair in shown if pair[0] != pair[1]] == []
