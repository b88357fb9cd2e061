"""What is said of one person in several profiles: kept in all of them, or in none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from perso_core.decision.caps import Caps
from perso_core.engine.engine import OPERATOR, Answer, Engine, Interaction, NeedProfile
from perso_core.engine.journal import AttributesPatched
from perso_core.engine.together import decide_together
from perso_core.errors import StoreUnavailable
from perso_core.worker.admit import Admission
from perso_core.worker.drain import Drain
from perso_core.worker.identity_graph import IdentityGraph

# So often may a profile be put out of memory, or written by others, before whoever waits hears.
MAX_ROUNDS = 8


class Patching:
    """caps: of each profile. Methods raise StoreUnavailable, Overloaded, RecordTooLarge: then
    nothing is kept, unless the store failed between two commits."""

    def __init__(
        self,
        engine: Engine,
        drain: Drain,
        admission: Admission,
        graph: IdentityGraph,
        *,
        clock_ms: Callable[[], int],
        caps: Caps,
    ) -> None:
        self._engine = engine
        self._drain = drain
        self._admission = admission
        self._graph = graph
        self._clock_ms = clock_ms
        self._caps = caps

    async def patch(
        self, keys: Sequence[str], attributes: Mapping[str, Any], *, said_ms: int = 0
    ) -> int:
        """Merge checked attributes into the profiles that these keys lead to, durably. said_ms:
        whoever was erased since then gets nothing; 0: now. Returns under how many of the keys they
        may not be kept."""
        led = [await self._graph.canonical(key, anew=True) for key in keys]
        change = AttributesPatched(attributes, said_ms or self._clock_ms())
        permitted: dict[str, bool] = {}
        for _ in range(MAX_ROUNDS):
            profiles = [key for key in dict.fromkeys(led) if key not in permitted]
            if not profiles:
                break
            answers = await self._decided(profiles, change)
            self._drain.wake()
            for key, answer in zip(profiles, answers, strict=True):
                await self._drain.durable(answer.sequence)
                permitted[key] = await self._permitted(key, answer)
            # Where another process linked one meanwhile, what was kept becomes that profile's, and
            # fills gaps there: this is said of that profile, so it is said once more.
            led = [await self._graph.canonical(key) for key in led]
        return sum(not permitted.get(profile, True) for profile in led)

    async def _permitted(self, key: str, answer: Answer) -> bool:
        """Whether it was kept, once it is on disk: another process may have kept a refusal
        meanwhile."""
        if answer.permitted and self._engine.following.decided_again.includes(answer.sequence):
            answer = await self._admission.decided(
                Interaction(profile_key=key, datastream_id=OPERATOR)
            )
        return answer.permitted

    async def _decided(self, profiles: Sequence[str], change: AttributesPatched) -> list[Answer]:
        asked = [
            Interaction(profile_key=key, datastream_id=OPERATOR, changes=(change,), visits=True)
            for key in profiles
        ]
        for _ in range(MAX_ROUNDS):
            for key in profiles:
                await self._admission.decided(Interaction(profile_key=key, datastream_id=OPERATOR))
            found = decide_together(self._engine, asked, caps=self._caps, now_ms=self._clock_ms())
            if not isinstance(found, NeedProfile):
                return found
        raise StoreUnavailable(
            "the profiles of one person were not in memory together.",
            fix="Raise hot_profiles, or try again when less is going on.",
        )
