"""docs/pql.md says what the code does: the grammar comes from the parser, the functions from the
table of signatures. `python -m tests.pql.test_docs` writes both anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perso_core.pql import parser
from perso_core.pql.compiler import compile_rule
from perso_core.pql.types import FUNCTIONS, METHODS

DOCS = Path(__file__).parents[2] / "docs" / "pql.md"
GRAMMAR_LINE = re.compile(r"^\w+ = ")


def grammar() -> str:
    """The grammar lines of the parser's docstrings, in the order of the source."""
    found = []
    for function in vars(parser.Parser).values():
        text = getattr(function, "__doc__", None) or ""
        if GRAMMAR_LINE.match(text):
            lines = text.split("\n\n")[0].rstrip().split("\n")
            found += [lines[0], *(line.strip() for line in lines[1:])]
    joined: list[str] = []
    for line in found:
        joined.append(line if GRAMMAR_LINE.match(line) else f"    {line}")
    return "\n".join(joined)


def functions() -> str:
    rows = ["| name | example | meaning |", "|---|---|---|"]
    for name, signature in sorted(
        {**METHODS, **FUNCTIONS}.items(), key=lambda pair: pair[0].lower()
    ):
        rows.append(f"| `{name}` | `{signature.example}` | {signature.says} |")
    return "\n".join(rows)


def between(text: str, name: str) -> str:
    return text.split(f"<!-- {name} -->\n")[1].split(f"\n<!-- end of {name} -->")[0]


def test_the_grammar_in_the_docs_is_the_parsers() -> None:
    assert between(DOCS.read_text(), "grammar") == f"```\n{grammar()}\n```"


def test_the_functions_in_the_docs_are_those_there_are() -> None:
    assert between(DOCS.read_text(), "functions") == functions()


@pytest.mark.parametrize("name", sorted({**METHODS, **FUNCTIONS}))
def test_the_example_of_a_function_compiles(name: str) -> None:
    signature = {**METHODS, **FUNCTIONS}[name]
    example = signature.example
    if name == "mapEntry":
        example = f"orders.groupBy(store).map((K, G) => {example})"

    assert compile_rule(example).evaluate({}, 0).until_ms > 0
    assert signature.says


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
