"""Values as people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from perso_core.pql.instants import Moment, iso

SHOWN_CHARACTERS = 60
SHOWN_ITEMS = 5

# Texts that would read as something else, or of which nobody would see where they end.
A_NUMBER = r"[-+]?[\d.,]+%?"
A_WORD = "yes|no|there|empty|not known"
OPEN_ENDED = r'\s*|[\s"].*|.*\s|.*([,;:]| and | or ).*'
UNCLEAR = re.compile(f"{A_NUMBER}|{A_WORD}|{OPEN_ENDED}", re.IGNORECASE | re.DOTALL)


def value_words(value: Any) -> str:
    """A value as people write it; "not known" for a missing one."""
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.01 else f"{value:g}"
    if isinstance(value, str):
        return text_words(value)
    if isinstance(value, Moment):
        return iso(value.start)
    if isinstance(value, list):
        return _list_words(value) if value else "empty"
    return "there"


def _list_words(values: Sequence[Any]) -> str:
    if all(isinstance(value, Mapping) for value in values):
        return "an object" if len(values) == 1 else f"{len(values):,} objects"
    return listed([item_words(value) for value in values], "and")


def item_words(value: Any) -> str:
    """What stands in a list. A list in it stands in brackets: where one ends could not be seen."""
    if value is None:
        return "no value"
    if isinstance(value, list):
        shown = [item_words(one) for one in value[:SHOWN_ITEMS]]
        more = [f"{len(value) - SHOWN_ITEMS:,} more"] * (len(value) > SHOWN_ITEMS)
        return f"[{', '.join(shown + more)}]"
    return "an object" if isinstance(value, Mapping) else value_words(value)


def text_words(text: str) -> str:
    """The text; in quotes where it would be taken for a number, a list or nothing."""
    short = " ".join(text.split())
    short = short if len(short) <= SHOWN_CHARACTERS else f"{short[: SHOWN_CHARACTERS - 1]}…"
    return f'"{short}"' if UNCLEAR.fullmatch(text) else short


def listed(words: Sequence[str], last: str) -> str:
    """`a, b or c`; of many only the first few."""
    if len(words) > SHOWN_ITEMS:
        return f"{', '.join(words[:SHOWN_ITEMS])} {last} {len(words) - SHOWN_ITEMS} more"
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def time_words(value: Any) -> str:
    """As value_words, with whole numbers read as epoch milliseconds."""
    return iso(value) if type(value) is int else value_words(value)
