"""What became of one segment definition that was to be imported."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, structs

from perso_core.definitions.audience import Audience
from perso_core.definitions.finding import seen
from perso_core.pql.compiler import CompiledRule

# imported: a new audience. replaced: it takes the place of the one with its id. unchanged: that
# one has the same rule already. refused: something has to be mended. skipped: by its nature
# nothing for Perso to evaluate.
Becomes = Literal["imported", "replaced", "unchanged", "refused", "skipped"]


class Reason(Struct, frozen=True):
    """Why a definition is refused or skipped.

    line, column: 1-based, in its rule; 0: not a place in the rule. excerpt: the line of the rule
    with a caret below, or "".
    """

    detail: str
    fix: str = ""
    line: int = 0
    column: int = 0
    excerpt: str = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """One definition's fate.

    place: where it stood, e.g. `export.json segments[3]`. id, name: "" where it has none.
    audience, rule: what was made of it; None where it is refused or skipped. notes: what is
    otherwise here than it was there, for people. not_kept: its fields that nothing was made of.
    org: the organisation that it says it is of; None: it does not say.
    """

    place: str
    becomes: Becomes
    id: str = ""
    name: str = ""
    audience: Audience | None = None
    rule: CompiledRule | None = None
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    not_kept: tuple[str, ...] = ()
    org: str | None = None

    @property
    def reads(self) -> frozenset[str]:
        """The ids that its rule names in inSegment."""
        return self.rule.reads.audience_ids if self.rule else frozenset()

    def turned(self, becomes: Becomes, *reasons: Reason) -> Outcome:
        """The same definition refused or skipped, for these reasons too. What would have been
        otherwise here matters no more."""
        assert becomes in ("refused", "skipped"), "an audience comes of reading, not of turning"
        found = (*self.reasons, *reasons)
        return structs.replace(
            self, becomes=becomes, audience=None, rule=None, reasons=found, notes=()
        )

    def noted(self, note: str) -> Outcome:
        """The same with one note more."""
        return structs.replace(self, notes=(*self.notes, note))


def told(value: object) -> str:
    """A JSON value as a person is told of it: itself where it is short, else its kind."""
    if isinstance(value, dict):
        return "an object"
    return "null" if value is None else seen(value)
