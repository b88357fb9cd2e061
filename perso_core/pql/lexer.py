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

TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?)
      | (?P<mark><=|>=|!=|=>|[=<>+\-*/%()\[\]{},:.!^])
      | (?P<name>(?:[^\W\d]|[$@])[\w$]*)
      | (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<end>\Z))
    """,
    re.VERBOSE | re.DOTALL,
)
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


class Token(Struct, frozen=True):
    """One token.

    text: as written; for `bad`, the character. word: a keyword in lower case, else "".
    value: the text's content or the number; None for other kinds.
    """

    kind: Kind
    text: str
    span: Span
    word: str = ""
    value: str | int | float | None = None


def tokens_of(source: Source) -> list[Token]:
    """The tokens in order; the last is `end`, or the first `bad` one."""
    text, at = source.text, 0
    tokens: list[Token] = []
    while not tokens or tokens[-1].kind not in ("end", "bad"):
        match = TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            tokens.append(Token("bad", text[at], (at, at + 1)))
        else:
            tokens.append(_token(match))
            at = match.end()
    return tokens


def _token(match: re.Match[str]) -> Token:
    kind = match.lastgroup
    assert kind is not None, "one of the groups matched"
    text, span = match[kind], match.span(kind)
    if kind == "mark":
        return Token("mark", text, span)
    if kind == "name":
        word = text.lower()
        return Token("name", text, span, word if word in KEYWORDS else "")
    if kind == "end":
        return Token("end", "", (span[0], span[0] + 1))
    return _number(text, span) if kind == "number" else _text(text, span)


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
