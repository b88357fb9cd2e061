"""Where things stand in a TOML text: tomllib gives values and no positions.

The text must be one that tomllib accepts; this scanner checks nothing.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import Any, NamedTuple

# Keys and indexes from the top of the file: ("destination", 0, "attribute", 2, "source").
Path = tuple[str | int, ...]

# Our deepest path is five long. Deeper ones are not recorded: a hostile key such as a.a.a.a… of
# megabytes would take quadratic memory.
DEEPEST = 6

_STRING = (
    r'"""(?:[^"\\]++|\\.|""?(?!"))*+"{3,5}'
    r"|'''(?:[^']++|''?(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*'"
)
_STRINGS = re.compile(_STRING, re.DOTALL)
_PART = rf"(?:[A-Za-z0-9_-]++|{_STRING})"
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*+", re.DOTALL)
_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_BETWEEN = re.compile(r"(?:[ \t\r\n,]++|#[^\n]*+)*+")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_BARE_VALUE = re.compile(r"[^,\]}#\n]*+")
# What stands for one character of a basic string, or for none: a backslash at a line's end.
_PIECE = re.compile(r"\\[ \t]*\n[ \t\n]*|\\u.{4}|\\U.{8}|\\.|.", re.DOTALL)

# tomllib takes the square of a key's parts: a key of 50,000 took 45 s. No sane key has this many;
# a text with so many words and dots would be refused with it.
MAX_KEY_PARTS = 64
_LONG_KEY = re.compile(rf"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){{{MAX_KEY_PARTS}}}""")
# What Python reads of one number; beyond that it says how to change that, and no place.
MAX_DIGITS = 4_300
_LONG_NUMBER = re.compile(rf"{_STRING}|#[^\n]*+|(\d(?:_?\d){{{MAX_DIGITS}}})", re.DOTALL)


