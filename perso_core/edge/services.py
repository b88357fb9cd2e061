"""What the edge needs from the rest of the process; assembly gives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

from perso_core.decision.profile import Profile
from perso_core.definitions.snapshot import Snapshot
from perso_core.edge.abuse import NO_LIMITS, Limits
from perso_core.edge.caller import Caller
from perso_core.edge.cookies import CookieKeys
from perso_core.edge.failed_answers import FailedAnswers
from perso_core.edge.graph import Apart, Graph
from perso_core.edge.heavy_senders import HeavySenders
from perso_core.edge.issuer_keys import IssuerKeys, KeyOf
from perso_core.edge.turns import (
    AFTER_EXCESS,
    AFTER_FIRST_VISITS,
    AFTER_MANY,
    AFTER_REFUSALS,
    LONGEST_EXCESS_S,
    REFUSED_AFTER_S,
    Turns,
)
from perso_core.edge.version_token import tokens_to_hold
from perso_core.engine.engine import Answer, Interaction, Seen
from perso_core.stores.protocol import Whole
from perso_core.visitor import SetCookie

T = TypeVar("T")


def never() -> bool:
    return False


def of_none(_: int) -> bool:
    return False


class ImportStores(Protocol):
    """What an import needs of the rest of the process; assembly gives it. All raise
    StoreUnavailable."""

    async def keep(self, rows: Sequence[tuple[str, str, int]], began_ms: int) -> frozenset[str]:
        """Keep memberships (key, audience id, until when) of an import that began then, durably.
        Returns the keys that were withheld."""
        ...

    async def seen_on(self, keys: Sequence[str], datastream_id: str) -> frozenset[str]:
        """Of these keys those with a profile of which the datastream reported an event."""
        ...

    async def withheld(self, keys: Sequence[str], began_ms: int) -> frozenset[str]:
        """Of these keys those that may not be kept, or were erased since then."""
        ...

    def patch(self, key: str, attributes: Mapping[str, Any], said_ms: int, /) -> Awaitable[bool]:
        """Merge checked attributes into a profile, durably. False: it may not be kept. Whoever was
        erased since they were said gets nothing."""
        ...

    async def live(self) -> None:
        """Returns once every process knows what was written."""
        ...


class InParts(Protocol):
    """How a call is decided that takes long, so that others are answered in between; assembly gives
    it."""

    def enough(self) -> Callable[[], bool]:
        """Tells when the part that begins now is over."""
        ...

    async def others_first(self) -> None:
        """Between two parts. Raises StoreUnavailable: the process stops."""
        ...

    def goes_on(self, work: Coroutine[Any, Any, T], /) -> Awaitable[T]:
        """What the work gives, which goes on where its call is over."""
        ...


@dataclass(frozen=True, kw_only=True)
class PrivacyServices:
    """What stands behind show, export and erase. whole: all that is kept under keys and those that
    are one person with them, by key. devices: keys of an ECID's devices, by the key of its own.
    current: a profile as of now; None: there is none. forget: erase keys, durably and in every
    process. All raise StoreUnavailable, forget also NotHeardEverywhere."""

    whole: Callable[[Iterable[str]], Awaitable[Mapping[str, Whole]]]
    devices: Callable[[str], Awaitable[tuple[str, ...]]]
    current: Callable[[str], Awaitable[Profile | None]]
    forget: Callable[[Sequence[str]], Awaitable[None]]


class Health(Protocol):
    """How this process is; see worker/health.py."""

    async def why_not(self) -> str:
        """The code of the error that nothing can be stored for; "": it can."""
        ...

    def counts(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, kw_only=True)
class EdgeServices:
    """decide: the engine's answer, profiles loaded as needed, or what gives it where something has
    to be waited for. Raises StoreUnavailable, UnknownDatastream, Overloaded. durable: returns once
    that sequence is on disk. Raises StoreUnavailable when it could not be kept. Both may be
    cancelled at any await. decided_again: whether what that sequence ends was decided once more
    since it was answered, as another process had written the profile: then that is to be told which
    is on disk.

    snapshot: what is in force; None where nothing was ever applied.
    clock_ms: epoch milliseconds. entropy: that many random bytes.
    max_body_bytes: Adobe's limit is 64 KB. body_within_ms: how long a caller may take to send
    its body. answer_within_ms: how long decide and durable may take together; then the answer
    is a 207 (DESIGN.md, P4). is_kept: whether a sequence is known to be on disk.
    ahead: whether a page's events may be answered now, before they are on disk; what its visitor
    chose never is. location_hint: the path segment that clients put before /v1.
    region_id: what `getIdentity().edge.regionId` tells a page. own_origins: the edge's own
    origins where a proxy hides them, `https://www.example.com`. limits: how often one visitor,
    network or datastream may call. first_visits, excess, refusals: whose calls give way to others:
    of strangers, of whoever sends more than a person does, and what of that is too much.
    heavy_senders: who those are.
    issuer_key: finds the keys that servers' tokens are verified with. seen: how far a profile is
    committed here; None: there is no other process, so browsers need no version token. graph: which
    profiles are one person's. parts: how a call of many events lets others be answered in between;
    None: it is decided at one go.
    privacy: what stands behind show, export and erase; None: nobody may ask. imports: where rows
    go that servers bring; None: nowhere. import_within_ms: how long that may take. failed: counts
    the answers with an error of ours. health: how this process is; None: nobody is told.
    """

    decide: Callable[[Interaction], Answer | Awaitable[Answer]]
    durable: Callable[[int], Awaitable[None]]
    snapshot: Callable[[], Snapshot | None]
    clock_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    keys: CookieKeys
    max_body_bytes: int = 65_536
    body_within_ms: int = 10_000
    answer_within_ms: int = 250
    parts: InParts | None = None
    decided_again: Callable[[int], bool] = of_none
    is_kept: Callable[[int], bool] = of_none
    ahead: Callable[[], bool] = never
    location_hint: str = "perso"
    region_id: int = 9
    own_origins: frozenset[str] = frozenset()
    limits: Limits = NO_LIMITS
    first_visits: Turns = field(
        default_factory=lambda: Turns(AFTER_FIRST_VISITS, pause_of_many=AFTER_MANY)
    )
    excess: Turns = field(default_factory=lambda: Turns(AFTER_EXCESS, longest_s=LONGEST_EXCESS_S))
    refusals: Turns = field(default_factory=lambda: Turns(AFTER_REFUSALS, after_s=REFUSED_AFTER_S))
    heavy_senders: HeavySenders = field(default_factory=HeavySenders)
    failed: FailedAnswers = field(default_factory=FailedAnswers)
    issuer_key: KeyOf = field(default_factory=IssuerKeys)
    seen: Callable[[str], Seen] | None = None
    privacy: PrivacyServices | None = None
    graph: Graph = field(default_factory=Apart)
    imports: ImportStores | None = None
    health: Health | None = None
    import_within_ms: int = 30_000

    async def decided(self, interaction: Interaction) -> Answer:
        """What decide gives."""
        answer = self.decide(interaction)
        return answer if isinstance(answer, Answer) else await answer

    @property
    def in_force(self) -> Snapshot:
        """The snapshot, for whoever knows that there is one."""
        snapshot = self.snapshot()
        assert snapshot, "a datastream was found in it, or it is the site's own"
        return snapshot

    @cached_property
    def giving_way(self) -> tuple[Turns, Turns, Turns]:
        return self.first_visits, self.excess, self.refusals

    def tokens(
        self, sent: Sequence[str], profile_key: str, org: str, *, beside: str | None = None
    ) -> tuple[SetCookie, ...]:
        """See tokens_to_hold."""
        if self.seen is None:
            return ()
        return tokens_to_hold(sent, profile_key, self.seen, org=org, keys=self.keys, beside=beside)

    def tokens_of(self, caller: Caller, org: str) -> tuple[SetCookie, ...]:
        """Those that a caller's browser is to hold from now on."""
        if self.seen is None:
            return ()
        return self.tokens(caller.tokens, caller.profile_key, org, beside=caller.beside)
