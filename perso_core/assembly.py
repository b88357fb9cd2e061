"""The one place that knows every part: store, engine and worker, opened and closed in order
(opening.py), and the edge on them. What it yields is the `Site` that visitors and plugins stand on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from msgspec import structs

from perso_core.beside import DATABASE as DATABASE
from perso_core.beside import event_window_ms
from perso_core.decision.attributes import sound_attributes
from perso_core.decision.identity import Identity, server_key
from perso_core.decision.profile import Profile, with_whole_events
from perso_core.definitions.api_key import ApiKey
from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import Snapshot, snapshot_id
from perso_core.edge.abuse import Limits
from perso_core.edge.addresses import networks
from perso_core.edge.app import EdgeServices, build_edge
from perso_core.edge.entropy import Entropy
from perso_core.edge.failed_answers import FailedAnswers
from perso_core.edge.guard import GuardedRunner as GuardedRunner  # for whoever mounts the edge
from perso_core.edge.limits import Rate
from perso_core.edge.services import PrivacyServices, never
from perso_core.edge.site import InProcessSite
from perso_core.engine.engine import OPERATOR, Interaction, NeedProfile
from perso_core.errors import (
    BadIdentity,
    NothingDefined,
    PersoError,
    StoreUnavailable,
    UnreadableRecord,
)
from perso_core.imports.identity import identity_problem
from perso_core.opening import NOTHING, Parts, caps_of, running
from perso_core.pql.explain import Explanation
from perso_core.settings import Settings, refuse_bad
from perso_core.stores.clock import system_clock_ms as system_clock_ms  # for whoever moves it
from perso_core.stores.protocol import ImportStore, Whole
from perso_core.stores.turn import turn
from perso_core.worker.everywhere import Everywhere
from perso_core.worker.health import Health
from perso_core.worker.importing import HEARD_S, Imports
from perso_core.worker.patching import Patching
from perso_core.worker.people import People
from perso_core.worker.room import refusals

# A bearer token of 8 KiB, the most that is read, with the word before it.
MAX_HEADER_BYTES = 9 * 1024
# A template's thread waits so long for a reason that the event loop has to tell.
EXPLAINED_WITHIN_S = 1

_log = logging.getLogger("perso")


class Perso(InProcessSite):
    """Everything assembled: what plugins call a site, the edge as an aiohttp application, and
    the operator's acts. Made by open_perso; used from its event loop alone."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings = settings
        self._store = store = parts.store
        self._engine = engine = parts.engine
        self._drain = drain = parts.drain
        self._admission = admission = parts.admission
        self._refresh = parts.refresh
        self._keys = parts.keys
        self._graph = graph = parts.graph
        self.people = People(store, drain, admission)
        self._clock_ms = clock_ms = parts.clock_ms
        self.patching = Patching(
            engine, drain, admission, graph, clock_ms=clock_ms, caps=caps_of(settings)
        )
        self._health = Health(engine, drain, admission.deaf, store.try_commit)
        self._issuer_keys = parts.issuer_keys
        self._compiled = parts.compiled
        self._unreadable = parts.unreadable
        self._keep_failed = parts.presence.keep_failed if parts.presence else None
        self._entropy = Entropy()
        self._everywhere = Everywhere(Path(settings.data_dir), self._announced)
        # Alone, this process knows what every browser was told.
        self._seen = engine.seen if settings.workers > 1 else None
        self._imports = Imports(
            store,
            parts.refresh,
            patch=lambda key, attributes, said_ms: self.patch([key], attributes, said_ms=said_ms),
            clock_ms=clock_ms,
            settled_s=_heard_s(settings),
        )
        super().__init__(self._services_of(snapshot=lambda: engine.snapshot), self._explain)

    def edge_app(self) -> web.Application:
        """The HTTP edge, to be mounted under any prefix: `app.add_subapp("/ee", …)`."""
        settings = self.settings
        return build_edge(
            self._services_of(
                snapshot=self._snapshot_in_force,
                max_body_bytes=settings.max_body_bytes,
                answer_within_ms=settings.answer_within_ms,
                ahead=self._drain.keeps_up if settings.answer_behind else never,
                location_hint=settings.location_hint,
                region_id=settings.region_id,
                own_origins=frozenset(settings.own_origins),
                limits=limits_of(settings),
                issuer_key=self._issuer_keys,
                privacy=PrivacyServices(
                    whole=self.people.everything_under,
                    devices=self._store.devices_of,
                    current=self.profile_at,
                    forget=self.forget_everywhere,
                ),
                imports=self._imports,
                failed=FailedAnswers(self._keep_failed),
                health=self._health,
            )
        )

    def _services_of(self, **more: Any) -> EdgeServices:
        """What stands behind the edge and behind rendered pages. more: what is not of both."""
        return EdgeServices(
            decide=self._admission.decide,
            durable=self._drain.durable,
            parts=self._admission.parts,
            decided_again=self._engine.following.decided_again.includes,
            is_kept=self._drain.is_kept,
            clock_ms=self._clock_ms,
            entropy=self._entropy,
            keys=self._keys,
            seen=self._seen,
            graph=self._graph,
            **more,
        )

    def definitions(self) -> Definitions | None:
        """What is in force; None before anything was applied."""
        in_force = self._engine.snapshot.definitions
        return None if in_force is NOTHING else in_force

    def refuse_unreadable(self) -> None:
        """Raises UnreadableRecord where what was applied last could not be read at the opening:
        every call would be answered as if its datastream were unknown."""
        if self._unreadable is not None:
            raise UnreadableRecord(
                self._unreadable.detail,
                fix="`perso apply` the definitions again, or `perso restore` a backup.",
            )

    async def apply(self, definitions: Definitions) -> int:
        """Keep checked definitions and put them in force here; other processes follow. The API
        keys stay as they are. Returns their version.
        Raises RuleFaults (check them first for all faults at once), StoreUnavailable."""
        async with turn(Path(self.settings.data_dir)):
            return await self._save(
                structs.replace(definitions, api_keys=await self._api_keys_kept())
            )

    async def change_api_keys(self, change: Callable[[Definitions], tuple[ApiKey, ...]]) -> int:
        """Keep the API keys that change makes of what was saved last, as apply does. Raises
        NothingDefined, and what change raises."""
        async with turn(Path(self.settings.data_dir)):
            stored = await self._store.definitions()
            if stored is None:
                raise NothingDefined("nothing was applied yet.", fix="Run `perso apply FILE`.")
            before = stored.definitions
            return await self._save(structs.replace(before, api_keys=change(before)), tolerant=True)

    async def _api_keys_kept(self) -> tuple[ApiKey, ...]:
        try:
            stored = await self._store.definitions()
        except UnreadableRecord as fault:
            _log.error("The API keys are lost with the definitions. %s", fault)
            return ()
        return stored.definitions.api_keys if stored else ()

    async def announce_again(self) -> int | None:
        """Save what was saved last as a further version: whoever has that in force has taken over
        all that was written before. Returns it; None: nothing was ever applied."""
        async with turn(Path(self.settings.data_dir)):
            stored = await self._store.definitions()
            if stored is None:
                return None
            return await self._store.save_definitions(stored.definitions, saved_ms=stored.saved_ms)

    async def _save(self, definitions: Definitions, *, tolerant: bool = False) -> int:
        """tolerant: of audiences that were in force and are refused now."""
        self._admission.refuse_another_loop()
        before = self._engine.snapshot
        # The same again changes no audience, so it dates nothing anew; nor does a new key.
        again = snapshot_id(definitions) == before.id and before.in_force_ms
        saved_ms = again or self._clock_ms()
        snapshot = await asyncio.to_thread(
            self._compiled.snapshot,
            definitions,
            event_window_ms=event_window_ms(self.settings),
            before=before,
            in_force_ms=saved_ms,
            tolerant=tolerant,
        )
        if self._compiled.lacked:
            # Before others hear of it: then they need not compile.
            await asyncio.to_thread(self._compiled.keep, snapshot)
        version = await self._store.save_definitions(definitions, saved_ms=saved_ms)
        self._refresh.put_in_force(version, snapshot)
        return version

    async def put_profile(
        self, identity: Identity, attributes: Mapping[str, Any], *, said_ms: int = 0
    ) -> bool:
        """The operator's word on a profile, as a JSON merge patch, durably: on an ECID's device,
        and on any other identity as every datastream's servers know it. False: the visitor said
        no to being kept, so nothing was. said_ms: see Patching. Raises BadIdentity, BadAttributes,
        StoreUnavailable."""
        if problem := identity_problem(identity.namespace, identity.id):
            raise BadIdentity(problem[0], fix=problem[1])
        sound = sound_attributes(attributes, max_bytes=self.settings.max_record_bytes)
        return await self.patch(self._keys_of(identity), sound, said_ms=said_ms)

    async def refusals(
        self, said: Sequence[tuple[Identity, Mapping[str, Any]]]
    ) -> dict[int, PersoError]:
        """Which of these put_profile would refuse for want of room, by their place, see
        worker/room.py; of checked attributes, in the order in which they would be put."""
        return await refusals(
            [(self._keys_of(identity), attributes) for identity, attributes in said],
            self._store,
            caps=caps_of(self.settings),
            journal_limit=self.settings.journal_limit,
        )

    async def patch(
        self, keys: Sequence[str], attributes: Mapping[str, Any], *, said_ms: int = 0
    ) -> bool:
        """The same under these keys, of attributes that were checked: all of it, or nothing.
        said_ms: see Patching."""
        return not await self.patching.patch(keys, attributes, said_ms=said_ms)

    @property
    def import_store(self) -> ImportStore:
        """The store, as whoever imports needs it."""
        return self._store

    async def everything(self, identity: Identity) -> Mapping[str, Whole]:
        """All that is stored of an identity and of those that are one person with it, by key.
        Raises StoreUnavailable."""
        return await self.people.everything(identity)

    async def erase(self, identity: Identity) -> int:
        """Erase all that is kept of an identity and of those that are one person with it, durably;
        nothing that was decided before comes back. Other processes are told at once. Returns under
        how many keys something was stored. Raises StoreUnavailable."""
        return await self.people.erase(identity, self._keys_of(identity))

    async def elsewhere(self, identity: Identity) -> list[Identity]:
        """Other identities of its person of which more is kept where they are not linked. Raises
        StoreUnavailable."""
        return await self.people.elsewhere(identity, self._keys_of)

    async def forget_everywhere(self, keys: Sequence[str]) -> None:
        """Erase what is kept under keys, durably; returns once every server knows. Raises
        StoreUnavailable, NotHeardEverywhere."""
        await self.people.forget(keys)
        await self._everywhere.heard()

    async def _announced(self) -> int | None:
        version = await self.announce_again()
        self._refresh.look_again()
        return version

    def _keys_of(self, identity: Identity) -> list[str]:
        keys = [identity.profile_key]
        if identity.namespace != "ECID":
            snapshot = self._engine.snapshot
            keys += [
                server_key(identity, org=snapshot.org, datastream_id=datastream_id)
                for datastream_id in snapshot.datastreams
            ]
        return keys

    async def profile(
        self, identity: Identity, *, datastream_id: str | None = None
    ) -> Profile | None:
        """What is kept of an identity, as of now; None: nothing. datastream_id: as that one's
        servers know it; None: what the operator wrote, and of an ECID the device."""
        key = identity.profile_key
        if datastream_id is not None and identity.namespace != "ECID":
            org = self._engine.snapshot.org
            key = server_key(identity, org=org, datastream_id=datastream_id)
        return await self.profile_at(await self._graph.canonical(key))

    async def profile_at(self, key: str) -> Profile | None:
        """What is kept under a key, as of now; None: nothing. Raises StoreUnavailable."""
        stored = (await self._store.load(key)).profile
        await self._admission.decided(Interaction(profile_key=key, datastream_id=OPERATOR))
        found = self._engine.profile(key, now_ms=self._clock_ms())
        assert not isinstance(found, NeedProfile), "decide has admitted it, with no await since"
        # In memory is what rules read of the events, and what was committed since the reading.
        return with_whole_events(found, stored.events) if found and stored else found

    def _snapshot_in_force(self) -> Snapshot | None:
        snapshot = self._engine.snapshot
        return None if snapshot.definitions is NOTHING else snapshot

    def _explain(self, key: str, audience_id: str) -> Explanation | None:
        """From whichever thread a template asks: what is in memory is its event loop's alone."""
        self._admission.refuse_after_fork()
        loop = self._drain.loop
        if loop is None or not loop.is_running() or loop is _loop_here():
            return self._engine.explain(key, audience_id, now_ms=self._clock_ms())
        asked = asyncio.run_coroutine_threadsafe(self._explained(key, audience_id), loop)
        try:
            return asked.result(EXPLAINED_WITHIN_S)
        except TimeoutError:
            asked.cancel()
            raise StoreUnavailable(
                "its event loop did not come round in time.", fix="Ask again."
            ) from None

    async def _explained(self, key: str, audience_id: str) -> Explanation | None:
        return self._explain(key, audience_id)


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _heard_s(settings: Settings) -> float:
    """Within what time the other workers hear of an import; 0: there are none."""
    if settings.workers == 1:
        return 0
    return max(HEARD_S, 2 * settings.news_interval_ms / 1_000)


