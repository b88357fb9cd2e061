"""What the rules of one shape have in common: all that compiling the first of them found out.

Two texts have one shape when they differ in nothing but literals that do not matter to it: the
text in `tier = "gold"`, the number in `points >= 1000`, the length of a window. Others do: the
name of a test, the parts of a date, whatever the checker asks about. Which ones matter is seen when
the first rule is compiled: a literal is free when the compiled functions have it as a constant and
nothing else was made of it. Those that Python or the language give a meaning of their own (0, 1,
"true", "false", "") matter always.

A rule of a known shape takes about 10 µs, one joined anew of known parts 25, a new part 150 to 200
(bench/pql_compile.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from types import CodeType

from msgspec import Struct

from perso_core.pql.code import linked
from perso_core.pql.event_paths import one_in_another
from perso_core.pql.forms import Compiled, Form, Linked, Parts
from perso_core.pql.operands import HERE, THERE
from perso_core.pql.patterns import BadPattern
from perso_core.pql.source import Span
from perso_core.pql.types import NO_AUDIENCES, EventGuard, Reads

# A longer text is compiled for itself.
MAX_TEXT = 4_096
# So many shapes are kept; an installation has a few hundred.
KEPT = 4_096
# For each, so many values of the literals that matter.
KEPT_FORMS = 8

# Literals as the lexer has them: texts, and numbers that begin no name and end none.
# What can begin one stands first: to that Python looks on quickly.
LITERAL = re.compile(
    r"""(["0-9](?:(?<=")[^"\\]*(?:\\.[^"\\]*)*"
      | (?<=[0-9])(?<![\w$@.].)[0-9]{0,14}(?:\.[0-9]{1,15})?(?![\w$@.])))""",
    re.VERBOSE | re.DOTALL,
)
PLAIN = re.compile(r"[^%_]+")
SPECIAL = frozenset(('""', '"true"', '"false"', "0", "1"))


class Text:
    """A rule's text taken apart: what is between its literals, and the literals.

    skeleton: the text with what is said of each literal in its place. shape: what is known of
    texts with this skeleton and the same event window.
    """

    __slots__ = ("event_window_ms", "literals", "shape", "skeleton")

    def __init__(
        self, skeleton: str, literals: tuple[str, ...], event_window_ms: int, shape: Shape
    ) -> None:
        self.skeleton = skeleton
        self.literals = literals
        self.event_window_ms = event_window_ms
        self.shape = shape

    def remembered(self) -> Compiled | None:
        """The rule, where another of its shape was compiled before."""
        return self.shape.compiled(self.literals)

    def parts(self, places: Iterable[tuple[int, int]]) -> list[Text] | None:
        """The texts at these places of the skeleton; None when a literal is in none of them."""
        found: list[Text] = []
        whole, literals, event_window_ms = self.skeleton, self.literals, self.event_window_ms
        at = 0
        for start, end in places:
            skeleton = whole[start:end]
            after = at + skeleton.count(HERE)
            shape = _shape_of_part(skeleton, event_window_ms)
            found.append(Text(skeleton, literals[at:after], event_window_ms, shape))
            at = after
        return found if at == len(literals) else None

    def whole(self) -> str:
        """The text itself."""
        pieces = PLACE.split(self.skeleton)
        found = [*pieces, *self.literals]
        found[::2], found[1::2] = pieces, self.literals
        return "".join(found)

    def places(self) -> Iterator[tuple[Span, int]]:
        """Where each literal stands in the text, and which one it is."""
        moved = 0  # how much further a place is in the text than in the skeleton
        for number, match in enumerate(PLACE.finditer(self.skeleton)):
            start = match.start() + moved
            length = len(self.literals[number])
            yield (start, start + length), number
            moved += length - len(match[0])


def taken_apart(text: str, event_window_ms: int) -> Text | None:
    """None for a text that nothing is kept of: it is too long, or has our own signs in it."""
    if len(text) > MAX_TEXT or HERE in text or THERE in text:
        return None
    pieces = LITERAL.split(text)
    literals = tuple(pieces[1::2])
    pieces[1::2] = [HERE + _kind(literal) + THERE for literal in literals]
    skeleton = "".join(pieces)
    if SUBTRACTED in skeleton:  # 2026-01-01 is told to be no day, 10-5-1 is not
        return None
    return Text(skeleton, literals, event_window_ms, _shape(skeleton, event_window_ms))


SUBTRACTED = f"{HERE}9{THERE}-{HERE}"
PLACE = re.compile(f"{HERE}[^{THERE}]*{THERE}")


def _kind(literal: str) -> str:
    """What the shape says of a literal: all of it when it may mean something else. No sign that
    joins operands is in it."""
    if literal in SPECIAL:
        return literal
    if "\\" in literal:
        return "\\" + literal.encode("utf-8", "surrogatepass").hex()
    if literal[0] == '"':
        # What `like` makes of a text depends on where its wildcards are.
        wild = "%" in literal or "_" in literal
        return '"' + PLAIN.sub("x", literal[1:-1]) if wild else '"'
    if "." not in literal:
        return "9"
    return literal if float(literal) in (0, 1) else "9."


def _matters(literal: str) -> bool:
    """Whether the shape says all of the literal."""
    return "\\" in literal or _kind(literal) == literal


class Shape:
    """What is known of the rules of one shape.

    first: the first rule, while no other was seen: most shapes have but one. fixed: which literals
    matter. forms: by what these say. joined: in place of all that, where the rule joins parts.
    """

    __slots__ = ("first", "fixed", "forms", "joined")

    def __init__(self) -> None:
        self.first: tuple[Parts, Text] | None = None
        self.fixed: tuple[int, ...] | None = None
        self.forms: dict[tuple[str, ...], Form] = {}
        self.joined: Joined | None = None

    def compiled(self, literals: Sequence[str]) -> Compiled | None:
        """The rule with these literals; None where it has to be compiled in full."""
        if self.joined is not None:
            return self.joined.compiled(literals)
        if self.first is not None:
            first, self.first = self.first, None
            self._keep(*first)
        fixed = self.fixed
        if fixed is None:
            return None
        form = self.forms.get(tuple([literals[at] for at in fixed]) if fixed else ())
        try:
            return None if form is None else form.compiled(literals)
        except BadPattern:
            return None  # compiled in full, it tells where

    def remember(self, parts: Parts, text: Text) -> None:
        """parts: of the rule of this text."""
        if self.fixed is None:
            self.first = (parts, text)
        else:
            self._keep(parts, text)

    def _keep(self, parts: Parts, text: Text) -> None:
        meant = [n for n, one in enumerate(text.literals) if _matters(one)]
        form = Form(parts, dict(text.places()), meant)
        if self.fixed is None:
            self.fixed = form.fixed
        # A rule whose literals matter otherwise than those of the first stays on its own.
        if self.fixed == form.fixed:
            if len(self.forms) == KEPT_FORMS:
                self.forms.clear()
            self.forms[tuple([text.literals[at] for at in form.fixed])] = form


@lru_cache(maxsize=KEPT)
def _shape(skeleton: str, event_window_ms: int) -> Shape:
    return Shape()


# Parts on their own: thousands of rules that are each joined in another way, of a few hundred
# parts, would drive these out.
@lru_cache(maxsize=KEPT)
def _shape_of_part(skeleton: str, event_window_ms: int) -> Shape:
    return Shape()


def forget() -> None:
    """Every shape: the next rule of each is compiled in full."""
    _shape.cache_clear()
    _shape_of_part.cache_clear()


# ---- rules joined of parts --------------------------------------------------


class Part(Struct, frozen=True, gc=False):
    """One part of a rule: its shape, and how many of the rule's literals are its own."""

    shape: Shape
    literals: int


