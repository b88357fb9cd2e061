"""An explanation as text that a marketer reads."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent

from msgspec import Struct

from perso_core.pql.explain import Explanation, deciding, reason, small
from perso_core.pql.instants import iso
from perso_core.pql.lacking import lacking
from perso_core.pql.seen import EventSeen, StepSeen
from perso_core.pql.windows import FOREVER_MS
from perso_core.pql.words import kind_words, spaced

STEP = "  "


class Standing(Struct, frozen=True):
    """What is known of a membership besides its rule. since_ms: when it began, or ended where the
    profile is not in the audience; None: it never was in, or nothing is kept of it."""

    name: str
    since_ms: int | None = None


def told(explanation: Explanation, standing: Standing) -> str:
    """The answer in a sentence, until when it holds, and the parts of the rule."""
    lines = [headline(explanation, standing), *_until(explanation)]
    if not explanation.holds:
        lines += ["", *_lacks(explanation)]
    lines += ["", "The rule, part by part:", indent("\n".join(_parts(explanation, True)), STEP)]
    return "\n".join(lines)


def headline(explanation: Explanation, standing: Standing) -> str:
    """`In “Gold” since 2026-03-15 12:26 UTC. Loyalty points is 1,250; needs at least 1,000.`"""
    why = _why(explanation)
    since = iso(standing.since_ms) if standing.since_ms is not None else ""
    if explanation.holds:
        return f"In “{standing.name}”{since and f' since {since}'}. {why}"
    return f"Not in “{standing.name}”{since and f', which it left at {since}'}. {why}"


def _why(explanation: Explanation) -> str:
    """The part that decides; of one that asks for an audience, what decides there."""
    because = deciding(explanation).because
    if because is not None:
        why = deciding(explanation).says.rstrip(".")
        return f"{why}: {small(_why(because))}"
    why = reason(explanation).removeprefix("Not in: ")
    # Names and parts of the rule keep their letters, as in any sentence.
    return why[0].upper() + why[1:] if why.split(" ", 1)[0].isalpha() else why


def _until(explanation: Explanation) -> Iterator[str]:
    if explanation.until_ms < FOREVER_MS:
        ends = "this ends" if explanation.holds else "it enters"
        yield f"If nothing else happens, {ends} at {iso(explanation.until_ms)}."
    elif explanation.holds:
        yield "Time alone does not end it."


def _lacks(explanation: Explanation) -> Iterator[str]:
    missing = lacking(explanation)
    if not missing.parts:
        yield "No change of its parts would bring this profile in."
        return
    number = len(missing.parts)
    least = "" if missing.exact else ", as far as was tried"
    what = "one thing has" if number == 1 else f"{number} things have"
    yield f"To be in, at least {what} to be otherwise{least}:"
    for part in missing.parts:
        yield f"{STEP}- {part.says}"


def _parts(part: Explanation, wanted: bool) -> Iterator[str]:
    if part.kind == "not":
        yield from _parts(part.children[0], not wanted)
        return
    mark = "yes" if part.holds == wanted else "no "
    if part.kind in ("and", "or"):
        # An `or` that must not hold wants each of its parts not to.
        every = (part.kind == "and") == wanted
        yield f"{mark}  {'all' if every else 'one'} of these:"
        for child in part.children:
            yield from (f"{STEP * 2} {line}" for line in _parts(child, wanted))
        return
    yield f"{mark}  {part.says}"
    for step in part.steps:
        yield from (f"{STEP * 2} {line}" for line in _step(step, alone=len(part.steps) == 1))
    if part.because is not None:
        yield from (f"{STEP * 2} {line}" for line in _parts(part.because, True))


def _step(step: StepSeen, *, alone: bool) -> Iterator[str]:
    number = f"{step.found} event{'s' * (step.found != 1)}, {step.needs} needed"
    if step.needs.isdigit() and step.found < int(step.needs):
        number = f"{step.found} of the {step.needs} needed"
    elif step.needs.startswith("at least ") and not step.holds:
        number = f"{step.found} of the {step.needs.removeprefix('at least ')} needed"
    if not alone:
        yield f"{step.label}: {step.says}, {number}"
    elif step.events or step.needs != "1":
        yield f"{number}:" if step.events else number
    for event in step.events:
        yield f"- {_event(event)}"
    if step.found > len(step.events) > 0:
        yield f"- and {step.found - len(step.events):,} before"


def _event(event: EventSeen) -> str:
    kind = kind_words(event.event_type) if event.event_type else "event"
    values = ", ".join(f"{path_name(path)} {words}" for path, words in event.values.items())
    return f"{iso(event.at_ms)}: {kind}" + (f" with {values}" if values else "")


def path_name(path: str) -> str:
    """The end of a path, in words."""
    return spaced(path.rpartition(".")[2])
