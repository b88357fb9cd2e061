"""Patches of profiles on their way into the store, in groups that share a commit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from msgspec import structs

from perso_core.settings import Settings

Patch = TypeVar("Patch")

# Patches in one group share a commit, and wait for their profiles together.
GROUP = 128
# The setting keeps pages from waiting for a slow disk; an operator may wait.
LOAD_TIMEOUT_MS = 10_000


def patient(settings: Settings) -> Settings:
    """For a command: nobody waits for it as for a page."""
    longer = max(settings.load_timeout_ms, LOAD_TIMEOUT_MS)
    return structs.replace(settings, load_timeout_ms=longer)


def patch_groups(
    patches: Iterable[Patch], at_most: int, *, whose: Callable[[Patch], Hashable]
) -> Iterator[list[Patch]]:
    """The patches in order, in groups of at most so many, nobody twice in a group: patches of one
    profile must be applied one after the other. whose: tells profiles apart."""
    group: list[Patch] = []
    seen: set[Hashable] = set()
    for patch in patches:
        if len(group) == at_most or whose(patch) in seen:
            yield group
            group, seen = [], set()
        group.append(patch)
        seen.add(whose(patch))
    if group:
        yield group


def at_most_together(journal_limit: int, keys: int) -> int:
    """How many patches may share a commit, each of so many keys: with what may be noted before
    each, they wait for the store together."""
    return max(1, min(GROUP, journal_limit // (2 * keys)))
