"""What RE2 says of a pattern that it does not take, in an author's words, and where it is."""

from __future__ import annotations

from collections.abc import Mapping

from perso_core.pql.java_patterns import IN_CLASS, SIGN, Span

# What is told, where it is in the pattern, and how to mend it.
Told = tuple[str, Span | None, str]

ONE_OF_RE2 = r"It has to be one of RE2; write \\ for one backslash."
# By what RE2's message begins with: what is told of the part that it names, and what to write in
# a rule, where a backslash is written twice.
SAID: Mapping[str, tuple[str, str]] = {
    "invalid escape sequence": (
        "{} is no escape",
        r"Write the sign without a backslash; \\\\ is a backslash itself.",
    ),
    "trailing \\": (
        "A backslash ends the pattern",
        r"Write \\\\ for a backslash itself, or take it out.",
    ),
    "missing )": ("A ( has no )", r"Write ) where the group ends, or \\( for the sign."),
    "unexpected )": (") closes nothing", r"Write ( where the group begins, or \\) for the sign."),
    "missing ]": (
        "A class has no end",
        r"Write ] where it ends, or \\[ for the sign; \\] is the sign in a class.",
    ),
    "invalid character class range": (
        "{} is no range of characters",
        r"Write the lower one first: [a-z]. In a class \\- is the sign.",
    ),
    "no argument for repetition operator": (
        "{} repeats nothing",
        r"Write before it what may come again; \\* is the sign.",
    ),
    "bad repetition operator": (
        "{} repeats what is repeated already",
        "Write one of them, or (?:...) around the inner one.",
    ),
    "invalid repetition size": (
        "{} is no number of times",
        "Write the lower number first, and 1000 at most.",
    ),
    "invalid perl operator": (
        "{} opens no group that is known",
        r"Known are (...), (?:...), (?<name>...), (?i), (?m) and (?s); \\( is the sign.",
    ),
    "pattern too large - compile failed": (
        "It takes too much memory",
        "Write fewer repetitions, or shorter ones.",
    ),
    "invalid named capture group": (
        "{} has no name that a group can have",
        "Write letters and digits: (?<name>...).",
    ),
}


def told_of(message: str, pattern: str) -> Told:
    """message: as RE2 has it, `what is wrong: the part`."""
    cause, _, part = message.partition(": ")
    known = SAID.get(cause)
    if known is None:
        return message, None, ONE_OF_RE2
    detail, fix = known
    if cause == "trailing \\":
        return detail, (len(pattern) - 1, len(pattern)), fix
    if cause in ("missing )", "unexpected )"):
        return detail, _bracket(pattern), fix
    at = pattern.find(part)
    if cause == "missing ]":
        return detail, (at, at + 1) if at >= 0 else None, fix
    return detail.format(part), (at, at + len(part)) if part and at >= 0 else None, fix


def _bracket(pattern: str) -> Span | None:
    """The first bracket that closes nothing, else the last one that nothing closes."""
    opened: list[int] = []
    at, inside = 0, False
    while at < len(pattern):
        found = (IN_CLASS if inside else SIGN).match(pattern, at)
        assert found is not None, "any sign is one"
        kind = found.lastgroup
        if not inside and kind != "quoted":
            if found[0] == "(" or (kind == "group" and not found[0].endswith(")")):
                opened.append(at)
            elif found[0] == ")" and not opened:
                return found.span()
            elif found[0] == ")":
                opened.pop()
        inside = kind == "open" or (inside and kind != "end")
        at = found.end()
    return (opened[-1], opened[-1] + 1) if opened else None
