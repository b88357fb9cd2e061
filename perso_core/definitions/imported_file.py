"""Audiences that were imported, written into a definitions file."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

from perso_core.definitions.audience import Audience
from perso_core.definitions.document import Definitions
from perso_core.definitions.export import definitions_to_toml
from perso_core.definitions.toml_places import parsed

ALONE = (
    "# Audiences that were imported, and nothing else. `perso apply` puts in force what a file\n"
    "# holds and takes all else out: add a datastream and destinations, or import again with\n"
    "# --merge and the definitions file that you have.\n"
)


def new_file(definitions: Definitions) -> str:
    """A file of imported audiences alone."""
    return f"{ALONE}\n{definitions_to_toml(definitions)}"


def added_to(text: str, audiences: Sequence[Audience]) -> str | None:
    """A definitions file's text with audiences after all that stands in it, comments included.

    None: they cannot be added so, because the file lists its audiences in one value.
    """
    if not audiences:
        return text
    tables = definitions_to_toml(Definitions(org="", audiences=tuple(audiences)))
    tables = tables[tables.index("[[audience]]") :]
    ended = "" if text.endswith("\n") else "\n"
    added = f"{ended}\n{tables}"
    joined = text + (added.replace("\n", "\r\n") if "\r\n" in text else added)
    return joined if _adds_only(text, joined, tables) else None


def _adds_only(before: str, joined: str, tables: str) -> bool:
    """Whether the joined text says what was said before, and the tables."""
    try:
        whole = parsed(joined.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError:
        return False
    expected = parsed(before.removeprefix("\ufeff"))
    expected["audience"] = [*expected.get("audience", []), *parsed(tables)["audience"]]
    return whole == expected
