"""Which identities are one person's, and under which of them the person's profile is kept."""

from __future__ import annotations

from collections.abc import Sequence

from perso_core.decision.identity import Identity

# Adobe's guardrail (product.md, 19), unless a setting says otherwise: the canonical identity and
# those that are linked to it; and so many that a browser claimed. The oldest makes room.
MAX_IDENTITIES = 50
# A device is no person: these namespaces name devices.
OF_DEVICES = ("ECID", "FPID")
# What several people share, or one gives up for another: last.
_SHARED = ("EMAIL", "PHONE")

# Sorts before all of lower priority.
Rank = tuple[int, int, str]


def rank(namespace: str, priority: Sequence[str] = ()) -> Rank:
    """Where a namespace stands; the lowest rank is the highest priority. priority: namespaces that
    a datastream puts first, in order. Then come CRMID, all others by name, addresses and telephone
    numbers by name, and devices."""
    if namespace in priority:
        return 0, priority.index(namespace), namespace
    named = namespace.upper()
    if named in OF_DEVICES:
        return 4, 0, namespace
    if named.startswith(_SHARED):
        return 3, 0, namespace
    return (1, 0, namespace) if named == "CRMID" else (2, 0, namespace)


def canonical_first(
    identities: Sequence[Identity], flagged: Identity, priority: Sequence[str] = ()
) -> tuple[Identity, ...]:
    """One person's identities, each once, the one that names the profile first: of the namespace
    of highest priority, and of several in it the one that is flagged as primary, then the first."""
    return tuple(
        sorted(
            dict.fromkeys(identities),
            key=lambda one: (rank(one.namespace, priority), one != flagged),
        )
    )
