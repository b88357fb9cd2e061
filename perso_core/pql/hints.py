"""What an author is told about a rule that cannot be read."""

from __future__ import annotations

import re

from perso_core.errors import RuleError, RuleSyntaxError, RuleTooLarge
from perso_core.pql.foreign import OPERATORS
from perso_core.pql.instants import day
from perso_core.pql.lexer import Token
from perso_core.pql.mistakes import known_mistake
from perso_core.pql.source import MAX_DEPTH, Source, Span


def too_deep(source: Source, span: Span) -> RuleError:
    return source.fault(
        RuleTooLarge,
        span,
        f"The rule is nested more than {MAX_DEPTH} levels deep here.",
        "Take an inner part out into an audience of its own and use inSegment(...).",
    )


MAX_DAY = 11  # characters of a day, and the one after it

CURLY = "“”„‟«»‘’‚"
QUOTES = CURLY + "'"

# Detail and fix, in the author's words.
SINGLE_QUOTES = ("A text stands in double quotes.", "Write \"...\" in place of '...'.")
CURLY_QUOTES = ("These are typographic quotes.", 'Write straight double quotes: "...".')
NO_SUCH_ESCAPE = "A text has no such escape."


def operator_hint(typed: str, meant: str) -> tuple[str, str]:
    told = {"=": "One = compares.", "<=": "<= is less or the same."}
    detail = told.get(meant, "!= compares two things that differ.")
    return detail, f"Write {meant} in place of {typed}."


def joining_hint(typed: str, meant: str) -> tuple[str, str]:
    return f"{typed} is not a word of the language.", f"Write {meant} in place of {typed}."


def escape_hint(code: str) -> tuple[str, str]:
    """code: what stands after the backslash; "": nobody knows."""
    if code and code in QUOTES:
        return NO_SUCH_ESCAPE, f"Write {code} without the backslash."
    return (
        NO_SUCH_ESCAPE,
        r"Write \\ for one backslash; known are \" \\ \/ \n \t \r \uXXXX.",
    )


# Others write so what stands beside the rule, and a day.
REMARK = (
    "-- begins no remark here: it subtracts a negative number.",
    "Take it out: a rule has no remarks. To subtract a negative number, leave a blank: 1 - -b.",
)
OPTIONAL = (
    "? is no sign that can stand here.",
    "Take ? out: a field that is missing is no value, and no fault.",
)
DAY = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)(?![\w.-])", re.ASCII)


def day_hint(written: str) -> tuple[str, str] | None:
    """Of a text that begins with a day, such as 2026-12-31; None: it begins with none."""
    found = DAY.match(written)
    parts = [int(part) for part in found.groups()] if found else []
    if not found or day(*parts) is None:
        return None
    told = ", ".join(map(str, parts))
    return f"{found[0]} subtracts two numbers: it is no day.", f"Write date({told})."


def is_value(token: Token | None) -> bool:
    """Whether a value ends with the token, after which an operator has to stand."""
    if token is None or token.text == "xEvent":
        return False
    named = token.kind == "name" and not token.word
    return named or token.kind in ("number", "text") or token.word in (")", "]", "/")


def fault_at(source: Source, tokens: list[Token], at: int, expected: str) -> RuleError:
    """The fault of a token that cannot continue the rule, with a hint for what people type."""
    token = tokens[at]
    before = tokens[at - 1] if at else None
    dashes = _dashes_before(source, tokens, at)
    if dashes is not None:
        return source.fault(RuleSyntaxError, dashes, *REMARK)
    a_day = before and token.text == "-" and day_hint(source.text[before.span[0] :][:MAX_DAY])
    if before and a_day:
        return source.fault(RuleSyntaxError, before.span, *a_day)
    if source.text.startswith("?.", token.span[0]):
        return source.fault(RuleSyntaxError, token.span, *OPTIONAL)
    digit = token.kind == "bad" and token.text.isdigit() and not token.text.isascii()
    mistake = known_mistake(source.text, token.span[0], "digit" if digit else expected)
    if mistake is not None:
        return source.fault(RuleSyntaxError, token.span, *mistake)
    detail, fix = hint(token, before, expected, source.text[slice(*token.span)])
    return source.fault(RuleSyntaxError, token.span, detail, fix)


def _dashes_before(source: Source, tokens: list[Token], at: int) -> Span | None:
    """Two dashes on the line of the token, before it."""
    for place in range(at - 1, 0, -1):
        (start, _), after = tokens[place - 1].span, tokens[place].span[1]
        if "\n" in source.text[start : tokens[place + 1].span[0]]:
            break
        if source.text[start:after] == "--":
            return start, after
    return None


def hint(token: Token, before: Token | None, expected: str, written: str) -> tuple[str, str]:
    """Detail and fix in the author's words. written: the token as it stands in the rule."""
    text = token.text
    joined_text = (before.text if before else "") + text
    if token.kind == "end":
        return f"The rule ends where {expected} has to follow.", "Write the missing part."
    if text == '"':
        return "This text has no closing quote.", 'Add a " where the text ends.'
    if text == "\\":
        return escape_hint("")
    if text == "'":
        return SINGLE_QUOTES
    if text in CURLY and text:
        return CURLY_QUOTES
    if joined_text == "==":
        return operator_hint("==", "=")
    if token.kind == "bad" or is_value(before):
        meant = OPERATORS.get(joined_text) or OPERATORS.get(text.lower())
        if meant is not None:
            kind = "word" if text.isalpha() else "sign"
            return f"{written} is no {kind} that can stand here.", meant
    if text == "=>":
        return (
            "Before => stand names of your own.",
            "Write another name: words of the language and xEvent are taken.",
        )
    if text in ("&", "|"):
        return joining_hint(text * 2, "and" if text == "&" else "or")
    if token.kind == "bad" and text.isdigit():
        return "This number is too long or too large.", "Write one of up to 40 digits."
    if token.kind == "bad":
        return f"{text!r} begins nothing in a rule.", f"Remove it; here {expected} can stand."
    return f"{written!r} cannot stand here; {expected} can.", "Remove it or write what is missing."
