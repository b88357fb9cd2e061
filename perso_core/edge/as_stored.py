"""What is told of a change is what is on disk, also where another process was faster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import structs

from perso_core.engine.engine import NOTHING_SEEN, Answer, Interaction
from perso_core.errors import StoreUnavailable

# So often may what held an interaction back go, and others be faster with the profile once more.
MAX_ROUNDS = 3


class Deciding(Protocol):
    """As of EdgeServices."""

    def decided(self, interaction: Interaction) -> Awaitable[Answer]: ...
    @property
    def durable(self) -> Callable[[int], Awaitable[None]]: ...
    @property
    def decided_again(self) -> Callable[[int], bool]: ...


def decided_again(answer: Answer, services: Deciding) -> bool:
    """Whether what is on disk may be told by as_stored alone."""
    return bool(answer.sequence) and services.decided_again(answer.sequence)


async def as_stored(answer: Answer, interaction: Interaction, services: Deciding) -> Answer:
    """The answer to an interaction whose changes are on disk. Where they were decided again, on top
    of what another process had written, it is that of the profile as it is now, for each of them:
    a browser gets the version token of that. What consent held back, and would not now, was not
    kept: it is, before this is told. Raises what deciding and durable raise."""
    for _ in range(MAX_ROUNDS):
        if not decided_again(answer, services):
            return answer
        asked = Interaction(
            profile_key=interaction.profile_key,
            datastream_id=interaction.datastream_id,
            seen=NOTHING_SEEN,
        )
        now = await services.decided(asked)
        if answer.permitted or not now.permitted:
            return structs.replace(
                now,
                lookups=now.lookups * len(answer.lookups),
                sequence=answer.sequence,
                dropped=answer.dropped,
            )
        before, answer = answer, await services.decided(interaction)
        await services.durable(answer.sequence)
        answer = structs.replace(answer, dropped=before.dropped + answer.dropped)
    raise StoreUnavailable(
        "consent was said at other processes all the while.", fix="Send it again."
    )
