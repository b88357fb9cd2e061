"""From the journal to the disk: group commit, and who waits for it.

While one commit is under way new entries gather for the next. Runs on the engine's event loop;
the store does the blocking elsewhere. Who goes first: see precedence.py; who hears first:
waiters.py.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from msgspec import structs

from perso_core.decision.projection import NOTHING_KEPT, Projection
from perso_core.engine.engine import Engine, NeedProfile
from perso_core.engine.erased import Erased
from perso_core.engine.journal import Entry
from perso_core.errors import DamagedStore, StoreUnavailable
from perso_core.stores.batch import senders_of
from perso_core.stores.protocol import Store, Stored
from perso_core.worker.precedence import Precedence
from perso_core.worker.problems import Logged
from perso_core.worker.waiters import Waiters

# So often may another process be faster with one key before its writers hear that it failed, and
# everybody whose events wait beside theirs. Two servers that report batches of one customer to two
# workers overtake each other a dozen times in a row; their calls have a deadline of their own.
MAX_CONFLICTS = 64
# With more entries than that on their way to the disk nobody is answered ahead of it: requests are
# decided faster than they are stored, and would fill the journal. These take some 50 ms to store.
MAX_AHEAD = 256
# Sequences remembered as lost, for a request that asks only after the failure.
KEPT_LOST = 20_000
_RESTART_PAUSE_S = 0.1

_log = logging.getLogger("perso.worker")


def renew(
    engine: Engine, key: str, stored: Stored, *, now_ms: int, whole: bool = False
) -> NeedProfile | None:
    """Have the engine take what is stored, be it what another process wrote. Returns what has to be
    loaded for that instead; None: it has taken it."""
    engine.following.follow(stored.epoch)
    return engine.renew(
        key,
        stored.profile,
        stored.consent,
        now_ms=now_ms,
        erased=Erased(stored.erased_ms, stored.erased_events),
        whole=whole,
        linked_to=stored.linked_to,
        first_visit_ms=stored.first_visit_ms,
    )


class Drain:
    """Commits what the engine decided, oldest first, at most commit_batch entries at once.

    clock_ms: epoch milliseconds. announce: tell other processes. on_problem: hears of each
    failed commit and each crash; the drain itself goes on. elapsed_s: a clock that nobody can set.
    commits, failures, crashes: counts
    since the start. loop: of what runs it, once it was started.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        *,
        clock_ms: Callable[[], int],
        commit_batch: int = 512,
        announce: bool = False,
        on_problem: Callable[[Exception], None] | None = None,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._store = store
        self._clock_ms = clock_ms
        self._commit_batch = commit_batch
        self._announce = announce
        self._on_problem = on_problem or Logged()
        self.commits = self.failures = self.crashes = 0
        self._refused = False  # the last commit
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._precedence = Precedence(elapsed_s)
        self._waiters = Waiters()
        # Every sequence up to the first is kept or lost; so are those of the second.
        self._done_through = 0
        self._done_beyond: set[int] = set()
        self._lost: dict[int, None] = {}  # a set that knows its oldest member
        self._conflicts: dict[str, int] = {}  # key -> rounds lost in a row
        self._hear: Callable[[], Awaitable[None]] = _nothing_heard

    def hear_by(self, hear: Callable[[], Awaitable[None]]) -> None:
        """How to hear of what others wrote, once they were faster: see Refresh.hear."""
        self._hear = hear

    def start(self) -> None:
        self._task = asyncio.create_task(self._supervised(), name="perso-drain")
        self.loop = self._task.get_loop()

    def wake(self) -> None:
        """There is something to commit. Cheap: call it after each decision."""
        self._work.set()

    def keeps_up(self) -> bool:
        """Whether the disk takes what is decided, and soon: only then an answer may go ahead of
        it."""
        engine = self._engine
        return not self._refused and engine.waiting <= min(MAX_AHEAD, engine.room)

    def durable(self, sequence: int) -> Awaitable[None]:
        """Returns once the entry of this sequence is on disk; at once for 0.

        Raises StoreUnavailable when it was not stored (or, rarely, nobody can say).
        """
        if self._is_done(sequence) or self._task is None or self._task.done():
            return self._known(sequence)
        kept = self._waiters.wait(sequence, self._task.get_loop())
        self._work.set()
        return kept

    async def _known(self, sequence: int) -> None:
        """As durable, of what nobody has to wait for."""
        if not self._is_done(sequence):
            if self._closing:
                self._on_problem(_asked_too_late())
            raise _stopped()
        if sequence in self._lost:
            raise lost_entry()

    def is_kept(self, sequence: int) -> bool:
        """Whether the entry of this sequence is known to be on disk."""
        return self._is_done(sequence) and sequence not in self._lost

    def is_lost(self, sequence: int) -> bool:
        """Whether the entry of this sequence is known, since lately, not to be on disk."""
        return sequence in self._lost

    def _is_done(self, sequence: int) -> bool:
        return sequence <= self._done_through or sequence in self._done_beyond

    async def close(self, timeout_s: float) -> None:
        """Commit what waits, for at most timeout_s; whoever still waits then hears
        StoreUnavailable. Decide nothing after this."""
        self._closing = True
        if self._task is not None:
            self._work.set()
            await asyncio.wait([self._task], timeout=timeout_s)
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._engine.pending(1):
            self._abandon(_stopped())

    # ---- the loop ---------------------------------------------------------------

    async def _supervised(self) -> None:
        while True:
            try:
                return await self._run()
            except Exception as error:  # the supervisor: counts, reports, starts again
                self.crashes += 1
                self._refused = True
                self._on_problem(error)
                self._abandon(
                    StoreUnavailable(
                        f"the worker failed ({type(error).__name__}).",
                        fix="Send it again; the log has the traceback.",
                    )
                )
                await asyncio.sleep(_RESTART_PAUSE_S)
                self._work.set()

    async def _run(self) -> None:
        while True:
            while pending := self._engine.pending(self._commit_batch):
                full = len(pending) == self._commit_batch
                batch = pending if self._closing else self._precedence.turn(pending, full=full)
                if batch:
                    await self._round(batch)
                else:
                    await self._news(self._precedence.due_in_s)
            if self._closing:
                return
            await self._news()

    async def _news(self, within_s: float | None = None) -> None:
        """Returns once there may be more to commit, or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._work.wait()
        self._work.clear()

    async def _round(self, batch: Sequence[Entry]) -> None:
        try:
            await self._commit(batch)
        except StoreUnavailable as error:
            self.failures += 1
            self._refused = True
            self._on_problem(error)
            self._abandon(error)
        self._precedence.turn_over()
        self._engine.following.let_go()

    async def _commit(self, batch: Sequence[Entry]) -> None:
        committed = await self._store.commit(batch, announce=self._announce)
        self.commits += 1
        self._refused = False
        self._settle(batch, committed.conflicts)
        for key in committed.conflicts:
            rounds = self._conflicts[key] = self._conflicts.get(key, 0) + 1
            if rounds > MAX_CONFLICTS:
                raise StoreUnavailable(
                    f"{rounds} writes to one profile were overtaken by another process.",
                    fix="Send it again; if it stays, find who writes that profile so often.",
                )
        if committed.conflicts:
            with suppress(StoreUnavailable):  # then they are read
                await self._hear()
        for key in committed.conflicts:
            if not self._engine.overtaken(key, now_ms=self._clock_ms()):
                await self._renew(key, [entry for entry in batch if entry.key == key])

    async def _renew(self, key: str, waiting: Sequence[Entry]) -> None:
        projection: Projection | None = self._engine.projection
        while True:
            stored = await self._read(key, waiting, projection)
            lacking = renew(self._engine, key, stored, now_ms=self._clock_ms())
            if lacking is None:
                return
            projection = None if lacking.whole else self._engine.projection

    async def _read(
        self, key: str, waiting: Sequence[Entry], projection: Projection | None
    ) -> Stored:
        try:
            stored = await self._store.load(key, projection)
            erased = stored.erased_events
            for sender in senders_of(waiting):
                erased |= (await self._store.load(sender, NOTHING_KEPT)).erased_events
            return structs.replace(stored, erased_events=erased)
        except DamagedStore:
            # Else each further event of theirs would be overtaken as well, and all that waits with
            # it given up.
            self._engine.following.unreadable(key)
            raise

    # ---- who waits --------------------------------------------------------------

    def _settle(self, batch: Sequence[Entry], conflicts: frozenset[str]) -> None:
        """The batch is kept, but for the keys in conflict."""
        kept = [entry.sequence for entry in batch if entry.key not in conflicts]
        self._engine.kept(kept)
        done = (self._done_through, *self._done_beyond, *kept)
        oldest = self._engine.pending(1)
        self._done_through = oldest[0].sequence - 1 if oldest else max(done)
        self._done_beyond = {sequence for sequence in done if sequence > self._done_through}
        if self._conflicts:
            for entry in batch:
                if entry.key not in conflicts:
                    self._conflicts.pop(entry.key, None)
        if in_turn := self._precedence.giving_way(batch):
            self._waiters.kept(one for one in kept if one not in in_turn)
            self._waiters.kept_in_turn(one for one in kept if one in in_turn)
        else:
            self._waiters.kept(kept)

    def _abandon(self, why: StoreUnavailable) -> None:
        """Nothing that waits will be stored: the engine forgets it and everyone hears why."""
        lost = [entry.sequence for entry in self._engine.pending(sys.maxsize)]
        self._engine.abandon()
        self._conflicts.clear()
        self._remember_lost(lost)
        self._done_through = max((self._done_through, *self._done_beyond, *lost))
        self._done_beyond.clear()
        self._waiters.lost(lambda: StoreUnavailable(why.detail, fix=why.fix))

    def _remember_lost(self, sequences: Iterable[int]) -> None:
        self._lost.update(dict.fromkeys(sequences))
        for sequence in list(self._lost)[: max(0, len(self._lost) - KEPT_LOST)]:
            del self._lost[sequence]


async def _nothing_heard() -> None:
    """Where nobody listens what others wrote is read."""


def lost_entry() -> StoreUnavailable:
    """Of a change that was decided, and will not be on disk."""
    return StoreUnavailable("the change was not stored.", fix="Send it again.")


def _asked_too_late() -> StoreUnavailable:
    """For the log: a page may have been shown all the same."""
    return StoreUnavailable(
        "Perso was closed and is asked all the same: nothing more is stored.",
        fix="Let what asks end before, or open it again.",
    )


def _stopped() -> StoreUnavailable:
    return StoreUnavailable("the process stops.", fix="Send it again once it runs.")
