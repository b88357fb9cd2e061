"""All that is kept of one person, under whichever keys: to be told whole, and to be erased."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perso_core.decision.identity import Identity
from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import Forgotten
from perso_core.stores.links import Link
from perso_core.stores.protocol import Store, Stored
from perso_core.worker.admit import Admission
from perso_core.worker.drain import Drain


class People:
    """Methods raise StoreUnavailable."""

    def __init__(self, store: Store, drain: Drain, admission: Admission) -> None:
        self._store = store
        self._drain = drain
        self._admission = admission

    async def everything(self, identity: Identity) -> Mapping[str, Stored]:
        """What is stored of an identity and of all that are one person with it, by key."""
        found = await self._store.keys_of(identity)
        return {key: await self._store.load(key) for key in await self._of_one_person(found)}

    async def links(self, key: str) -> tuple[Link, ...]:
        """The identities that are part of the profile of this key."""
        return await self._store.links(key)

    async def erase(self, identity: Identity, more: Iterable[str]) -> int:
        """Erase all that is kept of an identity, and of all that are one person with it. more: keys
        to be erased also where nothing is yet: another process may be about to keep something.
        Returns under how many keys something was stored."""
        found = await self._of_one_person(await self._store.keys_of(identity))
        for key in dict.fromkeys((*found, *more)):
            answer = await self._admission.decide(
                Interaction(profile_key=key, datastream_id=OPERATOR, changes=(Forgotten(),))
            )
            await self._drain.durable(answer.sequence)
        return len(found)

    async def _of_one_person(self, keys: Iterable[str]) -> list[str]:
        """The keys with all that they lead to and all that lead there; those that lead first, so
        that no identity leads to an erased profile while the rest is erased."""
        leading: dict[str, None] = {}
        profiles: dict[str, None] = {}
        for key in keys:
            profiles[(await self._store.load(key)).linked_to or key] = None
        for profile in profiles:
            for link in await self._store.links(profile):
                leading[link.key] = None
        return [*leading, *profiles]
