"""Which changes were decided again, on top of what another process wrote meanwhile."""

from __future__ import annotations

# Remembered for whoever is about to tell what was decided first. So many are told within a second.
KEPT = 20_000


class DecidedAgain:
    """Sequences of the engine's journal."""

    def __init__(self) -> None:
        self._sequences: dict[int, None] = {}  # a set that knows its oldest member

    def note(self, sequence: int) -> None:
        self._sequences[sequence] = None
        if len(self._sequences) > KEPT:
            del self._sequences[next(iter(self._sequences))]

    def includes(self, sequence: int) -> bool:
        """Whether it was, lately."""
        return sequence in self._sequences
