"""Why one row of an import was not taken."""

from __future__ import annotations

from msgspec import Struct

SHOWN_CHARS = 80


class Refusal(Struct, frozen=True, omit_defaults=True):
    """line: 1-based; of Parquet the row. reason: what is wrong and what to write. lines: how many
    lines may be rows that were not taken either, this one with them."""

    line: int
    reason: str
    lines: int = 1


class RowRefused(Exception):
    """One row cannot be taken; the text says why and what to write."""


def shown(value: object) -> str:
    """A value as it is told back: on one line, and not long."""
    text = value if isinstance(value, str) else str(value)
    cut = text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"
    return '"' + "".join(one if one.isprintable() else ascii(one)[1:-1] for one in cut) + '"'
