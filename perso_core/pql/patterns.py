"""Patterns that authors write: `like` and regular expressions, both in linear time."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

import re2

from perso_core.pql.java_patterns import misread
from perso_core.pql.re2_said import told_of

WILDCARDS = frozenset("%_")

Shape = Literal["equals", "startsWith", "endsWith", "contains"]


class BadPattern(ValueError):
    """RE2 does not take the pattern, or reads it otherwise than Java; the text says why.

    span: of what is wrong in the pattern; None where it is not known. fix: how to write it.
    """

    def __init__(self, told: str, span: tuple[int, int] | None = None, fix: str = "") -> None:
        super().__init__(told)
        self.span = span
        self.fix = fix


# Nothing in such a pattern can be refused; RE2 takes longer over one than reading a rule's part.
PLAINLY_FINE = re.compile(
    r"\^?(?:[\w /:-]|(?:\.|\\[.dw]|\[(?:0-9|a-z|A-Z)+\])[*+]?){0,100}\$?", re.ASCII
)

# RE2 takes time for each of these at each character of a text, as long as nothing else ends it.
MAX_PATTERN = 10_000
MAX_GROUPS = 100

OPTIONS = re2.Options()
OPTIONS.log_errors = False
# Where nobody asks what a group found: with a thousand of them a search had taken a second.
FINDING = re2.Options()
FINDING.log_errors = False
FINDING.never_capture = True
# What a compiled pattern is; it has its text as `pattern`.
PATTERN: type = type(re2.compile("", OPTIONS))


def usable(pattern: str) -> None:
    """Raises BadPattern for one that `finding` and `regular` raise it for."""
    if not PLAINLY_FINE.fullmatch(pattern):
        finding(pattern)


@lru_cache(maxsize=1024)
def finding(pattern: str) -> Any:
    """The compiled pattern, which knows no groups. Raises BadPattern."""
    _look_at(pattern)
    return _compiled(pattern, FINDING)


@lru_cache(maxsize=1024)
def regular(pattern: str) -> Any:
    """The compiled pattern. Raises BadPattern."""
    _look_at(pattern)
    return _compiled(pattern)


def _look_at(pattern: str) -> None:
    """Raises BadPattern for what RE2 would read as something else, or take too long for."""
    if len(pattern) > MAX_PATTERN:
        told = f"it has {len(pattern):,} characters"
        raise BadPattern(told, None, f"Write one of up to {MAX_PATTERN:,}; join several by or.")
    wrong = misread(pattern, _known)
    if wrong is not None:
        raise BadPattern(wrong.told, wrong.span, wrong.fix)
    if pattern.count("(") > MAX_GROUPS and (groups := _compiled(pattern).groups) > MAX_GROUPS:
        told = f"it has {groups:,} groups; {MAX_GROUPS} is the limit"
        raise BadPattern(told, None, "Write (?:...) where nobody asks what a group found.")


@lru_cache(maxsize=256)
def _known(pattern: str) -> bool:
    try:
        _compiled(pattern)
    except BadPattern:
        return False
    return True


def _compiled(pattern: str, options: Any = OPTIONS) -> Any:
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        cause = error.args[0] if error.args else "not understood"
        text = cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)
        raise BadPattern(*told_of(text, pattern)) from None


def knows_groups(pattern: Any) -> bool:
    """Whether the compiled pattern is one of `regular`."""
    return not pattern.options.never_capture


@lru_cache(maxsize=1024)
def compiled_again(text: str, groups: bool) -> Any:
    """The pattern whose `pattern` this is: with groups of `regular`, else of `finding` or
    `like`."""
    return _compiled(text, OPTIONS if groups else FINDING)


def like_shape(pattern: str) -> tuple[Shape, str] | None:
    """The plain text test that a pattern amounts to; None when it needs a regular expression."""
    inner = pattern.strip("%")
    if WILDCARDS & set(inner):
        return None
    before, after = pattern.startswith("%"), pattern.endswith("%")
    if not inner:
        return ("contains", "") if pattern else ("equals", "")
    if before:
        return ("contains", inner) if after else ("endsWith", inner)
    return ("startsWith", inner) if after else ("equals", inner)


def like_prefix(pattern: str) -> str:
    """What every matching text begins with."""
    return pattern[: min([pattern.find(c) for c in WILDCARDS if c in pattern] or [len(pattern)])]


@lru_cache(maxsize=1024)
def like(pattern: str) -> Any:
    """The compiled pattern: `%` is any run of characters, `_` one; it covers the whole text. Of up
    to MAX_PATTERN characters."""
    signs = {"%": ".*", "_": "."}
    inner = "".join(signs.get(c) or re2.escape(c) for c in pattern)
    return _compiled(f"(?s)^(?:{inner})$", FINDING)
