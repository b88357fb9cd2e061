"""What an ad server is not told, and why. Every ad-server translation reports in these words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from perso_core import Refused

# The first instant of the year 10000: datetime counts no further.
_END_OF_CALENDAR_MS = 253_402_300_800_000


class Dropped(Struct, frozen=True, order=True):
    """A value that was given and is not sent under `key`.

    value: as it was given: an audience id, or the site's own text. reason: a sentence.
    """

    key: str
    value: str
    reason: str


# By the reason: the sentence, and what it says of the day, where there is one.
_SENTENCES: Mapping[str, tuple[str, str]] = {
    "not-started": ("Its activation to this destination has not started{}.", "; it does on {}"),
    "ended": ("Its activation to this destination has ended{}.", ", on {}"),
    "share-refused": (
        "The visitor said no to sharing{}, and this destination is advertising.",
        " on {}",
    ),
    "gpc": (
        "The browser signals{} that nothing be shared (Global Privacy Control), and this"
        " destination is advertising.",
        " since {}",
    ),
}


def refusal_sentence(refused: Refused) -> str:
    """Why an audience that the visitor is in may not be told to this destination."""
    sentence, when = _SENTENCES[refused.reason]
    # An activation ends as its last day is over.
    day = _day(refused.at_ms - (refused.reason == "ended"))
    return sentence.format(day and when.format(day))


def _day(at_ms: int) -> str:
    """`2026-11-24` (UTC); empty when the calendar has no such day."""
    if not 0 <= at_ms < _END_OF_CALENDAR_MS:
        return ""
    return datetime.fromtimestamp(at_ms // 1000, tz=UTC).date().isoformat()
