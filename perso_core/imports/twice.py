"""A name that stands twice in an object of JSON: which of the two is meant nobody knows."""

from __future__ import annotations

import json
from typing import Any

from perso_core.imports.refusal import RowRefused, shown


def refuse_named_twice(text: bytes | str) -> None:
    """text: what was read as JSON already, which says nothing of names. Raises RowRefused."""
    try:
        # Numbers as they stand: of a long one Python makes none.
        json.loads(text, object_pairs_hook=_once, parse_int=str)
    except RecursionError:
        raise RowRefused("It is nested too deep.") from None


def _once(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise RowRefused(
                f"The name {shown(name)} stands twice in one object. Keep one of the two."
            )
        names.add(name)
