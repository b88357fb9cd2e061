"""Every example in docs/plugins.md runs and does what the page says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment

from perso_ads import BadTargeting
from perso_aiohttp import BadCookieDomain
from perso_core import NoVisitor, PersoError, UnknownAudience
from perso_jinja import AudienceExtension
from tests.plugins.fake_site import visitor_in

DOCS = Path(__file__).parents[2] / "docs" / "plugins.md"


def examples(language: str) -> list[str]:
    """The page's code in that language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def names_of_the_examples() -> dict[str, Any]:
    """What all Python examples define, run one after the other as on the page."""
    names: dict[str, Any] = {"__name__": "example"}
    for number, example in enumerate(examples("python"), start=1):
        exec(compile(example, f"{DOCS.name}, example {number}", "exec"), names)
    return names


def test_every_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names = names_of_the_examples()
    printed = capsys.readouterr().out.strip()

    assert {"shop", "main", "signed_in", "forget_me", "shop_event"} <= names.keys()
    assert printed
    assert f"It prints `{printed}`." in DOCS.read_text(encoding="utf-8")


def test_the_page_of_the_first_example_takes_about_twenty_lines() -> None:
    first = examples("python")[0]

    assert len([line for line in first.splitlines() if line.strip()]) <= 20


def test_the_template_example_shows_each_of_its_branches() -> None:
    (source,) = examples("jinja")
    template = Environment(extensions=[AudienceExtension]).from_string(
        source.replace("basket-hour", "a-first").replace("price-sensitive", "a-again")
    )
    assert "in one" not in template.render()
    assert "everybody else" in template.render()
    assert "in both" in template.render(visitor=visitor_in("a-first", "a-again"))


def test_the_definitions_example_is_toml_of_one_datastream() -> None:
    (text,) = examples("toml")

    assert [datastream["id"] for datastream in tomllib.loads(text)["datastream"]] == ["shop"]


@pytest.mark.parametrize("error", [NoVisitor, UnknownAudience, BadCookieDomain, BadTargeting])
def test_each_error_a_plugin_raises_is_in_the_table(error: type[PersoError]) -> None:
    assert f"| `{error.code}` | {error.title} |" in DOCS.read_text(encoding="utf-8")
