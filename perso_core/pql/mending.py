"""Tokens as their author meant them: what people type who write other languages too.

Only read when a rule could not be: a rule without a fault costs nothing here. Each confusion is
one of which it is certain what was meant; the first character that nothing explains ends the
tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct, structs

from perso_core.pql.foreign import AROUND
from perso_core.pql.hints import (
    CURLY,
    CURLY_QUOTES,
    QUOTES,
    SINGLE_QUOTES,
    escape_hint,
    is_value,
    joining_hint,
    operator_hint,
)
from perso_core.pql.lexer import ESCAPE, ESCAPES, TOKEN, Token, tokens_of
from perso_core.pql.source import Source, Span
from perso_core.pql.types import STRING_TESTS

# What is written -> what it means here.
MEANT = {"==": "=", "===": "=", "!==": "!=", "!===": "!=", "<>": "!=", "=<": "<="}
JOINING = {"&": "and", "&&": "and", "|": "or", "||": "or"}

SIGNS = {"≤": "<=", "≥": ">=", "≠": "!="}
# Tests that others write between a text and what it is tested for, by their small letters.
TESTS = {name.lower(): name for name in STRING_TESTS}

# A quote that closes is followed by nothing that could belong to the text: in 'it's' no quote is
# certain to be the last. A line end or another quote inside is as doubtful.
ENDS = rf"(?![\w'\"{CURLY}])"
# A word alone: neither a part of another one nor a name after a dot.
ALONE = r"(?<![\w$@.])"
LITERAL = rf"""(?:["'{CURLY}\d]|(?:true|false)\b)"""
# What HTML has for a sign is none of these.
HTML = "|".join(map(re.escape, AROUND))
# A token, with the blanks before it, or one of the confusions.
SCAN = re.compile(
    rf"""\s*(?:(?P<operator> =(?=\s*[=<]) | !=(?==) | <(?=>)) \s* (?P<wrong> (?:==?|>|<)(?![=<>]))
      | (?P<sign> [≤≥≠])
      | (?P<joining> &{{1,2}}(?!&|(?:{HTML});) | \|{{1,2}}(?!\|))
      | (?P<null> {ALONE}(?i:is\s+(?P<there>not\s+)?null\b))
      | (?P<is> {ALONE}(?i:is(?P<differs>\s+not)?)\b(?=\s*(?i:{LITERAL})))
      | (?P<notin> {ALONE}(?i:not\s+in\b))
      | (?P<test> {ALONE}(?i:{"|".join(TESTS)})(?=\s*["'(]))
      | (?P<single> '(?:[^'\\\n"{CURLY}]|\\.)*'{ENDS})
      | (?P<curly> [“”„‟«»](?:[^“”„‟«»\\\n"]|\\.)*[“”‟«»]{ENDS}
                 | [‘’‚](?:[^‘’‚\\\n"]|\\.)*[‘’]{ENDS}))
      | {TOKEN.pattern}
    """,
    re.VERBOSE | re.DOTALL,
)
BRACKET = re.compile(r"\s*\(")
# A bracket that begins a list: a literal follows it, then a comma or the other bracket.
LISTED = re.compile(
    r"""\s*(?:"(?:[^"\\]|\\.)*"|'[^'\n]*'|-?[\d.]+|true|false)\s*[,)]""", re.IGNORECASE | re.DOTALL
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
    reading = _Reading(source.text)
    found = reading.found
    for match in SCAN.finditer(source.text):
        before = len(found.notes)
        start = reading.read(match)
        if not before and (found.notes[0].span[0] if found.notes else start) > wrong_at:
            return None
        if found.tokens[-1].kind in ("end", "bad"):
            break
    return found if found.notes else None


Meant = tuple[list[Token], list[Note]]


class _Reading:
    """One pass over the rule.

    brackets: of each "(" that is open, whether a list was meant. tested: the next text is what a
    test that stands in the middle asks for; a bracket is to follow it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.found = Mended([], [], [])
        self.brackets: list[bool] = []
        self.tested = False

    def read(self, match: re.Match[str]) -> int:
        """Adds the tokens that were meant, and what is wrong with them. Gives the offset of the
        first."""
        text = match[0].lstrip()
        span = (match.end() - len(text), match.end())
        tokens, notes = self.meant(match, text, span)
        if self.tested and tokens[0].kind == "text":
            tokens = [*tokens, _mark(")", (span[1] - 1, span[1]))]
            self.tested = False
        if notes:
            self.found.parts.append(span)
        self.found.tokens.extend(tokens)
        self.found.notes.extend(notes)
        return span[0]

    def meant(self, match: re.Match[str], text: str, span: Span) -> Meant:
        if match["test"]:
            return self.infix(text, span, TESTS[text.lower()])
        if text in ("(", ")"):
            return self.bracket(text, span)
        for kind, read in CONFUSIONS.items():
            if match[kind]:
                return read(match, text, span)
        token, notes = _as_written(text, span)
        return [token], notes

    def infix(self, text: str, span: Span, name: str) -> Meant:
        """`tier contains "x"`, where a value stands before it."""
        if not self.found.tokens or not is_value(self.found.tokens[-1]):
            return [Token("name", text, span)], []
        dotted = [_mark(".", span), Token("name", name, span)]
        note = Note(span, f"{name} stands after a dot.", f'Write .{name}("...").')
        if BRACKET.match(self.text, span[1]):
            return dotted, [note]
        self.tested = True
        return [*dotted, _mark("(", span)], [note]

    def bracket(self, text: str, span: Span) -> Meant:
        """`in (1, 2)`: a list stands in square brackets."""
        if text == ")":
            return [_mark("]" if self.brackets and self.brackets.pop() else ")", span)], []
        last = self.found.tokens[-1].word if self.found.tokens else ""
        listed = last in ("in", "notin") and bool(LISTED.match(self.text, span[1]))
        self.brackets.append(listed)
        if not listed:
            return [_mark("(", span)], []
        note = Note(
            span, "A list stands in square brackets.", "Write [ in place of ( and ] in place of )."
        )
        return [_mark("[", span)], [note]


def _mark(sign: str, span: Span) -> Token:
    return Token("mark", sign, span, sign)


def _operator(match: re.Match[str], _: str, span: Span) -> Meant:
    typed = match["operator"] + match["wrong"]
    meant = MEANT[typed]
    # The operator before it could stand here.
    return [_mark(meant, span)], [Note(match.span("wrong"), *operator_hint(typed, meant))]


def _sign(_: re.Match[str], text: str, span: Span) -> Meant:
    return [_mark(SIGNS[text], span)], [_instead(span, text, SIGNS[text])]


def _joining(_: re.Match[str], text: str, span: Span) -> Meant:
    meant = JOINING[text]
    return [Token("name", text, span, meant)], [_instead(span, text, meant)]


def _null(match: re.Match[str], text: str, span: Span) -> Meant:
    name = "isNotNull" if match["there"] else "isNull"
    dot, *brackets = [_mark(sign, span) for sign in ".()"]
    return [dot, Token("name", name, span), *brackets], [_instead(span, text, f".{name}()")]


def _is(match: re.Match[str], text: str, span: Span) -> Meant:
    meant = "!=" if match["differs"] else "="
    return [_mark(meant, span)], [_instead(span, text, meant)]


def _not_in(_: re.Match[str], text: str, span: Span) -> Meant:
    return [Token("name", text, span, "notin")], [_instead(span, text, "notIn")]


def _quoted(match: re.Match[str], text: str, span: Span) -> Meant:
    value, notes = _unescaped(text[1:-1], span[0] + 1)
    quotes = Note(span, *(SINGLE_QUOTES if match["single"] else CURLY_QUOTES))
    return [Token("text", text, span, value=value)], [quotes, *notes]


def _instead(span: Span, typed: str, meant: str) -> Note:
    return Note(span, *joining_hint(" ".join(typed.split()), meant))


CONFUSIONS: dict[str, Callable[[re.Match[str], str, Span], Meant]] = {
    "operator": _operator,
    "sign": _sign,
    "joining": _joining,
    "null": _null,
    "is": _is,
    "notin": _not_in,
    "single": _quoted,
    "curly": _quoted,
}


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
