"""A decision whose rules take long is made in parts. Each part begins the decision anew, takes what
the parts before found, and goes further; only the last one reaches the end, and only that one
changes anything.

Reads no clock and waits for nothing; an Ahead is changed by each part. The decision is the same as
at one go, since the same is asked, in the same order, of the same objects (begin).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from perso_core.pql.chains import StepsSpent
from perso_core.pql.compiler import CompiledRule, Verdict
from perso_core.rules.judging import Over
from perso_core.rules.program import Parts

T = TypeVar("T")

# What has more to go through is run aside: a loop over 5,000 events takes some 15,000, up to 20 ms.
PART_STEPS = 50_000

# The profile as rules see it, made only when a rule has to be run.
View = Callable[[], Mapping[str, Any]]


class NotYet(Exception):
    """A part is over, and the decision is not made: begin it anew."""


class Ahead:
    """What the parts of one decision came to so far, in the order in which it is asked for."""

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self.anew = 0  # how often it was begun from nothing
        # What was asked, and what came of it.
        self._known: list[tuple[tuple[object, ...], Any]] = []
        # The last one, and its number: to make it takes as long as to run a rule.
        self._made: tuple[int, Mapping[str, Any]] | None = None
        self._place = self._number = 0
        self._enough: Callable[[], bool] = _never
        # What is asked next, where it takes too long for a part: see found.
        self.aside: Callable[[], Verdict] | None = None
        self._asked_aside: tuple[object, ...] = ()

    def part(self, enough: Callable[[], bool]) -> Ahead:
        """A part begins, which is over once that is enough: asked before each thing that is not
        known yet. Itself."""
        self._enough = enough
        return self

    def begin(self, of: tuple[object, ...]) -> None:
        """The decision begins. of: all that it hangs on; where one of these is another object than
        before, nothing is known of it."""
        if len(of) != len(self._of) or any(
            one is not other for one, other in zip(of, self._of, strict=True)
        ):
            self.forget()
            self.anew += 1
        self._of = of
        self._place = self._number = 0

    def forget(self) -> None:
        """It begins from nothing once more."""
        self._of = ()
        self._known.clear()
        self.rest()

    @property
    def unpacked(self) -> bool:
        """Whether it has what takes room."""
        return self._made is not None or self.aside is not None

    def rest(self) -> None:
        """What takes room is let go, and made once more where it is needed."""
        self._made = self.aside = None

    def found(self, verdict: Verdict) -> None:
        """What came of `aside`, which only reads, and may be called in any thread. To be told
        before the next part begins."""
        assert self.aside is not None, "something was to be run"
        self._known.append((self._asked_aside, verdict))
        self.aside = None

    def seen(self, view: View) -> Seen:
        """The profile for the next set of rules that is asked."""
        self._number += 1
        return Seen(self, self._number, view)

    def made(self, number: int, view: View) -> Mapping[str, Any]:
        if self._made is None or self._made[0] != number:
            self._made = number, view()
        return self._made[1]

    def once(self, asked: tuple[object, ...], find: Callable[[], T]) -> T:
        """What is found, or was by an earlier part. Raises NotYet."""
        place = self._place
        if place < len(self._known):
            before, found = self._known[place]
            if before == asked:
                self._place += 1
                known: T = found
                return known
            del self._known[place:]
        if self._enough():
            raise NotYet
        new = find()
        self._known.append((asked, new))
        self._place += 1
        return new

    def verdict(
        self, asked: tuple[object, ...], rule: CompiledRule, view: View, now_ms: int
    ) -> Verdict:
        """As once, of a rule."""

        def run() -> Verdict:
            profile = view()
            try:
                return rule.evaluate(profile, now_ms, steps=PART_STEPS)
            except StepsSpent:
                self.aside, self._asked_aside = partial(rule.evaluate, profile, now_ms), asked
                raise NotYet from None

        return self.once(asked, run)


class Seen:
    """A profile as rules see it, and whom they are run by. As a View it is the profile itself."""

    __slots__ = ("_ahead", "_number", "_view")

    def __init__(self, ahead: Ahead, number: int, view: View) -> None:
        self._ahead = ahead
        self._number = number
        self._view = view

    def __call__(self) -> Mapping[str, Any]:
        return self._ahead.made(self._number, self._view)

    def once(self, what: str, find: Callable[[], T]) -> T:
        """As Ahead.once."""
        return self._ahead.once((self._number, what), find)

    def held(self, parts: Parts, view: View, now_ms: int) -> Over:
        """Which of a rule's silent parts hold. Raises NotYet."""
        asked = self._number, parts, now_ms
        return self._ahead.once(asked, lambda: parts.held_over(view(), now_ms))

    def verdict(self, rule: CompiledRule, view: View, now_ms: int) -> Verdict:
        """The rule's, of the profile that view gives. Raises NotYet."""
        return self._ahead.verdict((self._number, rule, now_ms), rule, view, now_ms)


def _never() -> bool:
    return False
