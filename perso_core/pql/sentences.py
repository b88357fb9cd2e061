"""Sentences: what was found, what the rule wants of it, and what came of a chain's steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perso_core.pql.kinds import labels_in
from perso_core.pql.nodes import And, Chain, Node, Step
from perso_core.pql.seen import Asking, StepSeen, chain_seen, least, needs_words
from perso_core.pql.windows import FOREVER_MS
from perso_core.pql.words import (
    amount_words,
    chain_words,
    condition_words,
    event_words,
    is_event_type,
    span_words,
    step_words,
    until_words,
    window_words,
)


def sentence(words: str) -> str:
    """The words as a sentence; names of fields and signs keep their letters."""
    first = words.split(" ", 1)[0]
    plain = first.isalpha()
    return (words[0].upper() + words[1:] if plain else words) + "."


def wants_that(fact: str, want: str, wants: bool, *, needs: bool = False) -> str:
    """What was found, and what the rule wants of it or excludes. needs: it is a number."""
    verb = ("needs" if needs else "the rule wants") if wants else "the rule excludes"
    return sentence(f"{fact}; {verb} {want if wants else _excluded(want)}")


def _excluded(want: str) -> str:
    """What is wanted, as it is said of what is excluded: "3 or more" for "at least 3"."""
    for bound, other in (("at least ", "or more"), ("at most ", "or less")):
        if want.startswith(bound):
            return f"{want.removeprefix(bound)} {other}"
    return want


class ChainSentences:
    """What is told of chains over one profile's events. asking: see chain_seen."""

    def __init__(
        self, view: Mapping[str, Any], now_ms: int, event_window_ms: int, asking: Asking
    ) -> None:
        self.view = view
        self.now_ms = now_ms
        self.event_window_ms = event_window_ms
        self.asking = asking

    def told(
        self,
        chain: Chain,
        steps: tuple[StepSeen, ...],
        *,
        holds: bool,
        wants: bool,
        until_ms: int,
    ) -> tuple[str, str]:
        """The sentence, and what was found."""
        ends = "" if until_ms >= FOREVER_MS else until_words(until_ms, self.now_ms)
        if not steps:
            return _elsewhere(chain, holds=holds, wants=wants)
        if len(steps) > 1:
            return self.sequence(chain, steps, ends, holds=holds, wants=wants)
        (step,), (seen,) = chain.steps, steps
        if step.counts and step.counts != ((">=", 1),):
            found = f"{seen.found} {event_words(step, seen.found)} {self.when(step)}"
            return wants_that(found, seen.needs, wants, needs=True), str(seen.found)
        if not seen.found:
            return self.missing(chain, step, wants=wants), "none"
        words = self.dated(step, seen)
        return self.happened(words, ends, wants), words

    def happened(self, words: str, ends: str, wants: bool) -> str:
        if not wants:
            return sentence(f"{words}; the rule excludes it" + (ends and f" until {ends}"))
        return sentence(words + (ends and f"; counts until {ends}"))

    def sequence(
        self,
        chain: Chain,
        steps: tuple[StepSeen, ...],
        ends: str,
        *,
        holds: bool,
        wants: bool,
    ) -> tuple[str, str]:
        """What came after what, as far as it came."""
        told = [
            self.dated(step, seen)
            for step, seen in zip(chain.steps, steps, strict=True)
            if seen.holds
        ]
        words = " followed by ".join(told)
        if holds:
            return self.happened(words, ends, wants), words
        step, seen = chain.steps[len(told)], steps[len(told)]
        lacking = f"no {event_words(step)}"
        if seen.needs != "1":
            lacking = f"fewer than {least(step)} {event_words(step, least(step))}"
        if not told:
            fact = f"{lacking} {self.when(step)}"
            return wants_that(fact, chain_words(chain), wants), "none"
        labels = {one.label: event_words(one) for one in chain.steps}
        when = "".join(f" {window_words(window, labels)}" for window in step.windows)
        # A window that is measured from an earlier step says itself after what.
        after = "" if labels_in(step, list(labels)) else " after it"
        return sentence(f"{words}, and {lacking}{after}{when}"), words

    def dated(self, step: Step, seen: StepSeen) -> str:
        """The event, and how long ago the latest of them was, where one is told."""
        words = event_words(step)
        if not seen.events:
            return words
        # A condition may end in a number.
        comma = "" if any(map(is_event_type, step.conditions)) else ","
        return f"{words}{comma} {_ago(self.now_ms - seen.events[0].at_ms)}"

    def when(self, step: Step) -> str:
        if step.windows:
            return " and ".join(map(window_words, step.windows))
        days = self.event_window_ms // (24 * 3600 * 1000)
        return f"in the last {amount_words(days, 'day')}"

    def missing(self, chain: Chain, step: Step, *, wants: bool) -> str:
        """No event fits: whether one of the right type was there, with something else amiss."""
        parts = [c for condition in step.conditions for c in _conjuncts(condition)]
        typed = tuple(part for part in parts if is_event_type(part))
        others = [part for part in parts if not is_event_type(part)]
        seen = 0
        if typed and others:
            plain = Step(step.label, typed, step.windows, ())
            alone = Chain(chain.events, chain.order, (plain,))
            seen = chain_seen(alone, self.view, self.asking)[0].found
        subject = f"{event_words(step)} {self.when(step)}"
        if seen:
            rest = " and ".join(map(condition_words, others))
            found = f"{seen:,} {event_words(step, seen)} {self.when(step)}, none with {rest}"
            return sentence(found if wants else f"{found}; the rule wants none")
        return f"No {subject}." if wants else f"No {subject}; the rule wants none."


def _elsewhere(chain: Chain, *, holds: bool, wants: bool) -> tuple[str, str]:
    """Of a chain over a list of the profile's own: of its elements none is shown."""
    got = "found" if holds else "not found"
    words = " followed by ".join(
        f"{asked} ({needs_words(step)} needed)" if step.counts else asked
        for step, asked in zip(chain.steps, step_words(chain), strict=True)
    )
    excludes = "" if wants else f"; the rule {'excludes it' if holds else 'wants none'}"
    return sentence(f"{words}: {got}{excludes}"), got


def _conjuncts(node: Node) -> tuple[Node, ...]:
    return node.operands if isinstance(node, And) else (node,)


def _ago(ms: int) -> str:
    return f"{span_words(ms)} ago" if ms >= 0 else f"in {span_words(-ms)}"
