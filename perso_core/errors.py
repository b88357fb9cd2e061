"""Every error of Perso: one class per cause, so callers catch causes and never read text.

Each carries `code` (stable, public), `title` (the cause in words), `detail` (the value that was
wrong) and `fix` (an instruction). docs/errors.md lists them; a test keeps the list whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class PersoError(Exception):
    """The root. `str(error)` is one readable line."""

    code: ClassVar[str] = "perso.error"
    title: ClassVar[str] = "Perso could not do this"

    def __init__(self, detail: str, *, fix: str) -> None:
        super().__init__(f"{self.title}: {detail} {fix}")
        self.detail = detail
        self.fix = fix


# ---- rules ------------------------------------------------------------------


class RuleError(PersoError):
    """A fault in the text of one audience rule, with its place.

    `line` and `column` are 1-based, columns count code points; `end_column` is exclusive and on
    the same line (at least `column + 1`). `excerpt` is that line of the rule with a caret below.
    """

    code = "pql.fault"
    title = "The rule has a fault"

    def __init__(
        self, detail: str, *, fix: str, line: int, column: int, end_column: int, excerpt: str
    ) -> None:
        super().__init__(detail, fix=fix)
        self.line = line
        self.column = column
        self.end_column = end_column
        self.excerpt = excerpt

    @property
    def place(self) -> str:
        """`line:column`, as authors and the vectors file write it."""
        return f"{self.line}:{self.column}"


class RuleSyntaxError(RuleError):
    code = "pql.syntax"
    title = "The rule cannot be read"


class RuleTypeError(RuleError):
    code = "pql.type"
    title = "The rule compares things that cannot be compared"


class RuleNeverHolds(RuleError):
    code = "pql.never-holds"
    title = "The rule has a comparison that no profile can meet"


class UnknownField(RuleError):
    code = "pql.unknown-field"
    title = "The rule reads a field the schema does not have"


class RuleTooLarge(RuleError):
    code = "pql.too-large"
    title = "The rule is over a limit"


class RuleNotEligible(RuleError):
    """One reason why a rule is refused by an edge rule (docs/pql.md)."""

    code = "pql.not-eligible"
    title = "The rule is not eligible for the edge"


# A rule with more faults than this is no rule; the first ones say so.
MAX_TOLD = 20


class RuleFaults(PersoError):
    """All faults of one rule, in the order of their places.

    `faults` is never empty and holds the first MAX_TOLD; `more` says how many there are besides.
    """

    code = "pql.faults"
    title = "The rule has faults"

    def __init__(self, faults: Sequence[RuleError], *, more: int = 0) -> None:
        """more: how many are known besides those given."""
        assert faults, "RuleFaults is raised for at least one fault"
        self.faults = tuple(faults[:MAX_TOLD])
        self.more = more + len(faults) - len(self.faults)
        told = [f"{fault.place} {fault.detail}" for fault in self.faults]
        super().__init__("; ".join(told + self.rest()), fix=faults[0].fix)

    def rest(self) -> list[str]:
        """What is said after the faults: `and 3 more.`. Empty where all are told."""
        return [f"and {self.more:,} more."] if self.more else []


# ---- definitions ------------------------------------------------------------


class DefinitionFault(PersoError):
    """One fault in a definitions file. `line` is 1-based, 0 when the fault has no line."""

    code = "definitions.fault"
    title = "A definition has a fault"

    def __init__(self, detail: str, *, fix: str, line: int, excerpt: str = "") -> None:
        super().__init__(detail, fix=fix)
        self.line = line
        self.excerpt = excerpt


class DefinitionFaults(PersoError):
    """All faults of a definitions file, in the order of their lines. `faults` is never empty."""

    code = "definitions.faults"
    title = "The definitions file has faults; nothing of it was put in force"

    def __init__(self, faults: Sequence[DefinitionFault]) -> None:
        assert faults, "DefinitionFaults is raised for at least one fault"
        count = len(faults)
        super().__init__(f"{count} fault{'s' * (count != 1)}.", fix="Mend them and apply again.")
        self.faults = tuple(faults)


class NothingDefined(PersoError):
    code = "definitions.none"
    title = "No definitions are in force"


class NotInForceEverywhere(PersoError):
    """The definitions are saved, but a running server still answers by older ones."""

    code = "definitions.not-in-force"
    title = "The definitions are saved, but not in force everywhere"


class BadImport(PersoError):
    """Nothing could be imported at all. What is wrong with one definition is in the report."""

    code = "definitions.import"
    title = "The segment definitions cannot be imported"


# ---- keys of servers ----------------------------------------------------------


class BadApiKey(PersoError):
    code = "key.bad"
    title = "The API key cannot be made so"


class UnknownApiKey(PersoError):
    code = "key.unknown"
    title = "No such API key"


# ---- the author's files -----------------------------------------------------


class BadAudienceFile(PersoError):
    """A rule, or a profile to ask it of, that `perso audience` was given."""

    code = "audience.file"
    title = "The file cannot be read"


class BadCases(PersoError):
    code = "audience.cases"
    title = "The cases cannot be run"


# ---- profiles and events ----------------------------------------------------


class BadProfileFile(PersoError):
    code = "profile.file"
    title = "The profile file cannot be read"


class BadAttributes(PersoError):
    code = "profile.attributes"
    title = "The attributes cannot be kept"


class RecordTooLarge(BadAttributes):
    code = "profile.too-large"
    title = "The profile would be larger than one may be"


class BadImportFile(PersoError):
    """Nothing of the file can be imported. What is wrong with one row is in the report."""

    code = "import.file"
    title = "The file cannot be imported"


class UnknownDatastream(PersoError):
    code = "datastream.unknown"
    title = "No such datastream"


class UnknownAudience(PersoError):
    code = "audience.unknown"
    title = "No such audience"


# ---- stores -----------------------------------------------------------------


class StoreUnavailable(PersoError):
    """The store did not take a write, or could not be read. What was acknowledged stays."""

    code = "store.unavailable"
    title = "The store is not available"


class OpenedBeforeFork(StoreUnavailable):
    """Threads, locks and connections stayed with the parent."""

    code = "store.forked"
    title = "Perso was opened before the process forked"


class AnotherEventLoop(StoreUnavailable):
    """Two threads would change the profiles in memory at once."""

    code = "store.another-loop"
    title = "Perso was opened by another event loop"


class StoreTooNew(StoreUnavailable):
    """Also while it is open: another process may be of a newer Perso."""

    code = "store.too-new"
    title = "The store was written by a newer Perso"


class UnsafeStore(StoreUnavailable):
    """Where the store stands it could lose what was acknowledged: nothing was opened."""

    code = "store.unsafe"
    title = "The store is not safe here"


class DamagedStore(StoreUnavailable):
    code = "store.damaged"
    title = "The store is damaged"


class UnreadableRecord(PersoError):
    """A stored record fails its checksum or its type. The store quarantines it: a miss."""

    code = "store.unreadable-record"
    title = "A stored record cannot be read"


class MisplacedRecord(UnreadableRecord):
    """It is whole, and another profile's: what leads to it is damaged, and it stays where it is."""

    code = "store.misplaced-record"
    title = "A stored record is another one's"


class NotHeardEverywhere(PersoError):
    """It is stored, and a running server still answers by what was there before."""

    code = "store.not-heard"
    title = "Not every server has heard of it"


class Overloaded(PersoError):
    """The journal is full: writes wait for the disk."""

    code = "store.overloaded"
    title = "Too many writes wait for the store"


# ---- process ----------------------------------------------------------------


class BadBackup(PersoError):
    code = "store.backup"
    title = "The backup cannot be made or restored"


class BadSettings(PersoError):
    code = "settings.bad"
    title = "A setting has a wrong value"


class BadChoice(PersoError):
    code = "visitor.choice"
    title = "This is no choice"


class BadEvent(PersoError):
    code = "visitor.event"
    title = "This event cannot be recorded"


class BadIdentity(PersoError):
    code = "visitor.identity"
    title = "This identity names no person"


class NoVisitor(PersoError):
    code = "visitor.none"
    title = "This request has no visitor"
