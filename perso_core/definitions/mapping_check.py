"""Whether what destinations map is a single value, as far as the schema tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perso_core.definitions.destination import Destination
from perso_core.definitions.finding import Finding, shown
from perso_core.pql.fields import FieldType, field

_NO_LEAF = {"list": "a list", "object": "an object"}


def check_leaves(destinations: Sequence[Destination], profile: FieldType) -> Iterator[Finding]:
    """A finding for each mapped field that the schema says is a list or an object."""
    for index, destination in enumerate(destinations):
        for position, mapping in enumerate(destination.attributes):
            kind = _kind(mapping.source, profile)
            if kind in _NO_LEAF:
                yield Finding(
                    path=("destination", index, "attribute", position, "source"),
                    detail=f"The source {shown(mapping.source)} is {_NO_LEAF[kind]}, and an"
                    " attribute is a single value.",
                    fix="Map a field in it that is text, a number, true or false.",
                )


def _kind(source: str, profile: FieldType) -> str:
    """What the schema knows to be at a path; "any" where it knows nothing."""
    known: FieldType | None = profile
    for name in source.split("."):
        known = field(known, name) if known else None
    return known.kind if known else "any"
