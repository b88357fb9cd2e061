"""The template variable `targeting`: facts about the visitor, which never raise."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import DictLoader, Environment, FunctionLoader, StrictUndefined
from msgspec import structs

from perso_core import (
    AudienceReason,
    DestinationLookup,
    Lookup,
    SetCookie,
    StoreUnavailable,
    Visitor,
)
from perso_jinja import AudienceExtension, UnknownName, lint
from tests.plugins.fake_site import NAMES, FakeSite, visitor_in


def rendered(source: str, **variables: Any) -> str:
    jinja = Environment(extensions=[AudienceExtension], undefined=StrictUndefined)
    return jinja.from_string(source).render(**variables)


def test_it_tells_audiences_membership_and_state() -> None:
    source = (
        "{{ targeting.audiences|sort|join(' ') }} {{ 'Gold' in targeting }}"
        " {{ 'a-first' in targeting }} {{ targeting.state }}"
    )

    visitor = visitor_in("a-gold", "a-again")
    assert rendered(source, visitor=visitor) == "a-again a-gold True False known"


def test_without_a_visitor_it_is_empty() -> None:
    source = (
        "{{ targeting.audiences|length }} {{ 'Gold' in targeting }} {{ targeting.state }}"
        " {{ targeting.reason('Gold').holds }} {{ targeting.reason('Gold').sentence }}"
    )

    assert rendered(source) == (
        "0 False unavailable False This page was rendered without a visitor."
    )


def test_a_reason_is_a_sentence() -> None:
    source = "{{ targeting.reason('Gold').sentence }} {{ targeting.reason('again').sentence }}"

    assert rendered(source, visitor=visitor_in("a-gold")) == "Gold: True. Returning: False."


def test_a_reason_for_a_name_that_nobody_defined_says_so() -> None:
    source = "{{ targeting.reason('vpi').sentence }}"

    assert rendered(source, visitor=visitor_in("a-gold")) == "No audience is called vpi."


def test_what_is_no_name_is_no_audience_and_breaks_no_page() -> None:
    source = (
        "{{ targeting.reason(['Gold']).sentence }} {{ targeting.is_defined(['Gold']) }}"
        " {{ ['Gold'] in targeting }}"
    )

    told = rendered(source, visitor=visitor_in("a-gold"))

    assert told == "No audience is called ['Gold']. False False"


@pytest.mark.parametrize("printed", ["targeting", "visitor"])
def test_a_page_that_prints_all_of_it_tells_no_proof_and_no_attribute(printed: str) -> None:
    """The cookie that proves a visitor, and attributes for servers alone, stood in the page."""
    entry = DestinationLookup("d-crm", "crm", ("a-gold",), attributes={"email": "ada@uni.test"})
    visitor = structs.replace(
        visitor_in("a-gold"),
        ecid="ecid-4711",
        profile_key="ECID:ecid-4711",
        lookup=Lookup((entry,), until_ms=0),
        cookies=(SetCookie("proof", "mac-4711"),),
    )

    page = rendered("{{ " + printed + " }}", visitor=visitor)

    assert "state='known'" in page
    assert "audiences=['a-gold']" in page
    assert "4711" not in page
    assert "ada@uni.test" not in page


def test_a_reason_that_cannot_be_told_does_not_break_the_page() -> None:
    class Mute(FakeSite):
        def reason(self, visitor: Visitor, audience_id: str, alias: str) -> AudienceReason:
            raise StoreUnavailable("it is away.", fix="Wait.")

    visitor = structs.replace(visitor_in("a-gold"), site=Mute())
    page = rendered("{{ targeting.reason('Gold').sentence }}", visitor=visitor)

    assert page == "The reason cannot be told now. The store is not available."


def test_a_variable_of_that_name_that_the_page_was_given_stands() -> None:
    assert rendered("{{ targeting }}", targeting="mine", visitor=visitor_in()) == "mine"


def test_two_renders_of_one_template_do_not_share_a_visitor() -> None:
    template = Environment(extensions=[AudienceExtension]).from_string("{{ 'Gold' in targeting }}")

    assert [template.render(visitor=visitor_in("a-gold")), template.render()] == ["True", "False"]


async def test_it_works_in_async_environments_and_in_includes() -> None:
    jinja = Environment(
        extensions=[AudienceExtension],
        enable_async=True,
        loader=DictLoader(
            {"part": "{{ targeting.state }}", "page": "{% include 'part' %}{{ targeting.state }}"}
        ),
    )

    page = await jinja.get_template("page").render_async(visitor=visitor_in())
    assert page == "knownknown"


def test_a_lint_finds_every_literal_name_that_no_audience_has() -> None:
    jinja = Environment(
        extensions=[AudienceExtension],
        loader=DictLoader(
            {
                "b.html": '\n{% audience "Gold",\n "vpi" %}{% elseaudience all "x", y %}'
                "{% endaudience %}",
                "a.html": "{{ 'golden' in targeting }}{{ 'brass' not in visitor }}\n"
                "{{ targeting.reason('silver').sentence }}{{ 'anything' in other }}"
                "{% audience ['Gold', 'tin'] if x else 'lead' %}{% endaudience %}",
                "c.css": "body {}",
            }
        ),
    )

    assert lint(jinja, [*NAMES, *NAMES.values()]) == [
        UnknownName("a.html", 1, "brass"),
        UnknownName("a.html", 1, "golden"),
        UnknownName("a.html", 2, "lead"),
        UnknownName("a.html", 2, "silver"),
        UnknownName("a.html", 2, "tin"),
        UnknownName("b.html", 2, "vpi"),
        UnknownName("b.html", 3, "x"),
    ]


def test_a_lint_of_sound_templates_finds_nothing() -> None:
    jinja = Environment(
        extensions=[AudienceExtension],
        loader=DictLoader({"a": '{% audience "Gold" %}{% endaudience %}'}),
    )

    assert lint(jinja, ["Gold"]) == []


def test_a_lint_needs_a_loader_that_can_list() -> None:
    with pytest.raises(TypeError):
        lint(Environment(extensions=[AudienceExtension], loader=FunctionLoader(str)), [])
