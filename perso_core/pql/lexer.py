"""Text to tokens. A character that begins no token becomes a `bad` token: the parser reports it
when it gets there, so an earlier fault is reported first."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from perso_core.pql.source import Source, Span

Kind = Literal["name", "number", "text", "mark", "bad", "end"]


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words of the language, in any letter case. Each is a plain name after a dot.
KEYWORDS = words(
    "and or not in notin like matches occurs between on before after from this last next now"
    " today yesterday tomorrow select exists forall where over let if true false chain what when"
    " count sum average min max null"
)

UNITS = {
    **{f"{unit}{s}": unit for s in ("", "s") for unit in ("millisecond", "second", "minute")},
    **{f"{unit}{s}": unit for s in ("", "s") for unit in ("hour", "day", "week", "month")},
    **{f"{unit}{s}": unit for s in ("", "s") for unit in ("year", "decade")},
    **dict.fromkeys(("century", "centuries"), "century"),
    **dict.fromkeys(("millennium", "millenium", "millennia"), "millennium"),
}

ESCAPES = {'"': '"', "\\": "\\", "/": "/", "n": "\n", "t": "\t", "r": "\r"}

# What one token can be, with the blanks before it; a character that begins none stands alone.
TOKEN = re.compile(
    r"""\s*(?:(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?   # a number
      | <=|>=|!=|=>|[=<>+\-*/%()\[\]{},:.!^]           # a mark
      | (?:[^\W\d]|[$@])[\w$]*                         # a name
      | "(?:[^"\\]|\\.)*"                              # a text
      | \Z | .)
    """,
    re.VERBOSE | re.DOTALL,
)
MARKS = words("<= >= != => = < > + - * / % ( ) [ ] { } , : . ! ^")
NAME = re.compile(r"[^\W\d]|[$@]")
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


class Token(Struct, frozen=True, gc=False):
    """One token.

    text: as written; for `bad`, the character. word: a keyword in lower case or a mark, else "".
    value: the text's content or the number; None for other kinds.
    """

    kind: Kind
    text: str
    span: Span
    word: str = ""
    value: str | int | float | None = None


# What is the same wherever it stands.
KNOWN: dict[str, Kind] = {**dict.fromkeys(MARKS, "mark"), **dict.fromkeys(KEYWORDS, "name")}


def tokens_of(source: Source) -> list[Token]:
    """The tokens in order; the last is `end`, or the first `bad` one."""
    end = 0
    tokens: list[Token] = []
    add, known = tokens.append, KNOWN.get
    for found in TOKEN.findall(source.text):
        end += len(found)
        text = found.lstrip()
        span = (end - len(text), end)
        kind = known(text)
        if kind is not None:
            add(Token(kind, text, span, text))
            continue
        first = text[:1]
        if first.isalpha() or NAME.match(first):
            word = text.lower()
            add(Token("name", text, span, word if word in KEYWORDS else ""))
            continue
        token = _value(text, span)
        add(token)
        if token.value is None:
            break
    return tokens


def _value(text: str, span: Span) -> Token:
    """A text, a number, or what ends the tokens."""
    if not text:
        return Token("end", "", (span[0], span[0] + 1))
    if text[0] == '"' and len(text) > 1:
        return _text(text, span)
    return _number(text, span) if text[-1].isdecimal() else Token("bad", text, span)


def _number(text: str, span: Span) -> Token:
    whole = text.isdecimal() and text.isascii()
    if not text.isascii() or len(text) > 40:
        return Token("bad", text[:1], span)
    value = int(text) if whole else float(text)
    if value in (float("inf"),):
        return Token("bad", text[:1], span)
    return Token("number", text, span, value=value)


def _text(text: str, span: Span) -> Token:
    inner = text[1:-1]
    if "\\" not in inner:
        return Token("text", text, span, value=inner)
    for match in ESCAPE.finditer(inner):
        if len(match[1]) == 1 and match[1] not in ESCAPES:
            at = span[0] + 1 + match.start()
            return Token("bad", "\\", (at, at + 2))
    unescaped = ESCAPE.sub(_unescape, inner)
    value = unescaped.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Token("text", text, span, value=value)


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return ESCAPES[code] if len(code) == 1 else chr(int(code[1:], 16))


def starts_in(written: str) -> list[int]:
    """Where each character of a text's content begins in the text as it is written, quotes
    included; last the place of the closing quote."""
    starts, at, high = [], 1, False
    while at < len(written) - 1:
        escape = ESCAPE.match(written, at)
        code = escape[1] if escape else ""
        unit = int(code[1:], 16) if len(code) == 5 else 0
        if not (high and 0xDC00 <= unit < 0xE000):  # the second half of one character
            starts.append(at)
        high = 0xD800 <= unit < 0xDC00
        known = len(code) == 5 or code in ESCAPES
        at += len(code) + 1 if escape and known else 1
    return [*starts, len(written) - 1]
