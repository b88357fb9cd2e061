"""Removing what is past its retention: behind the requests, in steps that they hardly notice."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from perso_core.decision.membership import EXITED_KEPT_MS
from perso_core.decision.retention import Retention
from perso_core.engine.engine import Engine
from perso_core.errors import StoreUnavailable
from perso_core.stores.clock import APART_MS
from perso_core.stores.protocol import Retaining
from perso_core.worker.running import RetentionClock, machine_boot, machine_running_ms, resumed

TICK_S = 1.0  # how old the engine's idea of the time may be
FIRST_VISITS_AT_ONCE = 64  # some milliseconds of the writer
PROFILES_AT_ONCE = 200
# After a step the writer is everybody else's for so many times as long: a commit beside it took 5
# to 13 % longer at the median, and 45 % with four times (a busy machine, 500 commits each). Where
# nobody here wrote since the step before, a short pause tells whether somebody does now.
PAUSE_TIMES = 9
MIN_PAUSE_S = 0.02
IDLE_PAUSE_S = 0.005
PROFILES_PAUSE_S = 0.25
PASS_EACH_S = 3_600.0  # how often every profile is looked at
MARK_EACH_S = 60.0
# An announcement is kept for so long, and as much again at most. Whoever does not hear for far less
# answers nothing any more (hearing.py).
NOTICES_KEPT_S = 300.0

_log = logging.getLogger("perso.worker")


async def retention_clock(store: Retaining, wall_ms: int) -> RetentionClock:
    """The clock of this store, counted on from what was noted last. Raises StoreUnavailable."""
    mark = resumed(
        await store.clock_mark(),
        boot=machine_boot(),
        running_ms=machine_running_ms(),
        wall_ms=wall_ms,
    )
    clock = RetentionClock(mark)
    apart_ms = wall_ms - clock.now_ms()
    if abs(apart_ms) > APART_MS:
        _log.warning(
            "The calendar is %+d min from the time that the machine has run: retention goes by the"
            " latter.",
            round(apart_ms / 60_000),
        )
    return clock


def ended_ms(now_ms: int, wall_ms: int) -> int:
    """Before when an imported membership must have ended to be removed. Its end is a date: of a
    calendar that jumped ahead none is over before the machine has run so long. now_ms: of the clock
    that retention goes by."""
    return min(now_ms, wall_ms) - EXITED_KEPT_MS


class Sweeper:
    """wall_ms: the calendar. clock: what retention goes by; None: the calendar, where a test moves
    it. mine: whether this process is the one of its store that sweeps; asked before each round.
    commits: how many this process has made for its visitors. removed: profiles and first visits
    that were removed since the start.
    """

    def __init__(
        self,
        engine: Engine,
        store: Retaining,
        *,
        wall_ms: Callable[[], int],
        clock: RetentionClock | None = None,
        mine: Callable[[], bool],
        commits: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._store = store
        self._wall_ms = wall_ms
        self._clock = clock
        self._mine = mine
        self._commits = commits
        self._committed = 0  # at the end of the last pause
        self.removed = 0
        self._failing = False  # the log has said so
        self._after = 0  # how far the pass over the profiles is
        self._swept: Retention | None = None  # by what the last whole pass went
        self._pass_s = self._mark_s = float("-inf")  # when it began, and the clock was noted
        self._notices_s = time.monotonic()
        self._noticed = 0  # the announcements that there were then
        self._may_shrink = True
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.tick()
        self._task = asyncio.create_task(self._run(), name="perso-sweeper")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def tick(self) -> None:
        """Tell the engine the time."""
        if self._clock is not None:
            mark = self._clock.mark()
            self._engine.keeping.clock_ms = mark.clock_ms
            self._engine.keeping.told_ms = self._wall_ms()
            self._engine.keeping.latest_ms = mark.clock_ms + mark.owed_ms

    async def _run(self) -> None:
        while True:
            try:
                if self._mine():
                    await self.round()
                self._failing = False
            except StoreUnavailable as error:
                if not self._failing:  # one line for an outage
                    self._failing = True
                    _log.warning("Nothing is removed for now. %s", error)
            except Exception:  # the supervisor: reports, goes on
                _log.exception("A round of removing failed")
            await self._pause(TICK_S)

    async def round(self) -> None:
        """All that is due now. Raises StoreUnavailable."""
        await self._note_clock()
        if time.monotonic() >= self._notices_s + NOTICES_KEPT_S:
            self._notices_s = time.monotonic()
            self._noticed = await self._store.sweep_notices(self._noticed)
        await self._sweep_first_visits()
        await self._sweep_profiles()
        while self._may_shrink:
            began_s = time.monotonic()
            self._may_shrink = await self._store.shrink()
            await self._rest(began_s)

    async def _note_clock(self) -> None:
        if self._clock is None or time.monotonic() < self._mark_s + MARK_EACH_S:
            return
        self._mark_s = time.monotonic()
        await self._store.keep_clock_mark(self._clock.mark())

    async def _sweep_first_visits(self) -> None:
        retention = self._engine.keeping.retention
        looked = FIRST_VISITS_AT_ONCE if retention.first_visit_ms else 0
        while looked == FIRST_VISITS_AT_ONCE:
            began_s = time.monotonic()
            looked = await self._store.sweep_first_visits(
                retention, now_ms=self._now_ms(), at_most=FIRST_VISITS_AT_ONCE
            )
            self._removed(looked)
            await self._rest(began_s)

    async def _sweep_profiles(self) -> None:
        """A pass over all of them, where one is due; after a failure it goes on where it was."""
        retention = self._engine.keeping.retention
        if retention != self._swept:
            self._after = 0
        elif not self._after and time.monotonic() < self._pass_s + PASS_EACH_S:
            return
        began_s = time.monotonic()
        await self._step_over_profiles(retention)
        while self._after:
            await self._pause(PROFILES_PAUSE_S)
            await self._sweep_first_visits()
            if retention != self._engine.keeping.retention:
                return
            await self._step_over_profiles(retention)
        self._swept, self._pass_s = retention, began_s
        await self._sweep_ended()
        await self._sweep_set_aside()

    async def _sweep_ended(self) -> None:
        """Imported memberships that ended so long ago that nobody asks for their exit."""
        before_ms = ended_ms(self._now_ms(), self._wall_ms())
        after: tuple[str, str] | None = ("", "")
        while after is not None:
            began_s = time.monotonic()
            after = await self._store.sweep_ended(after, ended_ms=before_ms)
            if after is not None:
                await self._rest(began_s)
                await self._sweep_first_visits()

    async def _sweep_set_aside(self) -> None:
        more, after = True, 0
        while more:
            began_s = time.monotonic()
            after = await self._store.sweep_set_aside(
                self._engine.keeping.retention, now_ms=self._now_ms(), after=after
            )
            if more := after > 0:
                await self._rest(began_s)
                await self._sweep_first_visits()

    async def _step_over_profiles(self, retention: Retention) -> None:
        now_ms = self._now_ms()
        # Events are dated by the calendar: where it was set back, they only look old.
        dated_ms = min(now_ms, self._wall_ms())
        swept = await self._store.sweep_profiles(
            retention,
            now_ms=now_ms,
            events_from_ms=dated_ms - self._engine.snapshot.event_window_ms,
            after=self._after,
            at_most=PROFILES_AT_ONCE,
        )
        self._after = swept.after
        self._removed(swept.removed)

    def _now_ms(self) -> int:
        return self._wall_ms() if self._clock is None else self._clock.now_ms()

    def _removed(self, count: int) -> None:
        self.removed += count
        self._may_shrink |= count > 0

    async def _rest(self, began_s: float) -> None:
        took_s = time.monotonic() - began_s
        await self._pause(IDLE_PAUSE_S)
        if self._commits() != self._committed:
            await self._pause(max(PAUSE_TIMES * took_s, MIN_PAUSE_S))
        self._committed = self._commits()

    async def _pause(self, seconds: float) -> None:
        self.tick()
        await asyncio.sleep(seconds)
        self.tick()
