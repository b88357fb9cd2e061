"""Whose changes are committed at once, and whose gather.

A flood must not keep the disk busy for whoever else writes. As many may come for the first time as
somebody cares to send, and one visitor may send more than a person does: such changes go together,
in few commits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from perso_core.engine.journal import Entry

# Commits of what gathers begin at least so far apart.
GATHERED_S = 0.02
# While others write, one begins so many times as late after the one before as that took: others
# seldom find the disk taken.
GATHERED_TIMES = 20
# No later than that, however long it took (of one of more than 5 ms others notice more), and no
# later than as many times GATHERED_S as there were changes in it: on a slow disk, too, who comes
# for the first time waits for a crowd only where there is one.
GATHERED_AT_MOST_S = 0.1
# Who has more changes than this committed within a second sends more than a person does.
USUAL_IN_A_SECOND = 10
# Such a visitor gives way to others, where there have been any so lately.
_LATELY_S = 0.1
_NOBODY: Set[str] = frozenset()


class Precedence:
    """elapsed_s: a clock that nobody can set."""

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self._elapsed_s = elapsed_s
        self._gathered_from_s = self._others_until_s = self._second_ends_s = 0.0
        self._began_s: float | None = None  # when what gathered began to go; None: it is over
        self._at_most_s = 0.0  # so far apart it and the next may begin
        self._others = False  # somebody wrote lately, as of the last turn
        self._committed: dict[str, int] = {}  # of this second, by key
        # Who sends more than a person does, as of the second before or of this one so far.
        self._busy: set[str] = set()

    @property
    def due_in_s(self) -> float:
        """When what gathers may go."""
        return self._gathered_from_s - self._elapsed_s()

    def turn(self, pending: Sequence[Entry], *, full: bool = False) -> Sequence[Entry]:
        """Those of the entries that are to be committed now, in their order: all of one key, or
        none. Empty: nothing before due_in_s, but what is yet to come. full: no more go in one
        commit, and others may stand behind these."""
        now_s = self._elapsed_s()
        self._count_anew(now_s)
        self._others = now_s < self._others_until_s
        batch = pending
        in_a_hurry = self._in_a_hurry(pending)
        if len(in_a_hurry) < len(pending):
            hurried = {entry.key for entry in in_a_hurry}
            gathered = sum(entry.key not in hurried for entry in pending)
            if now_s < self._gathered_from_s and not full:
                batch = [entry for entry in pending if entry.key in hurried]
            elif gathered:
                self._began_s, self._gathered_from_s = now_s, now_s + GATHERED_S
                self._at_most_s = min(gathered * GATHERED_S, GATHERED_AT_MOST_S)
        self._count(batch, now_s)
        return batch

    def turn_over(self) -> None:
        """The last turn's batch is stored, or is not going to be; it counts until now."""
        if self._began_s is not None and self._others:
            took_s = self._elapsed_s() - self._began_s
            apart_s = min(GATHERED_TIMES * took_s, self._at_most_s)
            self._gathered_from_s = max(self._gathered_from_s, self._began_s + apart_s)
        self._began_s = None

    def giving_way(self, batch: Sequence[Entry]) -> set[int]:
        """Sequences of those that are none of the others', where others wrote shortly before the
        last turn."""
        in_a_hurry = self._in_a_hurry(batch) if self._others else batch
        if len(in_a_hurry) == len(batch):
            return set()
        return {entry.sequence for entry in batch} - {entry.sequence for entry in in_a_hurry}

    def _in_a_hurry(self, pending: Sequence[Entry]) -> list[Entry]:
        """Nearly always all: that is found in one look at each."""
        busy = self._busy if self._others else _NOBODY
        return [entry for entry in pending if not entry.first_visit_ms and entry.key not in busy]

    def _count_anew(self, now_s: float) -> None:
        if now_s < self._second_ends_s:
            return
        lately = now_s < self._second_ends_s + 1
        self._busy = {
            key for key, number in self._committed.items() if lately and number > USUAL_IN_A_SECOND
        }
        self._committed.clear()
        self._second_ends_s = now_s + 1

    def _count(self, batch: Sequence[Entry], now_s: float) -> None:
        committed, busy = self._committed, self._busy
        for entry in batch:
            if entry.first_visit_ms:
                continue
            key = entry.key
            number = committed[key] = committed.get(key, 0) + 1
            if number > USUAL_IN_A_SECOND:
                busy.add(key)
            if key not in busy:
                self._others_until_s = now_s + _LATELY_S
