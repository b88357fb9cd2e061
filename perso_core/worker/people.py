"""All that is kept of one person, under whichever keys: to be told whole, and to be erased."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from perso_core.decision.identity import Identity, identity_of
from perso_core.decision.projection import NOTHING_KEPT
from perso_core.engine.engine import OPERATOR, Answer, Interaction
from perso_core.engine.journal import Forgotten
from perso_core.errors import StoreUnavailable
from perso_core.stores.links import Link
from perso_core.stores.protocol import Store, Telling, Whole
from perso_core.worker.admit import Admission
from perso_core.worker.drain import Drain

# So long an erasure may wait for one profile to be read: one of 100 MB takes a second.
READ_WITHIN_S = 30.0
# So often an erasure is planned anew because other processes said meanwhile who is one person.
MAX_PLANS = 16


class TellingStore(Store, Telling, Protocol):
    """A store that also tells all it keeps."""


class People:
    """Methods raise StoreUnavailable."""

    def __init__(self, store: TellingStore, drain: Drain, admission: Admission) -> None:
        self._store = store
        self._drain = drain
        self._admission = admission

    async def everything(self, identity: Identity) -> Mapping[str, Whole]:
        """What is stored of an identity and of all that are one person with it, by key."""
        return await self.everything_under(await self._store.keys_of(identity))

    async def everything_under(self, keys: Iterable[str]) -> Mapping[str, Whole]:
        """What is stored under some keys and those that are one person with them, by key. Where one
        becomes part of another profile meanwhile it is read again: its events would be in none."""
        asked, found = list(keys), dict[str, Whole]()
        of_one = await self._of_one_person(asked)
        while of_one != list(found):
            found = {key: await self._store.whole(key) for key in of_one}
            of_one = await self._of_one_person(asked)
        return found

    async def elsewhere(
        self, identity: Identity, keys_of: Callable[[Identity], Iterable[str]]
    ) -> list[Identity]:
        """Other identities that are one person's with it somewhere, of which more is kept where
        they are not linked: under another datastream, or the operator's own. keys_of: all keys of
        one; to look through the store for each takes too long."""
        found = await self._of_one_person(await self._store.keys_of(identity))
        others = dict.fromkeys(identity_of(key) for key in found)
        return [
            one
            for one in others
            if one != identity and await self._any_kept({*keys_of(one)} - {*found})
        ]

    async def _any_kept(self, keys: Iterable[str]) -> bool:
        for key in keys:
            if (await self._store.whole(key)).holds_something:
                return True
        return False

    async def links(self, key: str) -> tuple[Link, ...]:
        """The identities that are part of the profile of this key."""
        return await self._store.links(key)

    async def erase(self, identity: Identity, more: Iterable[str]) -> int:
        """Erase all that is kept of an identity, and of all that are one person with it. more: keys
        to be erased also where nothing is yet: another process may be about to keep something.
        Returns under how many keys something was stored."""
        found = await self._of_one_person(await self._store.keys_of(identity))
        await self.forget(dict.fromkeys((*found, *more)))
        return len(found)

    async def forget(self, keys: Iterable[str]) -> None:
        """Erase what is kept under some keys, in their order, and what became part of another
        profile while others of them were erased."""
        await self._forget(dict.fromkeys(keys), MAX_PLANS)

    async def _forget(self, meant: Collection[str], plans: int) -> None:
        """plans: how many more may be made, where each time something becomes another's."""
        for key in meant:
            if not await self._forget_one(key, meant):
                if plans == 0:
                    raise StoreUnavailable(
                        f"{key} became part of another profile {MAX_PLANS} times meanwhile.",
                        fix="Erase it again.",
                    )
                await self._forget(await self._of_one_person([key]), plans - 1)

    async def _forget_one(self, key: str, meant: Collection[str]) -> bool:
        """False: nothing was forgotten, as what it had is another one's than is meant."""
        for _ in range(MAX_PLANS):
            stored = await self._store.load(key, NOTHING_KEPT)
            led = stored.linked_to
            if led and led not in meant:
                return False
            answer = await self._forgotten(key, led)
            await self._drain.durable(answer.sequence)
            after = await self._store.load(key, NOTHING_KEPT)
            # Else another process said meanwhile whose it is, and this came to nothing.
            if after.erased_ms != stored.erased_ms or not (led or after.linked_to):
                return True
        return False

    async def _forgotten(self, key: str, led_to: str) -> Answer:
        """Nobody waits for it as for a page: a large profile may take longer to be read."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + READ_WITHIN_S
        forget = Interaction(
            profile_key=key, datastream_id=OPERATOR, changes=(Forgotten(linked_to=led_to),)
        )
        while True:
            try:
                return await self._admission.decided(forget)
            except StoreUnavailable:
                if not self._admission.is_loading(key) or loop.time() > until_s:
                    raise

    async def _of_one_person(self, keys: Iterable[str]) -> list[str]:
        """The keys with all that they lead to and all that lead there, in the order in which they
        are erased. Those that were asked for go after what they lead to: where an erasure breaks
        off the rest is found by them again."""
        leading: dict[str, None] = {}
        profiles: dict[str, None] = {}
        asked = dict.fromkeys(keys)
        for key in asked:
            stored = await self._store.load(key, NOTHING_KEPT)
            profiles[stored.linked_to or key] = None
        for profile in profiles:
            for link in await self._store.links(profile):
                leading[link.key] = None
        return [
            *(key for key in leading if key not in asked),
            *profiles,
            *(key for key in asked if key in leading),
        ]
