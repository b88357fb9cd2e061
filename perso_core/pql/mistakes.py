"""What people write where a rule cannot go on, by the text around that place."""

from __future__ import annotations

import re

from msgspec import Struct

from perso_core.pql.foreign import AROUND

# So much of the rule is looked at on either side.
SEEN = 200

UNITS = "millisecond|second|minute|hour|day|week|month|year|decade"


class Mistake(Struct, frozen=True):
    """before: what the text up to the place ends with. here: what stands at it. expected: what the
    grammar waits for begins so. detail, fix: what is told, with the groups of both."""

    before: str
    here: str
    detail: str
    fix: str
    expected: str = ""


def _window(before: str, here: str) -> tuple[Mistake, ...]:
    """A length of time that is measured from nowhere, to either side."""
    detail = "A length of time is measured from an instant."
    return tuple(
        Mistake(
            before.format(words=words),
            here.format(words=words) + rf"(?P<number>\d+)\s+(?P<unit>(?:{UNITS})s?)\b",
            detail,
            f"Write <= {{number}} {{unit}} {direction} now.",
        )
        for words, direction in (("last|past|previous", "before"), ("next|coming", "after"))
    )


OCCURS = r"\b(?:occurs|when\s*\()\s*"
AMOUNT = "a whole number"
COUNTED = r"\bcount\s*\(\s*(?:[<>=!]+\s*)?"
NO_STEP = (
    "A step that must not happen, or a gap between two, is not known: no export shows how it is"
    " written.",
    "Write not(CHAIN(...)) around a chain of its own, or send us what Adobe's builder exports.",
)
MISTAKES: tuple[Mistake, ...] = (
    # ---- times
    *_window(OCCURS + r"(?:in\s+|within\s+)?(?:the\s+)?(?:{words})\s+", ""),
    *_window(OCCURS, r"in\s+(?:the\s+)?(?:{words})\s+"),
    Mistake(
        OCCURS + r"(?:within|since|for)\s+(?:the\s+)?(?:last\s+)?",
        rf"(?P<number>\d+)\s+(?P<unit>(?:{UNITS})s?)\b",
        "A length of time is measured from an instant.",
        "Write <= {number} {unit} before now.",
    ),
    Mistake("", r"ago\b", "ago measures from nowhere.", "Write before now in place of ago."),
    Mistake(
        r"\b(?:now|today)\s*-\s*(?P<number>\d+)\s+",
        rf"(?P<unit>(?:{UNITS})s?)\b",
        "Times are not reckoned with.",
        "Write joined occurs <= {number} {unit} before now.",
    ),
    Mistake(
        COUNTED,
        r"between\s+(?P<least>\d+)\s+and\s+(?P<most>\d+)",
        "A count has one bound.",
        "Write COUNT(>= {least}) COUNT(<= {most}).",
    ),
    Mistake(COUNTED, r"[-\d]", "A count is a whole number.", "Write COUNT(>= 2).", AMOUNT),
    Mistake(
        "",
        r"\d*\.\d+",
        "An amount of time is a whole number.",
        "Write it in a smaller unit: 90 minutes.",
        AMOUNT,
    ),
    Mistake(
        "",
        r"-\s*\d",
        "An amount of time is not negative.",
        "Take - out; after in place of before is what is still to come.",
        AMOUNT,
    ),
    Mistake(
        "",
        r"\w",
        "The amount of time stands in the rule itself.",
        "Write a number: <= 7 days before now.",
        AMOUNT,
    ),
    Mistake(
        "",
        r"(?P<short>ms|s|secs?|m|mins?|h|hrs?|d|w|wks?|mos?|y|yrs?)\b",
        "{short} is no unit of time.",
        "Write it in full: 5 minutes, 2 hours, 7 days, 3 months.",
        "a unit of time",
    ),
    Mistake(
        r"(?P<number>\d+)\s+",
        r"quarters?\b",
        "quarter is no unit of time.",
        "Write months: 3 for each quarter.",
        "a unit of time",
    ),
    Mistake(
        r"\b(?:this|last|next)\s+",
        r"(?P<unit>quarter|weekend|fortnight|season|semester|morning|night)\b",
        "{unit} is no unit of time.",
        "Known are minute, hour, day, week, month, year; or between two times.",
    ),
    # ---- chains
    Mistake("", r"(?:not|exclude)\b", *NO_STEP, "WHAT(...)"),
    Mistake(r"[\[,]\s*(?:exclude|not)\s+", r"\w+\s*:", *NO_STEP),
    Mistake("", r"(?:gap|exclude|without)\b", *NO_STEP, '"]" or a comma and another step'),
    # ---- signs and quotes
    Mistake(
        "",
        r'\\"',
        "A backslash stands in texts alone.",
        'Write " without the backslash: the rule was escaped once too often.',
    ),
    Mistake(
        "",
        r'"[^"]*\\"[^"]*\Z',
        "This text has no closing quote: the last one belongs to the text.",
        r"Write \\ for one backslash, and a quote where the text ends.",
    ),
    *(
        Mistake("", f"&{name};", f"&{name}; is how HTML writes a sign.", f"Write {sign}.")
        for name, sign in AROUND.items()
    ),
    Mistake("", r"\+\s*[\d.]", "A number has no plus sign.", "Take + out.", "a value"),
    Mistake(
        r"(?P<first>[<>])\s+",
        "=",
        "A sign has no blank in it.",
        "Write {first}= in one.",
    ),
    Mistake(r"<\s*", ">", "<> is not the same as !=.", "Write != in place of <>."),
    Mistake("", r"!\s+=", "A sign has no blank in it.", "Write != in one."),
    Mistake("=", "!", "!= is not the same.", "Write != in place of =!."),
    Mistake(r"\d", r",\d", "A number has no comma.", "Write 1000 or 1.5.", "an operator"),
    Mistake("", r"[^\x00-\x7f]", "This is no digit of a number here.", "Write 0 to 9.", "digit"),
    Mistake(r"\*\s*", r"\*", "Powers are not known.", "Write points * points."),
    Mistake(r"[\w)]\s*", r"\^\s*\d", "Powers are not known.", "Write points * points."),
    Mistake("-", ">", "-> is no sign of the language.", "Write . in place of ->."),
    Mistake(
        r"\w",
        r"\.\d",
        "Elements have no numbered places.",
        "Use head() for the first, or topN(key, 1).",
    ),
    Mistake(
        r"\[\s*\d+\s*",
        ":",
        "Elements have no numbered places.",
        "Use topN(key, 3), or a filter.",
    ),
    # ---- lists and functions
    Mistake(
        r'\bin\s+"[^"]*"\s*',
        ",",
        "Several values stand in a list.",
        'Write square brackets around them: in ["a", "b"].',
    ),
    Mistake(
        r'\bin\s*\{\s*"[^"]*"\s*',
        "[},]",
        "A list stands in square brackets.",
        'Write ["a", "b"].',
    ),
    Mistake(
        r"\.\s*(?P<name>[a-z]+[A-Za-z]*)\s+",
        r'"',
        "What a function is asked with stands in brackets.",
        'Write .{name}("...").',
        "an operator",
    ),
    Mistake(r"\b(?:if|case)\s+", r"\w", "if is a function.", "Write if(a > 1, 10, 0)."),
    Mistake(r"\bnew\s+", r"\w", "Nothing is made with new.", "Write now, or date(2026, 12, 31)."),
    # ---- SQL
    Mistake(
        r"\A\s*select\s+(?:\*|\w+)\s*",
        r"[.,]|from\b",
        "A rule is the condition alone.",
        'Write what stands after WHERE: loyalty.tier = "gold".',
    ),
    Mistake(r"\A\s*", r"where\b", "A rule is the condition alone.", "Take where out."),
    Mistake(
        "",
        r"(?P<word>limit|order|group|having)\b",
        "{word} is no part of a rule.",
        "Take it out: a rule is a condition on one visitor.",
        "an operator",
    ),
)
COMPILED = tuple(
    (one, re.compile(one.before + r"\Z", re.IGNORECASE), re.compile(one.here, re.IGNORECASE))
    for one in MISTAKES
)


def known_mistake(text: str, at: int, expected: str) -> tuple[str, str] | None:
    """What is told of the place, and how to mend it; None: nothing is known of it. expected: what
    can stand there, in words."""
    before, here = text[max(0, at - SEEN) : at], text[at : at + SEEN]
    for one, ends, stands in COMPILED:
        if not expected.startswith(one.expected):
            continue
        begun, found = ends.search(before), stands.match(here)
        if begun and found:
            groups = {**begun.groupdict(), **found.groupdict()}
            # What stands in the rule may have braces of its own; what is told has only ours.
            return one.detail.format(**groups), one.fix.format(**groups)
    return None
