"""Text for a terminal that does nothing but show it."""

from __future__ import annotations

# What visitors sent and other people's exports hold may be meant for the terminal: to colour, to
# rename its window, to turn the order of a line round.
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if code != ord("\n")}
_REPLACED = (
    0x7F,
    *range(0x80, 0xA0),
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)
_SHOWN = {**_PICTURES, **dict.fromkeys(_REPLACED, "\ufffd")}


def shown(text: str) -> str:
    """The text with a visible character in place of each that would steer the terminal, line ends
    aside. It stays as wide: a caret below it still points where it did."""
    return text.translate(_SHOWN)
