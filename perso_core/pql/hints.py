"""What an author is told about a rule that cannot be read."""

from __future__ import annotations

from perso_core.errors import RuleError, RuleSyntaxError, RuleTooLarge
from perso_core.pql.lexer import Token
from perso_core.pql.source import MAX_DEPTH, Source, Span


def too_deep(source: Source, span: Span) -> RuleError:
    return source.fault(
        RuleTooLarge,
        span,
        f"The rule is nested more than {MAX_DEPTH} levels deep here.",
        "Take an inner part out into an audience of its own and use inSegment(...).",
    )


CURLY = "“”„‟«»‘’‚"


def fault_at(source: Source, tokens: list[Token], at: int, expected: str) -> RuleError:
    """The fault of a token that cannot continue the rule, with a hint for what people type."""
    token = tokens[at]
    before = tokens[at - 1] if at else None
    detail, fix = hint(token, before, expected)
    return source.fault(RuleSyntaxError, token.span, detail, fix)


def hint(token: Token, before: Token | None, expected: str) -> tuple[str, str]:
    """Detail and fix in the author's words."""
    text = token.text
    joined_text = (before.text if before else "") + text
    if token.kind == "end":
        return f"The rule ends where {expected} has to follow.", "Write the missing part."
    if text == '"':
        return "This text has no closing quote.", 'Add a " where the text ends.'
    if text == "\\":
        return (
            "A text has no such escape.",
            r"Write \\ for one backslash; known are \" \\ \/ \n \t \r \uXXXX.",
        )
    if text == "'":
        return "A text stands in double quotes.", "Write \"...\" in place of '...'."
    if text in CURLY and text:
        return "These are typographic quotes.", 'Write straight double quotes: "...".'
    if joined_text == "==":
        return "One = compares.", "Write = in place of ==."
    if text == "&":
        return "&& is not a word of the language.", "Write and in place of &&."
    if text == "|":
        return "|| is not a word of the language.", "Write or in place of ||."
    if token.kind == "bad" and text.isdigit():
        return "This number is too long or too large.", "Write one of up to 40 digits."
    if token.kind == "bad":
        return f"{text!r} begins nothing in a rule.", f"Remove it; here {expected} can stand."
    return f"{text!r} cannot stand here; {expected} can.", "Remove it or write what is missing."
