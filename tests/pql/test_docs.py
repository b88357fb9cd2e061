"""docs/pql.md says what the code does: the grammar comes from the parser, the functions from the
table of signatures. `python -m tests.pql.test_docs` writes both anew."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from perso_core.pql import parser
from perso_core.pql.cases import KEYS, alike, cases_from_json, run_case
from perso_core.pql.compiler import compile_rule
from perso_core.pql.instants import Moment, instant_of, iso
from perso_core.pql.types import FUNCTIONS, METHODS

DOCS = Path(__file__).parents[2] / "docs" / "pql.md"
SIGNATURES = {**METHODS, **FUNCTIONS}
NOW_MS = instant_of("2026-12-24T10:00:00Z") or 0
GRAMMAR_LINE = re.compile(r"^\w+ = ")


def grammar() -> str:
    """The grammar lines of the parser's docstrings: those of Parser, then those of its parts."""
    found = []
    parts = [part for kind in parser.Parser.__mro__ for part in vars(kind).values()]
    for function in parts:
        text = getattr(function, "__doc__", None) or ""
        if GRAMMAR_LINE.match(text):
            lines = text.split("\n\n")[0].rstrip().split("\n")
            found += [lines[0], *(line.strip() for line in lines[1:])]
    joined: list[str] = []
    for line in found:
        joined.append(line if GRAMMAR_LINE.match(line) else f"    {line}")
    return "\n".join(joined)


def functions() -> str:
    """The functions with what their examples give."""
    rows = ["| name | example | gives | meaning |", "|---|---|---|---|"]
    for name, signature in sorted(SIGNATURES.items(), key=lambda pair: pair[0].lower()):
        example = example_of(name)
        gives = written(given_by(example))
        rows.append(f"| `{name}` | `{example}` | `{gives}` | {signature.says} |")
    return "\n".join(rows)


def example_of(name: str) -> str:
    example = SIGNATURES[name].example
    if name == "mapEntry":
        return f"orders.groupBy(store).map((K, G) => {example})"
    return example


def written(value: Any) -> str:
    """As JSON, with an order by its id alone."""
    text = json.dumps(value, ensure_ascii=False)
    for order in profile()["orders"]:
        text = text.replace(json.dumps(order), order["id"])
    return text


def given_by(rule: str) -> Any:
    """What a rule gives for the documents' profile."""
    value = compile_rule(rule).value(profile(), NOW_MS)
    return iso(value.start) if isinstance(value, Moment) else value


def profile() -> dict[str, Any]:
    text = between(DOCS.read_text(), "profile").strip().removeprefix("```json").removesuffix("```")
    found: dict[str, Any] = json.loads(text)
    return found


def between(text: str, name: str) -> str:
    return text.split(f"<!-- {name} -->\n")[1].split(f"\n<!-- end of {name} -->")[0]


def test_the_grammar_in_the_docs_is_the_parsers() -> None:
    assert between(DOCS.read_text(), "grammar") == f"```\n{grammar()}\n```"


def test_the_functions_in_the_docs_are_those_there_are() -> None:
    assert between(DOCS.read_text(), "functions") == functions()


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_a_function_has_an_example_that_gives_something(name: str) -> None:
    """What it gives stands in the docs; the test above compares it."""
    assert given_by(example_of(name)) not in (None, [], {})
    assert SIGNATURES[name].says


def table(name: str) -> list[tuple[str, str]]:
    """The examples of a hand-written table and what they give."""
    rows = between(DOCS.read_text(), name).split("\n")[2:]
    found = [re.fullmatch(r"\|.*\| `(.+)` \| `(.+)` \|", row) for row in rows]
    return [(row[1], row[2]) for row in found if row]


@pytest.mark.parametrize(
    ("rule", "gives"), [row for name in ("forms", "times", "chains") for row in table(name)]
)
def test_an_example_in_the_docs_gives_what_stands_beside_it(rule: str, gives: str) -> None:
    got = given_by(rule)

    assert alike(json.loads(gives), got), got


def test_each_row_of_the_docs_tables_is_an_example() -> None:
    for name in ("forms", "times", "chains"):
        assert len(table(name)) == between(DOCS.read_text(), name).count("\n") - 1


def test_the_cases_shown_in_the_docs_pass() -> None:
    shown = next(
        text
        for text in re.findall(r"```json\n(.*?)\n```", DOCS.read_text(), re.DOTALL)
        if text.startswith("[")
    )

    outcomes = [run_case(case, cpu_ms=lambda: 0.0) for case in cases_from_json(shown)]

    assert len(outcomes) == 4
    assert [outcome for outcome in outcomes if not outcome.passed] == []


def test_the_docs_say_which_keys_a_case_has() -> None:
    text = DOCS.read_text().split("### `perso audience test`")[1].split("\n### ")[0]
    rows = [row.split("|")[1] for row in text.split("\n") if row.startswith("| `")]

    assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} | {"audience"} == KEYS


def test_every_rule_shown_in_the_docs_compiles() -> None:
    shown = re.findall(r"```pql\n(.*?)\n```", DOCS.read_text(), re.DOTALL)

    assert shown
    for text in shown:
        for rule in text.split("\n\n"):
            assert compile_rule(rule).text == rule


def write() -> None:
    text = DOCS.read_text()
    for name, made in (("grammar", f"```\n{grammar()}\n```"), ("functions", functions())):
        text = text.replace(between(text, name), made)
    DOCS.write_text(text)


if __name__ == "__main__":
    write()
