"""Tokens as their author meant them: what people type who write other languages too.

Only read when a rule could not be: a rule without a fault costs nothing here. Each confusion is
one of which it is certain what was meant; the first character that nothing explains ends the
tokens.
"""

from __future__ import annotations

import re

from msgspec import Struct, structs

from perso_core.pql.hints import (
    CURLY,
    CURLY_QUOTES,
    QUOTES,
    SINGLE_QUOTES,
    escape_hint,
    joining_hint,
    operator_hint,
)
from perso_core.pql.lexer import ESCAPE, ESCAPES, TOKEN, Token, tokens_of
from perso_core.pql.source import Source, Span

# What is written -> what it means here.
MEANT = {"==": "=", "===": "=", "!==": "!=", "!===": "!=", "<>": "!="}
JOINING = {"&": "and", "&&": "and", "|": "or", "||": "or"}

# A quote that closes is followed by nothing that could belong to the text: in 'it's' no quote is
# certain to be the last. A line end or another quote inside is as doubtful.
ENDS = rf"(?![\w'\"{CURLY}])"
# A token, with the blanks before it, or one of the confusions.
SCAN = re.compile(
    rf"""\s*(?:(?P<operator> =(?=\s*=) | !=(?==) | <(?=>)) \s* (?P<wrong> (?:==?|>)(?![=>]))
      | (?P<joining> &{{1,2}}(?!&) | \|{{1,2}}(?!\|))
      | (?P<single> '(?:[^'\\\n"{CURLY}]|\\.)*'{ENDS})
      | (?P<curly> [“”„‟«»](?:[^“”„‟«»\\\n"]|\\.)*[“”‟«»]{ENDS}
                 | [‘’‚](?:[^‘’‚\\\n"]|\\.)*[‘’]{ENDS}))
      | {TOKEN.pattern}
    """,
    re.VERBOSE | re.DOTALL,
)


class Note(Struct, frozen=True):
    """A fault that does not keep the rule from being read on. span: where it is shown."""

    span: Span
    detail: str
    fix: str


class Mended(Struct, frozen=True):
    """tokens: the last is `end`, or the first that nothing explains. parts: those that were
    written otherwise, in order. notes: what is wrong with them, in order of their places."""

    tokens: list[Token]
    parts: list[Span]
    notes: list[Note]


def mended(source: Source, wrong_at: int) -> Mended | None:
    """The tokens of a rule that could not be read.

    wrong_at: the offset of the first place that cannot continue a rule. None: nobody knows what
    was meant there. O(length).
    """
    found = Mended([], [], [])
    for match in SCAN.finditer(source.text):
        token, notes = _read(match)
        if not found.notes and (notes[0] if notes else token).span[0] > wrong_at:
            return None
        found.tokens.append(token)
        if notes:
            found.parts.append(token.span)
            found.notes.extend(notes)
        if token.kind in ("end", "bad"):
            break
    return found if found.notes else None


def _read(match: re.Match[str]) -> tuple[Token, list[Note]]:
    """The token that was meant, and what is wrong with it as it was written."""
    text = match[0].lstrip()
    span = (match.end() - len(text), match.end())
    if match["operator"]:
        typed = match["operator"] + match["wrong"]
        meant = MEANT[typed]
        # The operator before it could stand here.
        note = Note(match.span("wrong"), *operator_hint(typed, meant))
        return Token("mark", meant, span, meant), [note]
    if match["joining"]:
        meant = JOINING[text]
        return Token("name", text, span, meant), [Note(span, *joining_hint(text, meant))]
    if match["single"] or match["curly"]:
        value, notes = _unescaped(text[1:-1], span[0] + 1)
        quotes = Note(span, *(SINGLE_QUOTES if match["single"] else CURLY_QUOTES))
        return Token("text", text, span, value=value), [quotes, *notes]
    return _as_written(text, span)


def _as_written(text: str, span: Span) -> tuple[Token, list[Note]]:
    """A token of the language, or a text with escapes that it does not have."""
    token = tokens_of(Source(text))[0]
    if token.kind == "bad" and token.text == "\\" and text[0] == '"':
        value, notes = _unescaped(text[1:-1], span[0] + 1)
        return Token("text", text, span, value=value), notes
    return structs.replace(token, span=(span[0], max(span[1], span[0] + 1))), []


def _unescaped(inner: str, start: int) -> tuple[str, list[Note]]:
    """A text's content, and its escapes that the language does not have: their backslash is kept,
    as one of a pattern is meant. start: the offset of inner."""
    notes: list[Note] = []

    def unescape(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) > 1:
            return chr(int(code[1:], 16))
        if code in ESCAPES:
            return ESCAPES[code]
        at = start + match.start()
        notes.append(Note((at, at + 2), *escape_hint(code)))
        return code if code in QUOTES else match[0]

    value = ESCAPE.sub(unescape, inner)
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), notes
