"""Whose a device is and which identities are one person's, as the rest of the process keeps it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from perso_core.decision.consent import Consent, may_collect, refused
from perso_core.decision.dropped import NOTHING_DROPPED, Dropped, Linked
from perso_core.decision.event import Event
from perso_core.definitions.datastream import Datastream
from perso_core.edge.cookies import CookieKeys
from perso_core.edge.version_token import of_another
from perso_core.engine.engine import NOTHING_SEEN, Answer, Interaction, Seen
from perso_core.engine.journal import Change

# So often may an identity become part of a further profile while one call is decided.
MAX_LEADS = 3


class Graph(Protocol):
    """Keys are those of profiles. Raises what deciding raises. See worker/identity_graph.py."""

    async def canonical(self, key: str, *, priority: Sequence[str] = (), anew: bool = False) -> str:
        """The key of the profile that an identity is part of; its own where it is of none. What was
        kept under the identity since is part of it. anew: by what is stored, be it known here or
        not."""
        ...

    def holds_something(self, key: str) -> bool:
        """Whether the profile, which was just asked for, may have something to be moved."""
        ...

    def to_see(self, key: str, *, left: str) -> Seen:
        """How far a profile has to be told to have what was moved into it from `left`."""
        ...

    async def move(
        self,
        source: str,
        target: str,
        priority: Sequence[str] = (),
        *,
        by: Event | None = None,
    ) -> Dropped:
        """All that the source holds becomes part of the target, durably. by: the event that says
        so; of one that was erased nothing is kept. Returns what gave way."""
        ...

    async def link(
        self, keys: Sequence[str], priority: Sequence[str] = (), *, by: Event | None = None
    ) -> Linked:
        """These are one person's, the canonical one first. by: as in move."""
        ...

    async def leading(self, key: str) -> tuple[str, ...]:
        """The keys of the other identities that are part of the profile, as it is stored."""
        ...


class Moving(Protocol):
    """What it takes to move a profile: decided and durable are those of EdgeServices."""

    def decided(self, interaction: Interaction) -> Awaitable[Answer]: ...
    @property
    def durable(self) -> Callable[[int], Awaitable[None]]: ...
    @property
    def graph(self) -> Graph: ...


async def leads_to(
    named: str,
    tokens: Sequence[str],
    *,
    device: str | None,
    priority: Sequence[str],
    org: str,
    keys: CookieKeys,
    graph: Graph,
) -> str:
    """The key of the profile that an identity is part of, for whoever holds these version tokens.
    named, device: keys of the identity and of the device, None: there is none. Raises what deciding
    raises."""
    profile = await graph.canonical(named, priority=priority)
    known = (named, profile) if device is None else (named, profile, device)
    if of_another(tokens, known, org=org, keys=keys):
        # Told by another process of a profile that the identity may lead to since.
        profile = await graph.canonical(named, priority=priority, anew=True)
    return profile


async def moved_in(
    datastream: Datastream,
    device: str,
    person: str,
    says: tuple[Change, ...],
    of_device: Consent | None,
    services: Moving,
    *,
    word: Callable[[Consent | None], tuple[Change, ...]],
    by: Event | None = None,
) -> Dropped:
    """What the device did becomes the person's, durably, where there is something and consent
    permits it; the device begins anew. device, person: keys; the device's profile was just asked
    for. says: what the call says of the person's consent: it holds for what moves in, too. word:
    what a consent of the device says of the person. by: the event by which a server says whose the
    device is. Returns what gave way in the person's profile.
    """
    if not services.graph.holds_something(device):
        return NOTHING_DROPPED
    if not may_collect(of_device, datastream.default_consent):
        return NOTHING_DROPPED
    asked = Interaction(profile_key=person, datastream_id=datastream.id, changes=says)
    answer = await services.decided(asked)
    if answer.sequence:
        await services.durable(answer.sequence)
    if not answer.permitted:
        return NOTHING_DROPPED
    dropped = await services.graph.move(device, person, datastream.identity_priority, by=by)
    # Where this fails the move stands: whoever sends it again carries the consent, which is known
    # here by then (consult.carried, one_person._joined).
    await told_late(datastream, device, person, of_device, services, word=word)
    return dropped


async def told_late(
    datastream: Datastream,
    source: str,
    person: str,
    before: Consent | None,
    services: Moving,
    *,
    word: Callable[[Consent | None], tuple[Change, ...]],
) -> None:
    """What another process kept of the source, and this one had not heard of, is the person's by
    now as well: what its consent says goes along. before: that consent, as it was known here; word:
    what one says of the person."""
    asked = Interaction(profile_key=source, datastream_id=datastream.id)
    found = (await services.decided(asked)).consent
    if refused(found) or word(found) == word(before):
        return
    asked = Interaction(profile_key=person, datastream_id=datastream.id, changes=word(found))
    await services.durable((await services.decided(asked)).sequence)


class Apart:
    """No two profiles are one person's: for what measures one part of the edge alone."""

    async def canonical(self, key: str, *, priority: Sequence[str] = (), anew: bool = False) -> str:
        return key

    def holds_something(self, key: str) -> bool:
        return False

    def to_see(self, key: str, *, left: str) -> Seen:
        return NOTHING_SEEN

    async def move(
        self,
        source: str,
        target: str,
        priority: Sequence[str] = (),
        *,
        by: Event | None = None,
    ) -> Dropped:
        return NOTHING_DROPPED

    async def link(
        self, keys: Sequence[str], priority: Sequence[str] = (), *, by: Event | None = None
    ) -> Linked:
        return Linked(keys[0])

    async def leading(self, key: str) -> tuple[str, ...]:
        return ()
