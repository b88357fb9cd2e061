"""Which of many patches would be refused for want of room: known before any of them is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from perso_core.decision.caps import Caps
from perso_core.decision.consent import refused
from perso_core.decision.projection import NOTHING_KEPT
from perso_core.engine.caps import patched_within
from perso_core.engine.together import refuse_no_room
from perso_core.errors import Overloaded, PersoError, RecordTooLarge
from perso_core.stores.protocol import ImportStore, Store

One = TypeVar("One")

# So many profiles are asked for at once.
_AT_ONCE = 128

# The keys that a patch goes to, and what it says.
Said = tuple[Sequence[str], Mapping[str, Any]]


class RoomStore(Store, ImportStore, Protocol):
    """A store that also tells to which profiles many keys lead."""


async def refusals(
    patches: Sequence[Said], store: RoomStore, *, caps: Caps, journal_limit: int
) -> dict[int, PersoError]:
    """Those of checked patches that would be refused if they were kept in this order, by their
    place: RecordTooLarge, and Overloaded where the journal never has room for one. It holds of what
    is stored, as long as nobody else writes. Each profile is read. Raises StoreUnavailable."""
    found: dict[int, PersoError] = {}
    places: dict[str, dict[int, None]] = {}  # of what is said of each profile
    for place, led in enumerate(await _led(patches, store)):
        try:
            refuse_no_room(len(led), len(led), journal_limit)
        except Overloaded as error:
            found[place] = error
        for key in led:
            places.setdefault(key, {})[place] = None
    said = [(key, [(one, patches[one][1]) for one in places[key]]) for key in places]
    for some in _parts(said):
        for too_large in await asyncio.gather(*(_too_large(*one, store, caps) for one in some)):
            found |= too_large
    return dict(sorted(found.items()))


async def _led(patches: Sequence[Said], store: RoomStore) -> list[list[str]]:
    """The profiles that each patch goes to, each once."""
    found = []
    for some in _parts(patches):
        leading = await store.leading([key for keys, _ in some for key in keys])
        found += [[*dict.fromkeys(leading.get(key, key) for key in keys)] for keys, _ in some]
    return found


async def _too_large(
    key: str, said: Sequence[tuple[int, Mapping[str, Any]]], store: RoomStore, caps: Caps
) -> dict[int, PersoError]:
    """Of patches of one profile, each with its place."""
    found: dict[int, PersoError] = {}
    stored = await store.load(key, NOTHING_KEPT)
    attributes = stored.profile.attributes if stored.profile else {}
    for place, patch in () if refused(stored.consent) else said:
        try:
            attributes = patched_within(attributes, patch, caps)
        except RecordTooLarge as error:
            found[place] = error
    return found


def _parts(many: Sequence[One]) -> list[Sequence[One]]:
    return [many[at : at + _AT_ONCE] for at in range(0, len(many), _AT_ONCE)]
