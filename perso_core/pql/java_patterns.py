"""What regular expressions of Java mean and ours do not: RE2 reads some of it in another way, and
takes none of the rest.

Adobe's product evaluates patterns in Java; an imported rule must not find other visitors here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

Span = tuple[int, int]


class Misread(Struct, frozen=True):
    """span: in the pattern. told: what it is and what becomes of it. fix: how to write it in a
    rule, where a backslash is written twice."""

    span: Span
    told: str
    fix: str


ESCAPED = r"""
        (?P<property> \\[pP]\{(?P<name>[^}]*)\})
      | (?P<number> \\0[0-7]*|\\[1-9][0-9]*)
      | (?P<escape> \\(?:c.|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
        |u[0-9a-fA-F]{4}|N\{[^}]*\}|k<[^>]*>|b\{[^}]*\}|x\{[^}]*\}|.))
"""
# One sign, escape or opening of a pattern; and of a class in it.
SIGN = re.compile(
    rf"""(?P<quoted> \\Q.*?(?:\\E|\Z)) | {ESCAPED}
      | (?P<possessive> (?:[*+?]|\{{[0-9]+(?:,[0-9]*)?\}})\+)
      | (?P<least> \{{,[0-9]+\}})
      | (?P<group> \(\?(?:P?<\w+>|P?[=!>]|<[=!]|[a-zA-Z^-]*[:)]?))
      | (?P<open> \[\^?\]?)
      | .
    """,
    re.VERBOSE | re.DOTALL,
)
IN_CLASS = re.compile(
    rf"""{ESCAPED}
      | (?P<posix> \[:\^?\w+:\]) | (?P<both> &&) | (?P<inner> \[) | (?P<end> \])
      | .
    """,
    re.VERBOSE | re.DOTALL,
)
AGAIN = "Write out what has to come again."
BACK = ("Back-references are not known", AGAIN)
ONCE = "Take it out: a text is searched once, from its beginning."
# After a backslash: what it is in Java, and what to write.
ESCAPES = {
    "C": (r"\C is one byte of a character here, and nothing in Java", "Write . for a character."),
    "v": (
        r"\v is one sign here, and any line or page break in Java",
        r"Write [\\n\\x0B\\f\\r].",
    ),
    "V": (r"\V, no line or page break, is not known", r"Write [^\\n\\x0B\\f\\r]."),
    "h": (r"\h, a blank, is not known", r"Write [\\t\\x20]."),
    "H": (r"\H, no blank, is not known", r"Write [^\\t\\x20]."),
    "R": (r"\R, a line break, is not known", r"Write (?:\\r\\n|[\\n\\r])."),
    "Z": (r"\Z, the end before a last line break, is not known", r"Write \\n?$."),
    "X": (r"\X, a character with its marks, is not known", "Write . for a character."),
    "G": (r"\G, the end of the last find, is not known", ONCE),
    "e": (r"\e, the escape sign, is not known", r"Write \\x1B."),
    "N": (r"\N, a character by its name, is not known", r"Write the character, or \\x{...}."),
    "k": BACK,
    "b": (r"\b{...} is a word's edge and signs in braces here", r"Write \\b."),
}
# What stands for a place in a text, and not for a character of a class.
PLACES = {"b": "a word's edge", "B": "no word's edge", "A": "the beginning", "z": "the end"}
PLACES |= {"Z": "the end", "G": "the end of the last find"}
# Classes by name, without the brackets around them.
PROPERTIES = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "ASCII": r"\\x00-\\x7F",
    "Alpha": "A-Za-z",
    "Digit": "0-9",
    "Alnum": "0-9A-Za-z",
    "Punct": r"!-/:-@\\[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "Blank": r"\\t\\x20",
    "Cntrl": r"\\x00-\\x1F\\x7F",
    "XDigit": "0-9A-Fa-f",
    "Space": r"\\s",
    "javaLowerCase": r"\\p{Ll}",
    "javaUpperCase": r"\\p{Lu}",
    "javaWhitespace": r"\\s",
    "IsAlphabetic": r"\\p{L}",
    "IsLetter": r"\\p{L}",
    "IsLowercase": r"\\p{Ll}",
    "IsUppercase": r"\\p{Lu}",
    "IsDigit": r"\\p{Nd}",
    "IsPunctuation": r"\\p{P}",
    "IsWhite_Space": r"\\s",
}
# The brackets around a class in a fix, which end it; and what stands in one.
BRACKETS = re.compile(r"\[(\^?)(.+)\]\.$")
MEMBER = re.compile(r"\\\\x([0-9A-F]{2})|\\\\([tnfr])|(?:\\\\)?(.)", re.DOTALL)
SIGNS = {"t": "\t", "n": "\n", "f": "\f", "r": "\r"}
LAST = 0x10FFFF
LOOKING = {"=": "ahead", "!": "ahead", "<=": "behind", "<!": "behind"}
FLAGS = {
    "U": "(?U) makes everything match as little as it can here, and Unicode words in Java",
    "u": "(?u), letter case by Unicode, is not known",
    "d": "(?d), Unix lines, is not known",
    "x": "(?x), comments in patterns, is not known",
}
# What is told and how to mend it.
Told = tuple[str, str]


def misread(pattern: str, known: Callable[[str], bool]) -> Misread | None:
    """The first part that means something else in Java; None: there is none. known: whether RE2
    has the class \\p{...}. O(length)."""
    return next(_misread(pattern, known), None)


def _misread(pattern: str, known: Callable[[str], bool]) -> Iterator[Misread]:
    at, inside = 0, False
    while at < len(pattern):
        found = (IN_CLASS if inside else SIGN).match(pattern, at)
        assert found is not None, "any sign is one"
        kind, text = found.lastgroup, found[0]
        told: Told | None = None
        if kind == "property":
            told = None if known(text) else _property(found["name"], text[1], known)
        elif inside and kind == "escape" and text[1:2] in PLACES:
            told = _place(text)
        elif kind in TELLING:
            told = TELLING[kind](text)
        if told:
            detail, fix = told
            # A class in a class would be one of Java's again.
            yield Misread(found.span(), detail, _bare(fix) if inside else fix)
        inside = kind == "open" or (inside and kind != "end")
        at = found.end()


def _bare(fix: str) -> str:
    """The fix as it stands in a class: without brackets of its own, and of one that excludes
    something all that is left."""
    if fix == ESCAPES["R"][1]:
        return r"Write \\n\\r."
    found = BRACKETS.search(fix)
    if found is None:
        return fix
    return f"{fix[: found.start()]}{_others(found[2]) if found[1] else found[2]}."


def _others(members: str) -> str:
    """The members of the class that has all but these."""
    if members[:2] == "\\\\" and members[2] in "pswd":  # a class by its name
        return members[:2] + members[2].upper() + members[3:]
    ends: list[tuple[int, int]] = []
    signs = list(MEMBER.finditer(members))
    at = 0
    while at < len(signs):
        is_range = signs[at + 1 : at + 2] and signs[at + 1][0] == "-" and at + 2 < len(signs)
        last = at + 2 if is_range else at
        ends.append((_code(signs[at]), _code(signs[last])))
        at = last + 1
    left, start = "", 0
    for first, last in sorted(ends):
        if first > start:
            left += _span(start, first - 1)
        start = max(start, last + 1)
    return left + _span(start, LAST)


def _code(sign: re.Match[str]) -> int:
    return int(sign[1], 16) if sign[1] else ord(SIGNS[sign[2]] if sign[2] else sign[3])


def _span(first: int, last: int) -> str:
    written = rf"\\x{{{first:X}}}"
    return written if first == last else rf"{written}-\\x{{{last:X}}}"


def _possessive(text: str) -> Told:
    return f"{text}, which gives nothing back, is not known", f"Write {text[:-1]}."


def _least(text: str) -> Told:
    return f"{text} stands for these signs themselves", f"Write {{0{text[1:]}."


def _both(_: str) -> Told:
    return (
        "&& is two signs of the class here, and in Java what two classes have in common",
        "Write out the characters that are meant; & once for the sign.",
    )


def _posix(text: str) -> Told:
    told = f"{text} is a class by name here, and in Java these signs"
    name = text.strip("[:^]").capitalize()
    meant = PROPERTIES.get({"Xdigit": "XDigit"}.get(name, name), r"\\w")
    return told, f"Write [{'^' * ('^' in text)}{meant}]."


def _inner(_: str) -> Told:
    return (
        "[ in a class is the sign itself here, and in Java a class within the class",
        r"Write the characters in one class; \\[ for the sign.",
    )


def _escape(text: str) -> Told | None:
    letter = text[1:2]
    if text == r"\b":
        return None
    if letter == "c" and len(text) > 2:
        code = ord(text[2]) ^ 64
        return f"{text}, a control sign, is not known", rf"Write \\x{{{code:X}}}."
    if letter == "u" and len(text) > 6:
        high, low = int(text[2:6], 16), int(text[8:], 16)
        code = 0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF)
        return f"{text} is not known", rf"Write \\x{{{code:X}}}."
    if letter == "u" and len(text) > 2 and 0xD800 <= int(text[2:], 16) < 0xE000:
        told = f"{text}, half of a character, is not known"
        return told, r"Write the whole character, such as \\x{1F600}."
    if letter == "u" and len(text) > 2:
        return f"{text} is not known", rf"Write \\x{{{text[2:]}}}."
    return ESCAPES.get(letter)


def _place(text: str) -> Told:
    what = f"{text} is {PLACES[text[1]]}, and no character of a class"
    backspace = r"; \\x08 is a backspace" * (text[1] == "b")
    return what, f"Write it outside of the class{backspace}."


def _number(text: str) -> Told | None:
    digits = text[1:]
    if digits[0] != "0":
        if len(digits) == 1:
            return BACK
        return (
            f"{text} is a character by its number here, and in Java what a group found",
            AGAIN,
        )
    octal = digits[1:4] if digits[1:2] <= "3" else digits[1:3]
    if not octal:
        return r"\0 alone is the sign 0 here, and nothing in Java", r"Write \\x00."
    if len(octal) < 3:
        return None
    return (
        f"{text} is read by its first two digits here, and by three in Java",
        rf"Write \\x{{{int(octal, 8):X}}}.",
    )


def _group(text: str) -> Told | None:
    inner = text[2:]
    if inner in LOOKING:
        return f"Looking {LOOKING[inner]} is not known", "Ask for it in a condition of its own."
    if inner == ">":
        return "(?>...), which gives nothing back, is not known", "Write (?:...)."
    if inner == "P=":
        return BACK
    wrong = next((flag for flag in inner.split(":")[0] if flag in FLAGS), None)
    if wrong is None or "<" in inner:
        return None
    return FLAGS[wrong], "Take it out; known are i, m and s."


TELLING: dict[str | None, Callable[[str], Told | None]] = {
    "number": _number,
    "escape": _escape,
    "possessive": _possessive,
    "least": _least,
    "group": _group,
    "both": _both,
    "posix": _posix,
    "inner": _inner,
}


def _property(name: str, letter: str, known: Callable[[str], bool]) -> Told:
    """letter: p, or P for what is not of the class."""
    told = f"The class {name} is not known"
    meant = PROPERTIES.get(name)
    if meant is None:
        last = name.rpartition("=")[2]
        script = last[2:].lstrip("_") if last[:2] in ("Is", "In") else last
        # Java reads its name in any letter case.
        script = "_".join(word.capitalize() for word in script.split("_"))
        if not known(rf"\p{{{script}}}"):
            return told, r"Write a category or a script, such as \\p{Lu} or \\p{Greek}."
        return told, rf"Write \\{letter}{{{script}}}."
    return told, f"Write [{'^' * (letter == 'P')}{meant}]."
