"""docs/performance.md says what was measured."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from bench.figures import RESULTS
from bench.pictures import (
    BLOCK,
    GROWTHS,
    OTHERS,
    PAGE,
    PICTURES,
    figures,
    page_with,
    picture,
    results_from,
    times,
)

AGAIN = "Run `python -m bench.pictures` and commit what it wrote."

PAGE_TEXT = PAGE.read_text(encoding="utf-8")
KNOWN = results_from(RESULTS.read_text(encoding="utf-8"))
COMMITS = {found[1]: found[2] for found in BLOCK.finditer(PAGE_TEXT)}


def test_the_pages_tables_are_of_figures_that_were_measured() -> None:
    assert COMMITS.keys() == {*GROWTHS, *OTHERS}
    assert page_with(PAGE_TEXT, KNOWN, COMMITS) == PAGE_TEXT, AGAIN


@pytest.mark.parametrize("name", GROWTHS)
def test_the_pages_pictures_are_of_the_figures_in_its_tables(name: str) -> None:
    drawn = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")

    assert drawn == picture(name, KNOWN, COMMITS[name]), AGAIN


@pytest.mark.parametrize("name", GROWTHS)
def test_another_figure_makes_another_table_and_picture(name: str) -> None:
    other = [{**one, "value": 7.7} if one["name"] == figures(name)[-1] else one for one in KNOWN]

    assert page_with(PAGE_TEXT, other, COMMITS) != PAGE_TEXT
    assert picture(name, other, COMMITS[name]) != picture(name, KNOWN, COMMITS[name])


@pytest.mark.parametrize("name", GROWTHS)
def test_a_picture_says_in_words_what_it_shows_and_is_small(name: str) -> None:
    drawn = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(drawn)

    said = {one.tag.rpartition("}")[2]: one.text for one in root}
    assert said["title"] == GROWTHS[name].title
    assert all(one.what in str(said["desc"]) for one in GROWTHS[name].series)
    assert "prefers-color-scheme: dark" in str(said["style"])
    assert len(drawn) < 5_000
    assert re.search(rf"!\[[^\]]{{60,}}\]\(performance/{name}\.svg\)", PAGE_TEXT), "no alternative"


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.025, "1 ×"), (1.568, "1.6 ×"), (8.357, "8.4 ×"), (20.34, "20 ×"), (104.1, "100 ×")],
)
def test_figures_are_told_as_exactly_as_they_are_known(value: float, said: str) -> None:
    assert times(value) == said
