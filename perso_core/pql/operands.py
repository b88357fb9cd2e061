"""A rule's skeleton as what it joins: the operands of and, or and not around everything else.

Rules are joined of a few parts in very many ways. Taken apart like this, a part that was seen
before needs no reading, wherever it stands. Only what is certain is taken apart: where a word may
mean something else, the text stays whole.
"""

from __future__ import annotations

import re

from msgspec import Struct

# Where a literal was, in a skeleton: what is said of it stands between the two.
HERE, THERE = "\0", "\1"

# More than so many signs, or operands of one kind, are left to the compiler: it joins long lists
# in other ways.
MAX_SIGNS = 100
MAX_AND = 16
MAX_OR = 3


def _balanced(levels: int) -> str:
    """The inside of a bracket, with brackets so many levels deep; nothing is looked at twice."""
    inner = r"[^()]*+"
    for _ in range(levels):
        inner = rf"[^()]*+(?:\({inner}\)[^()]*+)*+"
    return inner


# What a function is called with is one sign, usually: nothing in it joins operands of the rule.
# What is said of a literal has none of these in it.
SIGN = re.compile(
    rf"""\((?<=[\w$].)(?i:(?<!and.)(?<!or.)(?<!not.)){_balanced(3)}\) | [()\[\]{{}}] | => | !(?!=)
      | [abeflmnoswABEFLMNOSW](?<![\w$@.].)(?i:(?<=a)nd|(?<=o)r|(?<=n)ot|(?<=b)etween|(?<=s)elect
        |(?<=l)et|(?<=o)ver|(?<=w)here|(?<=f)rom|(?<=e)xists|(?<=f)orall|(?<=s)um|(?<=a)verage
        |(?<=m)in|(?<=m)ax)(?![\w$])""",
    re.VERBOSE,
)
CLOSES = {")": "(", "]": "[", "}": "{"}
OPENS = frozenset(CLOSES.values())
NOT = frozenset(("not", "!"))
JOINS = frozenset(("and", "or"))

# None for a part, else the word and what it joins.
Way = tuple[str, tuple["Way", ...]] | None


class Join(Struct, frozen=True, gc=False):
    """way: how the parts are joined. parts: from where to where each stands, in order."""

    way: Way
    parts: tuple[tuple[int, int], ...]


def join_of(skeleton: str) -> Join | None:
    """What the rule joins; None where it is one part, or where it is not certain."""
    reader = _Reader(skeleton)
    if not reader.clear or len(reader.signs) > MAX_SIGNS:
        return None
    way = reader.join(0, len(skeleton), 0, len(reader.signs))
    return way and Join(way, tuple(reader.parts))


class _Reader:
    """Takes apart ranges of the skeleton, each given with the range of the signs in it.

    signs: (from, to, the sign). closes: for each opening bracket where it is closed,
    by their numbers. clear: every bracket is closed. parts: found so far, in order.
    """

    def __init__(self, skeleton: str) -> None:
        self.skeleton = skeleton
        self.signs: list[tuple[int, int, str]] = []
        self.closes: dict[int, int] = {}
        self.parts: list[tuple[int, int]] = []
        self.clear = self._find()

    def _find(self) -> bool:
        opened: list[int] = []
        signs, closes = self.signs, self.closes
        for match in SIGN.finditer(self.skeleton):
            sign = match[0]
            if len(sign) > 1 and sign[0] == "(":
                continue
            if sign in OPENS:
                opened.append(len(signs))
            elif sign in CLOSES:
                if not opened or signs[opened[-1]][2] != CLOSES[sign]:
                    return False
                closes[opened.pop()] = len(signs)
            signs.append((*match.span(), sign))
        return not opened

    def join(self, start: int, end: int, first: int, last: int) -> Way:
        """What stands there joins; None, and no part, where it is not certain that it does."""
        before = len(self.parts)
        found = self._join(start, end, first, last)
        if found is None or len(found[1]) > (MAX_OR if found[0] == "or" else MAX_AND):
            del self.parts[before:]
            return None
        return found

    def _join(self, start: int, end: int, first: int, last: int) -> Way:
        alternatives: list[Way] = []
        operands: list[Way] = []
        begins = at = first
        while at <= last:
            place, after, sign = self.signs[at] if at < last else (end, end, "or")
            if sign in OPENS:
                at = self.closes[at] + 1
                continue
            sign = sign.lower()
            if sign in JOINS:
                if not self.operand(operands, start, place, begins, at):
                    return None
                if sign == "or":
                    alternatives.append(_joined("and", operands))
                    operands = []
                start, begins = after, at + 1
            elif sign not in NOT or not self.negated(start, place, begins, at):
                return None
            at += 1
        return _joined("or", alternatives)

    def negated(self, start: int, place: int, begins: int, at: int) -> bool:
        """Whether nothing but negations stand before this one."""
        if not self.skeleton[start:place].strip():
            return True
        return all(sign.lower() in NOT for _, _, sign in self.signs[begins:at])

    def operand(self, operands: list[Way], start: int, end: int, first: int, last: int) -> bool:
        """Adds what stands between two words; False where that is not certain."""
        skeleton = self.skeleton
        while start < end and skeleton[start].isspace():
            start += 1
        while end > start and skeleton[end - 1].isspace():
            end -= 1
        if start == end:
            return False
        if first < last and self.signs[first][0] == start:
            _, after, sign = self.signs[first]
            if sign.lower() in NOT:
                inner: list[Way] = []
                if not self.operand(inner, after, end, first + 1, last):
                    return False
                operands.append(("not", tuple(inner)))
                return True
            close = self.closes.get(first)
            if sign == "(" and close is not None and self.signs[close][1] == end:
                joined = self.join(after, self.signs[close][0], first + 1, close)
                if joined is not None:
                    operands.append(joined)
                    return True
        operands.append(None)
        self.parts.append((start, end))
        return True


def _joined(word: str, operands: list[Way]) -> Way:
    """`a and (b and c)` joins what `a and b and c` does."""
    if len(operands) == 1:
        return operands[0]
    flat: list[Way] = []
    for operand in operands:
        flat.extend(operand[1] if operand is not None and operand[0] == word else [operand])
    return word, tuple(flat)
