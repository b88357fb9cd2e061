"""`{% audience %}` in Jinja templates: who sees which branch."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import DictLoader, Environment, StrictUndefined, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment

from perso_core import UnknownAudience
from perso_jinja import AudienceExtension, Targeting
from tests.plugins.fake_site import FakeSite, visitor_in

BRANCHES = (
    '{% audience "a-first", "Gold" %}one{% elseaudience "again" %}two'
    "{% else %}none{% endaudience %}"
)


def environment(**options: Any) -> Environment:
    return Environment(extensions=[AudienceExtension], **options)


def rendered(source: str, **variables: Any) -> str:
    return environment(undefined=StrictUndefined).from_string(source).render(**variables)


@pytest.mark.parametrize(
    ("audiences", "shown"),
    [
        (("a-first",), "one"),
        (("a-gold",), "one"),
        (("a-again",), "two"),
        (("a-gold", "a-again"), "one"),
        ((), "none"),
    ],
)
def test_the_first_branch_with_an_audience_of_the_visitor_is_shown(
    audiences: tuple[str, ...], shown: str
) -> None:
    assert rendered(BRANCHES, visitor=visitor_in(*audiences)) == shown


@pytest.mark.parametrize("written", ["a-again", "again", "Returning"])
def test_an_audience_is_written_by_id_alias_or_name(written: str) -> None:
    source = '{% audience "' + written + '" %}in{% endaudience %}'

    assert rendered(source, visitor=visitor_in("a-again")) == "in"


@pytest.mark.parametrize("variables", [{}, {"visitor": None}, {"visitor": "somebody"}])
def test_a_page_without_a_visitor_shows_its_default(variables: dict[str, Any]) -> None:
    assert rendered(BRANCHES, **variables) == "none"


def test_all_asks_for_every_audience() -> None:
    source = '{% audience all "a-gold", "a-again" %}both{% else %}no{% endaudience %}'

    assert rendered(source, visitor=visitor_in("a-gold", "a-again")) == "both"
    assert rendered(source, visitor=visitor_in("a-gold")) == "no"


def test_all_works_in_a_later_branch_and_with_a_variable() -> None:
    source = '{% audience "a-first" %}x{% elseaudience all wanted %}both{% endaudience %}'
    both = ["a-gold", "a-again"]

    assert rendered(source, wanted=both, visitor=visitor_in("a-gold", "a-again")) == "both"
    assert rendered(source, wanted=both, visitor=visitor_in("a-gold")) == ""


@pytest.mark.parametrize("names", ['["a-gold", "a-again"]', '("a-" ~ "gold"), "a-again"'])
def test_all_stands_before_a_bracket_as_well(names: str) -> None:
    source = f"{{% audience all {names} %}}both{{% else %}}no{{% endaudience %}}"

    assert rendered(source, visitor=visitor_in("a-gold", "a-again")) == "both"
    assert rendered(source, visitor=visitor_in("a-gold")) == "no"


def test_a_variable_called_all_is_still_a_variable() -> None:
    source = "{% audience all %}in{% endaudience %}{% audience all, 'x' %}in{% endaudience %}"
    chosen = "{% audience all if true else 'x' %}in{% endaudience %}"

    assert rendered(source + chosen, all="a-gold", visitor=visitor_in("a-gold")) == "ininin"


def test_names_may_be_expressions_and_lists() -> None:
    source = "{% audience name, block.audiences, 'a-' ~ end %}in{% else %}out{% endaudience %}"

    def shown(**variables: Any) -> str:
        defaults: dict[str, Any] = {"name": "x", "block": {"audiences": []}, "end": "y"}
        return rendered(source, visitor=visitor_in("a-gold"), **(defaults | variables))

    assert shown() == "out"
    assert shown(name="Gold") == "in"
    assert shown(block={"audiences": ["again", "Gold"]}) == "in"
    assert shown(end="gold") == "in"


def test_a_variable_may_have_a_default_name() -> None:
    source = "{% audience name or 'Gold' %}in{% else %}out{% endaudience %}"

    assert rendered(source, name="", visitor=visitor_in("a-gold")) == "in"


BLOCKS = [{"audience": "again"}, {"audience": "Gold"}]
MAPPED = (
    '{% audience blocks|map(attribute="audience") %}in{% else %}out{% endaudience %}'
    '{% audience blocks|map(attribute="audience")|reject("equalto", "Gold") %}in{% else %}out'
    "{% endaudience %}"
)


def test_names_may_come_from_jinjas_filters() -> None:
    """They give generators; one had been taken for the name of an audience."""
    assert rendered(MAPPED, blocks=BLOCKS, visitor=visitor_in("a-gold")) == "inout"


async def test_names_may_come_from_the_filters_of_an_async_environment() -> None:
    template = environment(enable_async=True).from_string(MAPPED)

    shown = await template.render_async(blocks=BLOCKS, visitor=visitor_in("a-gold"))

    assert shown == "inout"


@pytest.mark.parametrize("word", ["", "all "])
def test_an_empty_list_of_names_is_nobody(word: str) -> None:
    source = "{% audience " + word + "names %}in{% else %}out{% endaudience %}"

    assert rendered(source, names=[], visitor=visitor_in("a-gold")) == "out"


def test_a_mistyped_variable_still_raises_where_the_author_asked_for_strictness() -> None:
    with pytest.raises(UndefinedError):
        rendered("{% audience nmae %}in{% endaudience %}", visitor=visitor_in("a-gold"))

    assert environment().from_string("{% audience nmae %}in{% endaudience %}").render() == ""


def test_a_name_nobody_defined_is_an_audience_that_nobody_is_in() -> None:
    assert rendered('{% audience "vpi" %}in{% else %}out{% endaudience %}') == "out"


def test_a_strict_environment_names_the_unknown_audience_and_its_line() -> None:
    jinja = environment(loader=DictLoader({"home.html": '\n{% audience "vpi" %}{% endaudience %}'}))
    jinja.perso_strict = True  # type: ignore[attr-defined]  # the extension adds it

    with pytest.raises(UnknownAudience, match=r"'vpi' \(home.html, line 2\)"):
        jinja.get_template("home.html").render(visitor=visitor_in("a-gold"))
    assert jinja.get_template("home.html").render().strip() == ""


def test_a_name_that_is_in_vain_does_not_hide_an_unknown_one_in_a_strict_environment() -> None:
    jinja = environment()
    jinja.perso_strict = True  # type: ignore[attr-defined]  # the extension adds it
    template = jinja.from_string('{% audience "a-gold", "vpi" %}{% endaudience %}')

    with pytest.raises(UnknownAudience):
        template.render(visitor=visitor_in("a-gold"))


def test_loops_assignments_and_blocks_scope_as_in_an_if() -> None:
    jinja = environment(
        loader=DictLoader(
            {
                "base": "{% block title %}base{% endblock %}",
                "page": '{% extends "base" %}{% block title %}'
                '{% audience "Gold" %}{% set greeting = "Hello" %}{% endaudience %}{{ greeting }}'
                "{% for n in [1, 2] %}"
                '{% audience "Gold" %}{{ loop.index }}{% if loop.last %}.{% endif %}'
                "{% endaudience %}"
                "{% endfor %}{% endblock %}",
            }
        )
    )

    assert jinja.get_template("page").render(visitor=visitor_in("a-gold")) == "Hello12."
    assert jinja.get_template("page").render() == ""


def test_tags_nest_with_each_other_and_with_if() -> None:
    source = (
        '{% audience "Gold" %}{% if yes %}{% audience "again" %}1{% else %}2{% endaudience %}'
        "{% else %}3{% endif %}{% else %}4{% endaudience %}"
    )

    assert rendered(source, yes=True, visitor=visitor_in("a-gold", "a-again")) == "1"
    assert rendered(source, yes=True, visitor=visitor_in("a-gold")) == "2"
    assert rendered(source, yes=False, visitor=visitor_in("a-gold")) == "3"
    assert rendered(source, yes=True, visitor=visitor_in()) == "4"


def test_a_visitor_set_in_the_template_or_handed_to_a_macro_is_the_one_asked() -> None:
    source = (
        "{% macro greet(visitor) %}{% audience 'Gold' %}in{% else %}out{% endaudience %}"
        "{% endmacro %}{{ greet(other) }}{{ greet(none) }}"
        "{% with visitor = other %}{% audience 'Gold' %}in{% endaudience %}{% endwith %}"
    )

    assert rendered(source, other=visitor_in("a-gold")) == "inoutin"


def test_an_included_template_sees_the_visitor() -> None:
    jinja = environment(
        loader=DictLoader({"part": BRANCHES, "page": '{% include "part" %}'}),
    )

    assert jinja.get_template("page").render(visitor=visitor_in("a-again")) == "two"


async def test_the_tag_works_in_an_async_environment() -> None:
    template = environment(enable_async=True, undefined=StrictUndefined).from_string(BRANCHES)

    assert await template.render_async(visitor=visitor_in("a-again")) == "two"
    assert await template.render_async() == "none"


async def test_the_tag_works_in_sandboxed_environments() -> None:
    for kind in (SandboxedEnvironment, ImmutableSandboxedEnvironment):
        for is_async in (False, True):
            jinja = kind(extensions=[AudienceExtension], enable_async=is_async)
            template = jinja.from_string(BRANCHES + "{{ targeting.state }}")
            variables = {"visitor": visitor_in("a-gold")}
            page = (
                await template.render_async(variables) if is_async else template.render(variables)
            )
            assert page == "oneknown"


def test_untrusted_authors_get_facts_that_lead_nowhere_else() -> None:
    jinja = SandboxedEnvironment(extensions=[AudienceExtension])
    facts = Targeting(visitor_in("a-gold"))

    assert jinja.from_string(BRANCHES).render(visitor=facts) == "one"
    with pytest.raises(SecurityError):
        jinja.from_string("{{ visitor._visitor.site }}").render(visitor=facts)


def test_an_overlay_keeps_the_tag() -> None:
    overlay = environment().overlay(autoescape=True)

    assert overlay.from_string(BRANCHES).render(visitor=visitor_in("a-gold")) == "one"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("\n{% audience %}x{% endaudience %}", "Name an audience"),
        ('\n{% audience "a" "b" %}x{% endaudience %}', "comma"),
        ('\n{% audience all "a" "b" %}x{% endaudience %}', "comma"),
        ('\n{% audience "a" %}{% else %}{% elseaudience "b" %}{% endaudience %}', "elseaudience"),
        ('\n{% audience "a" %}x', "endaudience"),
        # Jinja makes these one name, or none: who is in "b" alone saw what is for both.
        ('\n{% audience "a" or "b" %}x{% endaudience %}', "commas"),
        ('\n{% audience "a" and b and "c" %}x{% endaudience %}', "`all` in front"),
        ('\n{% audience "x", not "a" %}x{% endaudience %}', "names no audience"),
        ('\n{% audience "a" in visitor %}x{% endaudience %}', "names no audience"),
        ("\n{% audience a is defined %}x{% endaudience %}", "names no audience"),
        ('\n{% audience "a" %}{% elseaudience "b" or "c" %}{% endaudience %}', "commas"),
    ],
)
def test_a_tag_that_cannot_be_read_is_an_error_with_its_line(source: str, said: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=said) as raised:
        environment().from_string(source)
    assert raised.value.lineno == 2


def test_a_visitor_bound_to_an_alias_is_asked_for_that_alias() -> None:
    source = '{% audience "again" %}in{% else %}out{% endaudience %}'
    site = FakeSite()

    assert rendered(source, visitor=visitor_in("a-gold", "a-again", site=site)) == "in"
    bound = visitor_in("a-gold", "a-again", site=site, alias="ads")
    assert rendered(source, visitor=bound) == "out"
