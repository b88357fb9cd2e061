"""What is wrong with JSON of a row, in the words of `perso profile put`."""

from __future__ import annotations

import json

import msgspec

from perso_core.decision.attributes import check_attributes, whole_number
from perso_core.errors import BadAttributes


def json_fault(text: bytes | str, error: Exception, *, cell: str = "") -> str:
    """error: why msgspec did not read it, which says of half a character that the text ends. cell:
    the name of the attribute that it is the value of; "": it is a line."""
    said = str(error).rstrip(".")
    told = f"{cell} is no JSON: {said}." if cell else f"The line is no row in JSON: {said}."
    if isinstance(error, msgspec.ValidationError):
        return told
    try:
        value = json.loads(text, parse_int=whole_number)
        check_attributes({cell: value} if cell or not isinstance(value, dict) else value)
    except BadAttributes as fault:
        return f"{fault.detail} {fault.fix}"
    except (ValueError, RecursionError):  # msgspec says where
        return told
    return told
