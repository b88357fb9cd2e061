"""Whose a device is and which identities are one person's, as the rest of the process keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Graph(Protocol):
    """Keys are those of profiles. Raises what deciding raises. See worker/identity_graph.py."""

    async def canonical(self, key: str, *, anew: bool = False) -> str:
        """The key of the profile that an identity is part of; its own where it is of none. anew:
        by what is stored, be it known here or not."""
        ...

    def holds_something(self, key: str) -> bool:
        """Whether the profile, which was just asked for, has something to be moved."""
        ...

    def version_to_see(self, key: str, *, left: str) -> int:
        """The version from which on a profile has what was moved into it from `left`."""
        ...

    async def move(self, source: str, target: str, priority: Sequence[str] = ()) -> None:
        """All that the source holds becomes part of the target, durably."""
        ...

    async def link(self, keys: Sequence[str], priority: Sequence[str] = ()) -> str:
        """These are one person's, the canonical one first. Returns the key of the profile."""
        ...


class Apart:
    """No two profiles are one person's: for what measures one part of the edge alone."""

    async def canonical(self, key: str, *, anew: bool = False) -> str:
        return key

    def holds_something(self, key: str) -> bool:
        return False

    def version_to_see(self, key: str, *, left: str) -> int:
        return 0

    async def move(self, source: str, target: str, priority: Sequence[str] = ()) -> None:
        pass

    async def link(self, keys: Sequence[str], priority: Sequence[str] = ()) -> str:
        return keys[0]