def limits_of(settings: Settings) -> Limits:
    """How often one may call, as the settings say."""
    return Limits(
        visitor=_rate(settings.visitor_per_s, settings.visitor_burst),
        address=_rate(settings.network_per_s, settings.network_burst),
        datastream=_rate(settings.datastream_per_s, settings.datastream_burst),
        trusted=networks(settings.trusted_proxies),
    )


def _rate(per_s: int, burst: int) -> Rate | None:
    return Rate(per_s, burst) if per_s else None


@asynccontextmanager
async def open_perso(
    settings: Settings,
    *,
    clock_ms: Callable[[], int] = system_clock_ms,
    announce: bool = False,
    anew: bool = True,
) -> AsyncIterator[Perso]:
    """Perso on settings.data_dir, running until the block ends; then what waits is written.

    clock_ms: for demos and tests that move time. announce: tell other processes on the same
    database of what this one writes. The command line does; whoever does not is a server, and
    says in the data directory which version of the definitions it has in force.
    anew: make data_dir and database where there are none; False: that is StoreUnavailable, as where
    the disk is not mounted.
    Raises BadSettings, StoreUnavailable, StoreTooNew, and OSError for a data_dir that cannot be
    made or entered.
    """
    refuse_bad(settings)
    async with running(settings, clock_ms, announce=announce, anew=anew) as parts:
        yield Perso(settings, parts)
