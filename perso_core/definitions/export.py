"""Definitions written back as a file that definitions_from_toml reads to the same value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tomli_w
from msgspec import Struct, structs

from perso_core.definitions.audience import Audience
from perso_core.definitions.document import Definitions
from perso_core.definitions.schema_table import schema_to_table


def definitions_to_toml(definitions: Definitions) -> str:
    """The file's text. What is empty or None is left out; the rest is written, also where it is
    the default, so that a reader sees what is in force."""
    # tomli_w drops the carriage return of CR LF from a text of several lines: where there is one,
    # every text is written on one line, with escapes.
    texts = [text for one in definitions.audiences for text in (one.pql, one.description)]
    texts += [one.description for one in definitions.destinations]
    texts += [one.jwks for one in definitions.issuers]
    several_lines = not any("\r\n" in text for text in texts)
    # tomli_w writes short tables of a list as one inline array: we give it one table at a time.
    written = [tomli_w.dumps({"org": definitions.org})]
    schema = schema_to_table(definitions.schema)
    if schema:
        written.append(tomli_w.dumps({"schema": schema}))
    for header, entry in _entries(definitions):
        table = tomli_w.dumps(_table(entry), multiline_strings=several_lines)
        written.append(f"[[{header}]]\n{table}")
    return "\n".join(written)


def _entries(definitions: Definitions) -> Iterator[tuple[str, Struct]]:
    """(header, what stands below it), in the order of the file."""
    yield from (("datastream", one) for one in definitions.datastreams)
    for destination in definitions.destinations:
        yield "destination", destination
        yield from (("destination.attribute", one) for one in destination.attributes)
    yield from (("audience", one) for one in definitions.audiences)
    yield from (("activation", one) for one in definitions.activations)
    yield from (("issuer", one) for one in definitions.issuers)


def _table(entry: Struct) -> dict[str, Any]:
    left_out = {"attributes"}  # a destination's have headers of their own
    if isinstance(entry, Audience):
        # The rule of an external one is made from its id; of any other it says where it comes from.
        left_out |= {"pql", "edge"} if entry.source == "external" else {"source"}
    return {
        name: value
        for name, value in structs.asdict(entry).items()
        # An issuer whose tokens may do nothing more is not one that says nothing of it.
        if value is not None and (value not in ("", ()) or name == "may") and name not in left_out
    }
