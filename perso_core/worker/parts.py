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
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from msgspec import structs

from perso_core.decision.dropped import NOTHING_DROPPED
from perso_core.engine.engine import NOTHING_SEEN, Answer, Engine, Interaction
from perso_core.errors import StoreUnavailable
from perso_core.rules.ahead import Ahead, NotYet
from perso_core.worker.drain import Drain, lost_entry
from perso_core.worker.outcome import read_outcome

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
# Decisions of several parts take turns: so many have a profile of thousands of events unpacked, 10
# to 30 MB each, for so long while others wait.
MOST_AT_LENGTH, TURN_S = 3, 0.1
# So often a decision of several parts is begun, each time from nothing, as its profile, the
# definitions or what was read for it is another by then. Then it is decided at one go.
MOST_ANEW = 8


class Begun:
    """An interaction that is decided in parts, as of now_ms. answers: to those so far. left: how
    many are to come yet. ahead: what the next one came to already; None: nothing takes so long."""

    def __init__(self, interaction: Interaction, now_ms: int, ahead: Ahead | None) -> None:
        self._interaction = interaction
        self.now_ms = now_ms
        self.ahead = ahead
        self.answers: list[Answer] = []
        self.left = max(len(interaction.changes), 1)  # without changes it is answered once

    def take(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.left -= len(answer.lookups)

    @property
    def some(self) -> bool:
        """Whether a part of it is decided."""
        return bool(self.answers)

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
    """For one event loop. part: the answer to what was begun, as far as it goes, as of an instant;
    what it raises ends the whole, but for NotYet. at_once: the same with no wait; None: something
    has to be waited for. Both by what it came to already; None: at one go. elapsed_s: a clock that
    nobody can set.
    """

    def __init__(
        self,
        engine: Engine,
        drain: Drain,
        part: Callable[[Begun, Ahead | None], Awaitable[Answer]],
        at_once: Callable[[Begun, Ahead | None], Answer | None],
        *,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._drain = drain
        self._part = part
        self._at_once = at_once
        self._elapsed_s = elapsed_s
        self._one_by_one = asyncio.Lock()
        # Whoever has one waits for nothing but others' parts, and for a rule that is run aside.
        self._turns = asyncio.Semaphore(MOST_AT_LENGTH)
        self.having_turns = 0  # decisions
        self._awaiting_turns = 0  # others
        # By key: how many changes of it are being decided, each of which takes several parts.
        self._deciding = Counter[str]()
        self._began_s = elapsed_s()  # the part that was begun last
        self.working: set[asyncio.Task[Any]] = set()  # on what takes long
        self._closing = False
        self._aside: ThreadPoolExecutor | None = None
        # By key: what is about to change the rest of what it began to change.
        self.under_way: dict[str, set[asyncio.Task[Answer]]] = {}

    def enough(self) -> Callable[[], bool]:
        """Tells when the part that begins now is over."""
        elapsed_s = self._elapsed_s
        self._began_s = elapsed_s()
        until_s = self._began_s + PART_S
        return lambda: elapsed_s() >= until_s

    def ahead(self) -> Ahead | None:
        """For a decision that may take several parts; None: no rule takes long."""
        return self.further(Ahead()) if self._engine.runs_rules else None

    def further(self, ahead: Ahead) -> Ahead:
        """For its next part. It begins anew what is known already: that takes no more than half."""
        elapsed_s = self._elapsed_s
        self._began_s = began_s = elapsed_s()
        until_s: float | None = None

        def enough() -> bool:
            nonlocal until_s
            now_s = elapsed_s()
            if until_s is None:
                until_s = now_s + max(PART_S, now_s - began_s)
                return False
            return now_s >= until_s

        return ahead.part(enough)

    async def at_length(self, ahead: Ahead, decide: Callable[[Ahead | None], T]) -> T:
        """What a decision of several parts comes to. decide: a part of it, which raises NotYet, or
        all of it at one go."""
        while True:
            async with self._turn(ahead):
                if ahead.aside is not None:  # the part before this came to it
                    await self._next_part(ahead)
                until_s = self._elapsed_s() + TURN_S
                while True:
                    # Where others change it again and again it is decided at one go.
                    parted = ahead if ahead.anew <= MOST_ANEW else None
                    try:
                        return decide(parted)
                    except NotYet:
                        await self._next_part(ahead)
                    if self._awaiting_turns and self._elapsed_s() >= until_s:
                        break

    @asynccontextmanager
    async def _turn(self, ahead: Ahead) -> AsyncIterator[None]:
        if self._turns.locked():
            ahead.rest()
        self._awaiting_turns += 1
        try:
            await self._turns.acquire()
        finally:
            self._awaiting_turns -= 1
        self.having_turns += 1
        try:
            yield
        finally:
            self.having_turns -= 1
            self._turns.release()

    def is_deciding(self, key: str) -> bool:
        """Whether a change of it was begun that takes several parts: others are to wait for it."""
        return key in self._deciding

    async def _next_part(self, ahead: Ahead) -> None:
        """Returns once others had their turn, and what is too long for a part was run: beside them,
        by a thread that gives Python's lock to whoever wants it. Raises as others_first."""
        if ahead.aside is None:
            await self.others_first()
            return
        if self._aside is None:
            self._aside = ThreadPoolExecutor(1, "perso-rules")
        running = asyncio.get_running_loop().run_in_executor(self._aside, ahead.aside)
        ahead.found(await running)
        self._refuse_closing()

    async def others_first(self) -> None:
        """Between two parts, whosever they are: returns once others had their turn. Raises
        StoreUnavailable: it is closed."""
        async with self._one_by_one:
            took_s = self._elapsed_s() - self._began_s
            await asyncio.sleep(min(took_s * OTHERS_SHARE, OTHERS_AT_MOST_S))
        self._refuse_closing()

    def _refuse_closing(self) -> None:
        if self._closing:
            raise StoreUnavailable("the process stops.", fix="Send it again once it runs.")

    def goes_on(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """What the work gives, which goes on where nobody waits for it any more, unless there is
        too much of such."""
        return self._waited_for(self._begin(work))

    def decided(
        self,
        interaction: Interaction,
        first: Answer | None,
        now_ms: int,
        ahead: Ahead | None = None,
    ) -> Awaitable[Answer]:
        """The answer to an interaction of which the first part was decided as of now_ms, with no
        await since. first: the answer to it; None: so far it is not made, see ahead. Raises what a
        part raises, and StoreUnavailable where one was not stored."""
        key = interaction.profile_key
        begun = Begun(interaction, now_ms, ahead)
        if first is not None:
            begun.take(first)
        if ahead is not None and len(self.working) >= MOST_AT_LENGTH:
            ahead.rest()  # it waits for its turn, and many may
        task = self._begin(self._decided(begun))
        self.under_way.setdefault(key, set()).add(task)
        # From now on: whoever changes it next waits.
        waits = ahead is not None and begun.left > 0 and bool(interaction.changes)
        if waits:
            self._deciding[key] += 1

        def over(_: asyncio.Task[Answer]) -> None:
            if waits:
                self._left(key)
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
        if self._aside is not None:
            # A rule that is being run takes a second at most, and nobody waits for it.
            self._aside.shutdown(wait=False, cancel_futures=True)

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
        read_outcome(task)

    async def _decided(self, begun: Begun) -> Answer:
        while begun.left:
            await self.others_first()
            if begun.rest.changes:
                await self._until_room()
            self._refuse_lost(begun)
            begun.take(await self._next(begun))
        self._refuse_lost(begun)
        decided_again = self._engine.following.decided_again.includes
        # The last one may be: whoever tells it looks (edge/as_stored.py).
        earlier = begun.answers[:-1]
        return begun.answer(anew=any(decided_again(one.sequence) for one in earlier))

    async def _next(self, begun: Begun) -> Answer:
        """To its next part, which may take several itself."""
        ahead = begun.ahead
        if ahead is None:
            return await self._part(begun, None)
        key, changes = begun.rest.profile_key, bool(begun.rest.changes)
        if changes:
            self._deciding[key] += 1
        try:
            while True:
                answer = await self.at_length(ahead, partial(self._at_once, begun))
                if answer is not None:
                    return answer
                with suppress(NotYet):
                    return await self._part(begun, ahead if ahead.anew <= MOST_ANEW else None)
                await self.others_first()
        finally:
            ahead.forget()
            ahead.anew = 0
            if changes:
                self._left(key)

    def _left(self, key: str) -> None:
        self._deciding[key] -= 1
        if not self._deciding[key]:
            del self._deciding[key]

    async def _until_room(self) -> None:
        while self._engine.room < 1:
            (oldest,) = self._engine.pending(1)
            await self._drain.durable(oldest.sequence)

    def _refuse_lost(self, begun: Begun) -> None:
        """Later parts would be stored without it."""
        if any(self._drain.is_lost(answer.sequence) for answer in begun.answers):
            raise lost_entry()
