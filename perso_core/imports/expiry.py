"""When a row's membership ends, as text or a number."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from perso_core.imports.refusal import RowRefused, shown

# Whoever writes seconds would end in 1970 what is to last: numbers before March 1973 are refused.
_LEAST_MS = 100_000_000_000
_MOST_MS = 253_402_300_799_999  # the end of the year 9999
_NUMBER = re.compile(r"[0-9]{1,18}")
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
FIX = "Write epoch milliseconds, or an instant with its zone, 2026-12-31T23:59:59Z."


def expiry_ms(stated: str | int) -> int:
    """Epoch milliseconds. Raises RowRefused."""
    if isinstance(stated, int):
        return _number(stated)
    if _NUMBER.fullmatch(stated):
        return _number(int(stated))
    found = _RFC_3339.fullmatch(stated)
    if found is None:
        raise RowRefused(f"The expiry {shown(stated)} is no instant. {FIX}")
    day, time, fraction, zone = found.groups()
    try:
        text = f"{day}T{time}{(fraction or '.0')[:7]}{zone.upper().replace('Z', '+00:00')}"
        found_ms = (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        raise RowRefused(f"The expiry {shown(stated)} is on no calendar. {FIX}") from None
    if found_ms > _MOST_MS:  # the end of that year in the west
        raise _after_all_years(stated)
    return found_ms


def _number(stated: int) -> int:
    if stated < _LEAST_MS:
        raise RowRefused(
            f"The expiry {stated} is before March 1973: are these seconds? {FIX} To end a"
            " membership, write the status exited."
        )
    if stated > _MOST_MS:
        raise _after_all_years(str(stated))
    return stated


def _after_all_years(stated: str) -> RowRefused:
    return RowRefused(f"The expiry {shown(stated)} is after the year 9999. {FIX}")
