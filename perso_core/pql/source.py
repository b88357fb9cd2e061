"""The text of one rule and the places in it."""

from __future__ import annotations

from unicodedata import category, east_asian_width

from msgspec import Struct

from perso_core.errors import RuleError, RuleTooLarge

# The limits of pql.md, open point 23.
MAX_TEXT_BYTES = 256 * 1024
MAX_DEPTH = 200
MAX_NODES = 50_000

# A fault shows this much of its line on either side; rules are often one very long line.
SHOWN_COLUMNS = 60

# Accents, joiners and what else takes no place of its own, as categories of Unicode.
UNSEEN = frozenset(("Mn", "Me", "Cf"))

# First and one-past-last offset, in code points.
Span = tuple[int, int]


class Source(Struct, frozen=True):
    """The text as its author wrote it."""

    text: str

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, both 1-based; columns count code points."""
        before = self.text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1

    def fault(self, cause: type[RuleError], span: Span, detail: str, fix: str) -> RuleError:
        """The error of class `cause` that points at `span`. A caret never leaves its line."""
        line, column = self.place(span[0])
        start = span[0] - (column - 1)
        ends = self.text.find("\n", start)
        text = self.text[start : len(self.text) if ends < 0 else ends]
        end_column = max(column + 1, min(column + span[1] - span[0], len(text) + 1))
        return cause(
            detail,
            fix=fix,
            line=line,
            column=column,
            end_column=end_column,
            excerpt=_excerpt(text, column, end_column),
        )


def source_of(text: str) -> Source:
    """The source of a rule. Raises RuleTooLarge for a text over 256 KiB of UTF-8."""
    source = Source(text)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT_BYTES:
        raise source.fault(
            RuleTooLarge,
            (0, 1),
            f"The text has {size:,} bytes; a rule may have {MAX_TEXT_BYTES:,}.",
            "Split it into audiences and combine them with inSegment(...).",
        )
    return source


def _excerpt(line: str, column: int, end_column: int) -> str:
    first = max(0, column - 1 - SHOWN_COLUMNS)
    last = column - 1 + SHOWN_COLUMNS
    before = "…" if first else ""
    after = "…" if last < len(line) else ""
    shown = "".join(" " if c.isspace() else c for c in line[first:last])
    at = column - 1 - first
    end = min(end_column - 1 - first, at + SHOWN_COLUMNS)
    # The sign after the line's end is marked, too.
    carets = max(1, _width(shown[at:end]) + max(0, end - max(at, len(shown))))
    indent = len(before) + _width(shown[:at])
    return f"{before}{shown}{after}\n{' ' * indent}{'^' * carets}"


def _width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if category(character) in UNSEEN:
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
