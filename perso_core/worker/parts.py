"""What takes long is done in parts: others are answered in between.

One request may bring a hundred events, and of a visitor with thousands each may take 20 ms where
rules are run in full (docs/decisions/0023). What came of one part is as of a request of its own:
others see it, and it may be on disk before the next. All of it is one request all the same: it was
found to be within bounds before the first part, and no later part is refused: where the journal is
full it waits. It is told once the last part is decided, which goes on where its caller has gone by
then, or was told that it is not known to be stored: whoever sends it again finds it, each event
once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from msgspec import structs

from perso_core.decision.dropped import NOTHING_DROPPED
from perso_core.engine.engine import NOTHING_SEEN, Answer, Engine, Interaction
from perso_core.errors import StoreUnavailable
from perso_core.worker.drain import Drain, lost_entry

T = TypeVar("T")

# A part is over with the change by which it has taken so long: another request waits for so long
# and that change.
PART_S = 0.005
# For half of what a part took the loop rests, or is others': an answer takes several rounds of the
# loop and a commit. With a single round beside parts of 15 ms others had theirs after 390 ms (as
# median, of a busy machine), with a quarter of the part after 16, with half of it after 5.
OTHERS_SHARE, OTHERS_AT_MOST_S = 0.5, 0.05
# While so much is under way, what is begun besides ends with its call: else whoever sends on though
# nothing is done in time would fill the memory. Sent again it goes on from there.
MOST_GOING_ON = 32


class _Begun:
    """An interaction that is decided in parts, as of now_ms. answers: to those so far. left: how
    many of its changes are to be decided yet."""

    def __init__(self, interaction: Interaction, now_ms: int) -> None:
        self._interaction = interaction
        self.now_ms = now_ms
        self.answers: list[Answer] = []
        self.left = len(interaction.changes)

    def take(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.left -= len(answer.lookups)

    @property
    def rest(self) -> Interaction:
        """What is left of it. The store may have been asked for the profile already, and has to be
        again where that left memory since."""
        changes = self._interaction.changes[-self.left :]
        return structs.replace(self._interaction, changes=changes, new=False, seen=NOTHING_SEEN)

    def answer(self, *, anew: bool) -> Answer:
        """To all of it. anew: a part was decided again since, on top of what another process wrote:
        for each change it is that after the last one."""
        last = self.answers[-1]
        lookups = tuple(found for answer in self.answers for found in answer.lookups)
        return structs.replace(
            last,
            lookups=last.lookups[-1:] * len(lookups) if anew else lookups,
            dropped=sum((answer.dropped for answer in self.answers), NOTHING_DROPPED),
        )


class Parts:
    """For one event loop. part: the answer to what was begun, as far as it goes at once, as of an
    instant; what it raises ends the whole. elapsed_s: a clock that nobody can set.
    """

    def __init__(
        self,
        engine: Engine,
        drain: Drain,
        part: Callable[[Interaction, int], Awaitable[Answer]],
        *,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._drain = drain
        self._part = part
        self._elapsed_s = elapsed_s
        self._one_by_one = asyncio.Lock()
        self._began_s = elapsed_s()  # the part that was begun last
        self.working: set[asyncio.Task[Any]] = set()  # on what takes long
        self._closing = False
        # By key: what is about to change the rest of what it began to change.
        self.under_way: dict[str, set[asyncio.Task[Answer]]] = {}

    def enough(self) -> Callable[[], bool]:
        """Tells when the part that begins now is over."""
        elapsed_s = self._elapsed_s
        self._began_s = elapsed_s()
        until_s = self._began_s + PART_S
        return lambda: elapsed_s() >= until_s

    async def others_first(self) -> None:
        """Between two parts, whosever they are: returns once others had their turn. Raises
        StoreUnavailable: it is closed."""
        async with self._one_by_one:
            took_s = self._elapsed_s() - self._began_s
            await asyncio.sleep(min(took_s * OTHERS_SHARE, OTHERS_AT_MOST_S))
        if self._closing:
            raise StoreUnavailable("the process stops.", fix="Send it again once it runs.")

    def goes_on(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """What the work gives, which goes on where nobody waits for it any more, unless there is
        too much of such."""
        return self._waited_for(self._begin(work))

    def decided(self, interaction: Interaction, first: Answer, now_ms: int) -> Awaitable[Answer]:
        """The answer to an interaction of which the first part was decided as of now_ms, with no
        await since. Raises what a part raises, and StoreUnavailable where one was not stored."""
        key = interaction.profile_key
        begun = _Begun(interaction, now_ms)
        begun.take(first)
        task = self._begin(self._decided(begun))
        self.under_way.setdefault(key, set()).add(task)

        def over(_: asyncio.Task[Answer]) -> None:
            self.under_way[key].remove(task)
            if not self.under_way[key]:
                del self.under_way[key]

        task.add_done_callback(over)
        return self._waited_for(task)

    async def over(self, key: str) -> None:
        """Returns once nothing of this key is under way."""
        while tasks := self.under_way.get(key):
            await asyncio.wait(tasks)

    async def close(self, within_s: float = 1.0) -> None:
        """What is under way ends with the part that is being decided: nobody has been told that it
        is stored. within_s: how long that may wait for the store."""
        self._closing = True
        if self.working:
            _, late = await asyncio.wait(self.working, timeout=within_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    # ---- inside -----------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self.working.add(task)
        task.add_done_callback(self._ended)
        return task

    def _waited_for(self, task: asyncio.Task[T]) -> Awaitable[T]:
        return asyncio.shield(task) if len(self.working) <= MOST_GOING_ON else task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.working.remove(task)
        # Read it, so that asyncio does not complain where everyone has given up waiting.
        if not task.cancelled():
            task.exception()

    async def _decided(self, begun: _Begun) -> Answer:
        while begun.left:
            await self.others_first()
            await self._until_room()
            self._refuse_lost(begun)
            begun.take(await self._part(begun.rest, begun.now_ms))
        self._refuse_lost(begun)
        decided_again = self._engine.following.decided_again.includes
        # The last one may be: whoever tells it looks (edge/as_stored.py).
        earlier = begun.answers[:-1]
        return begun.answer(anew=any(decided_again(one.sequence) for one in earlier))

    async def _until_room(self) -> None:
        while self._engine.room < 1:
            (oldest,) = self._engine.pending(1)
            await self._drain.durable(oldest.sequence)

    def _refuse_lost(self, begun: _Begun) -> None:
        """Later parts would be stored without it."""
        if any(self._drain.is_lost(answer.sequence) for answer in begun.answers):
            raise lost_entry()