class Joined(Struct, frozen=True, gc=False):
    """A rule of parts that were compiled each for itself.

    code: joins them. order: which of them it takes, and in which order. profile_paths, now: as in
    Reads; they are those of all rules of the shape.
    """

    code: CodeType
    order: tuple[int, ...]
    parts: tuple[Part, ...]
    exact: bool
    profile_paths: frozenset[str]
    now: bool

    def compiled(self, literals: Sequence[str]) -> Compiled | None:
        found: list[Compiled] = []
        at = 0
        for part in self.parts:
            after = at + part.literals
            one = part.shape.compiled(literals[at:after])
            if one is None:
                return None
            found.append(one)
            at = after
        return self.of(found)

    def of(self, parts: Sequence[Compiled]) -> Compiled:
        """The rule of these parts, in the order of the text."""
        audiences = NO_AUDIENCES
        events: tuple[EventGuard, ...] = ()
        for part in reversed(parts):  # as reading the whole rule gives them
            audiences = (
                audiences | part.reads.audience_ids if part.reads.audience_ids else audiences
            )
            events += part.reads.events
        guards = tuple(dict.fromkeys(events)) if len(events) > 1 else events
        of_events = one_in_another(set().union(*[part.reads.event_paths for part in parts]))
        reads = Reads(self.profile_paths, audiences, guards, self.now, of_events)
        return Compiled(reads, self.exact, Joining(self, tuple(parts)))


class Joining(Struct, frozen=True, eq=False, gc=False):
    """A joined rule with its parts: makes its functions."""

    joined: Joined
    parts: tuple[Compiled, ...]

    def __call__(self) -> Linked:
        found = tuple([self.parts[number].link().test for number in self.joined.order])
        test = linked(self.joined.code, found)
        return Linked(test, test)