def parsed(text: str) -> dict[str, Any]:
    """The TOML document. Raises ValueError (tomllib.TOMLDecodeError with the place, where it has
    one) also where tomllib would run out of stack or of time."""
    long_key = _LONG_KEY.search(text)
    if long_key:
        line = text.count("\n", 0, long_key.start()) + 1
        raise ValueError(f"line {line} has a key of more than {MAX_KEY_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it nests lists or tables too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:
        for found in _LONG_NUMBER.finditer(text):
            if found[1]:
                line = text.count("\n", 0, found.start()) + 1
                many = f"line {line} has a number of more than {MAX_DIGITS} digits"
                raise ValueError(many) from None
        raise


class Place(NamedTuple):
    """1-based; columns count code points."""

    line: int
    column: int


class Places:
    """The places of one TOML text. Cost: one pass over the text when made."""

    def __init__(self, text: str) -> None:
        # As tomllib does, so that its values and our offsets speak of one text.
        self._text = text.replace("\r\n", "\n")
        self._line_starts = [0, *(m.end() for m in re.finditer("\n", self._text))]
        scanner = _Scanner(self._text)
        scanner.run()
        self._keys = scanner.keys
        self._values = scanner.values

    def line(self, path: Path) -> int:
        """The line of the key or table header; of the nearest table around it where it has no
        line of its own (a missing key); 0 where nothing around it has one."""
        for length in range(min(len(path), DEEPEST), 0, -1):
            offset = self._keys.get(path[:length], self._values.get(path[:length]))
            if offset is not None:
                return self._place(offset).line
        return 0

    def inside(self, path: Path, index: int) -> Place | None:
        """Where the index-th character (from 0) of the text value at path stands in the file.

        Its end, where index is the value's length or more. None: no text value is at path.
        """
        start = self._values.get(path)
        if start is None or self._text[start] not in "\"'":
            return None
        offsets = _character_offsets(self._text, start)
        return self._place(offsets[min(index, len(offsets) - 1)])

    def text_of(self, line: int) -> str:
        """The text of a line (1-based), without its newline."""
        start = self._line_starts[line - 1]
        end = self._text.find("\n", start)
        return self._text[start:] if end < 0 else self._text[start:end]

    def _place(self, offset: int) -> Place:
        line = bisect_right(self._line_starts, offset)
        return Place(line, offset - self._line_starts[line - 1] + 1)


def _character_offsets(text: str, start: int) -> list[int]:
    """The offset of each character of the string that starts at `start`, and of its end."""
    string = _STRINGS.match(text, start)
    assert string, "the scanner recorded a string here"
    width = 3 if string[0].startswith(('"""', "'''")) else 1
    first, end = start + width, string.end() - width
    if width == 3 and text[first] == "\n":
        first += 1  # TOML drops a newline right after the opening quotes
    if text[start] == "'":
        return list(range(first, end + 1))
    pieces = _PIECE.finditer(text, first, end)
    offsets = [one.start() for one in pieces if not _continues_line(one[0])]
    return [*offsets, end]


def _continues_line(piece: str) -> bool:
    return len(piece) > 1 and piece[1] in " \t\n"


class _Scanner:
    """keys: path -> offset of its key or header. values: path -> offset of its value."""

    def __init__(self, text: str) -> None:
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._table: Path = ()
        self._lengths: dict[Path, int] = {}  # of each array of tables so far

    def run(self) -> None:
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                self._header()
            else:
                self._value(self._key(self._table))
            self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match, "tomllib accepted the text, so this stands here"
        self._at = match.end()
        return match[0]

    def _header(self) -> None:
        start = self._at
        brackets = 2 if self._text.startswith("[[", start) else 1
        self._at += brackets
        self._skip(_BLANK)
        parts = _key_parts(self._skip(_KEY))
        self._at = self._text.index("]", self._at) + brackets
        path: Path = ()
        for part in parts[:-1]:
            path = self._latest((*path, part))
            self.keys.setdefault(path, start)
        path = (*path, parts[-1])
        if brackets == 2:
            self.keys.setdefault(path, start)
            self._lengths[path] = self._lengths.get(path, 0) + 1
            path = self._latest(path)
        self.keys[path] = start
        self._table = path

    def _latest(self, path: Path) -> Path:
        """path, or the newest element of the array of tables at path."""
        length = self._lengths.get(path)
        return path if length is None else (*path, length - 1)

    def _key(self, table: Path) -> Path:
        """The path of the key that stands here; the equals sign is passed, too."""
        start = self._at
        path = table
        for part in _key_parts(self._skip(_KEY)):
            path = (*path, part)
            if len(path) <= DEEPEST:
                self.keys.setdefault(path, start)
        self._skip(_EQUALS)
        return path

    def _value(self, path: Path) -> None:
        # A stack of our own: tomllib's recursion limit is no measure for ours.
        # Open arrays with the index of their next element; open inline tables with -1.
        opened: list[tuple[Path, int]] = []
        while True:
            self._begin(path, opened)
            while opened:
                self._skip(_BETWEEN)
                if self._text[self._at] not in "]}":
                    break
                self._at += 1
                opened.pop()
            if not opened:
                return
            outer, index = opened.pop()
            opened.append((outer, index + 1 if index >= 0 else -1))
            path = (*outer, index) if index >= 0 else self._key(outer)

    def _begin(self, path: Path, opened: list[tuple[Path, int]]) -> None:
        if len(path) <= DEEPEST:
            self.values[path] = self._at
        char = self._text[self._at]
        if char in "[{":
            opened.append((path, 0 if char == "[" else -1))
            self._at += 1
        else:
            self._skip(_STRINGS if char in "\"'" else _BARE_VALUE)


def _key_parts(raw: str) -> list[str]:
    """The names of a dotted key, at most DEEPEST + 1 of them."""
    if '"' not in raw and "'" not in raw:
        return [part.strip() for part in raw.split(".", DEEPEST + 1)[: DEEPEST + 1]]
    parts: list[str] = []
    node: Any = tomllib.loads(f"{raw} = 0")
    while isinstance(node, dict) and len(parts) <= DEEPEST:
        ((name, node),) = node.items()
        parts.append(name)
    return parts
