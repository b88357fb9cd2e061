"""The report of an import, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from msgspec import Struct

from perso_core.definitions.finding import shown
from perso_core.definitions.imported_outcome import Becomes, Outcome, Reason

# How a line begins, by what became of the definition; `!` where it comes with notes.
MARKS: Mapping[Becomes, str] = {
    "imported": "+",
    "replaced": "*",
    "unchanged": "=",
    "refused": "x",
    "skipped": "-",
}
NOTED = "!"
# A note that more definitions share is told once, at the end.
FOLDED_FROM = 4


class Report(Struct, frozen=True):
    """What became of every definition, in the order given, and what is to be said of all."""

    outcomes: tuple[Outcome, ...]
    remarks: tuple[str, ...]

    def count(self, becomes: Becomes) -> int:
        return sum(outcome.becomes == becomes for outcome in self.outcomes)

    @property
    def refused(self) -> bool:
        return self.count("refused") > 0

    @property
    def summary(self) -> str:
        """`38 imported, 2 refused, 1 skipped`; what did not come about is left out."""
        counts = ((self.count(one), one) for one in get_args(Becomes))
        told = ", ".join(f"{count:,} {becomes}" for count, becomes in counts if count)
        return told or "No definitions were given"


def report_lines(report: Report) -> Iterator[str]:
    """A line for each definition, reasons and notes below it; then notes that many share."""
    shared = Counter(note for outcome in report.outcomes for note in outcome.notes)
    folded = {note: count for note, count in shared.items() if count >= FOLDED_FROM}
    for outcome in report.outcomes:
        notes = [note for note in outcome.notes if note not in folded]
        yield _headline(outcome, noted=bool(notes))
        for reason in outcome.reasons:
            yield from _reason_lines(reason)
        yield from (f"    {note}" for note in notes)
    for note, count in folded.items():
        yield f"{NOTED} in {count:,} definitions: {note}"
    yield from (f"{NOTED} {remark}" for remark in report.remarks)


def _headline(outcome: Outcome, *, noted: bool) -> str:
    mark = NOTED if noted and outcome.becomes == "imported" else MARKS[outcome.becomes]
    named = shown(outcome.name) if outcome.name else "(no name)"
    known = f" {shown(outcome.id)[1:-1]}" if outcome.id else ""
    edge = f" ({outcome.audience.edge})" if outcome.audience else ""
    place = f" at {outcome.place}" if outcome.audience is None else ""
    return f"{mark} {outcome.becomes} {named}{known}{edge}{place}"


def _reason_lines(reason: Reason) -> Iterator[str]:
    place = f"rule {reason.line}:{reason.column}: " if reason.line else ""
    yield f"    {place}{reason.detail}"
    for line in reason.excerpt.split("\n") if reason.excerpt else ():
        # No control character of a stranger's file reaches a terminal.
        yield "        " + "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in line)
    if reason.fix:
        yield f"    {reason.fix}"


def report_data(report: Report, *, written: str | None) -> dict[str, Any]:
    """The same as JSON has it. written: where the audiences went; None: nowhere."""
    return {
        "counts": {becomes: report.count(becomes) for becomes in get_args(Becomes)},
        "written": written,
        "remarks": report.remarks,
        "definitions": [_outcome_data(outcome) for outcome in report.outcomes],
    }


def _outcome_data(outcome: Outcome) -> dict[str, Any]:
    audience = outcome.audience
    return {
        "place": outcome.place,
        "id": outcome.id,
        "name": outcome.name,
        "becomes": outcome.becomes,
        "edge": audience.edge if audience else None,
        "eventWindowDays": audience.event_window_days if audience else None,
        "reasons": [_reason_data(reason) for reason in outcome.reasons],
        "notes": outcome.notes,
        "notKept": outcome.not_kept,
    }


def _reason_data(reason: Reason) -> dict[str, Any]:
    place = {"line": reason.line, "column": reason.column} if reason.line else {}
    return {"detail": reason.detail, "fix": reason.fix, **place}


def changed(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that something has to be written for."""
    return [one for one in outcomes if one.becomes in ("imported", "replaced")]
