"""Memberships and attributes that a server brings over HTTP: a body of rows, as the files of
`perso import` have them. What was good is on disk and live when it is answered."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from perso_core.decision.identity import Device, Identity
from perso_core.definitions.document import Definitions
from perso_core.definitions.schema import field_types
from perso_core.edge.call import Call, Reply
from perso_core.edge.named_person import person_key
from perso_core.edge.problem import BodyEmpty, FieldBad, ImportRefused, TokenBad
from perso_core.edge.services import EdgeServices, ImportStores
from perso_core.errors import BadAttributes, BadImportFile, StoreUnavailable
from perso_core.imports.lines import Lines
from perso_core.imports.memberships import (
    Defaults,
    Member,
    Memberships,
    Stated,
    stated_in_csv,
    stated_in_json,
)
from perso_core.imports.patches import Patch, patch_in_csv, patch_in_json
from perso_core.imports.refusal import Refusal
from perso_core.imports.source import LineSource, Source
from perso_core.imports.table import header_of

Row = TypeVar("Row")

ECID = "ECID"
CSV, NDJSON = "text/csv", "application/x-ndjson"
MEDIA_TYPES = frozenset({CSV, NDJSON})
MAX_BODY_BYTES = 1024 * 1024
# While so many lines are read nothing else is answered: a millisecond or two.
LINES_AT_ONCE = 250
BYTES_AT_ONCE = 32 * 1024  # of a body of few long lines: all of it at once had taken 2 s
# The store reads their profiles one after the other, and the last has to be read in time too
# (load_timeout_ms): with as many as lines a busy machine failed to, and the whole body with it.
PATCHED_AT_ONCE = 32
# More refusals are counted, and not told.
TOLD_REFUSALS = 100
UNSEEN_DEVICE = (
    "This datastream has had no event of the device. Import it once it came, or by `perso import`."
)


class Outcome(Struct, frozen=True, kw_only=True, rename="camel"):
    """kept, removed, withheld, refused: rows, each in one of the four, and lines that may be rows.
    withheld: of visitors who may not be kept. refusals: the first of them, by line."""

    request_id: str
    kept: int
    removed: int
    withheld: int
    refused: int
    refusals: list[Refusal]


# From rows, with their lines, to the lines that were withheld and those refused after all.
_Keep = Callable[[list[Row], list[int]], Awaitable[tuple[set[int], list[Refusal]]]]


async def import_audience(call: Call, services: EdgeServices) -> Reply:
    """Memberships of external audiences. Raises EdgeError, StoreUnavailable."""
    stores, definitions = _permitted(call, services)

    async def keep(rows: list[Member], lines: list[int]) -> tuple[set[int], list[Refusal]]:
        keys, refused = await _keys(call, [row[:2] for row in rows], lines, stores)
        kept = [(key, row[2], row[3]) for key, row in zip(keys, rows, strict=True) if key]
        gone = await stores.keep(kept, call.now_ms) if kept else frozenset()
        return {line for key, line in zip(keys, lines, strict=True) if key in gone}, refused

    def ends(row: Member) -> bool:
        return row[3] <= call.now_ms

    return await _imported(call, _memberships(call, definitions), keep, ends, stores)


async def import_attributes(call: Call, services: EdgeServices) -> Reply:
    """Merge patches of profiles' attributes. Raises EdgeError, StoreUnavailable."""
    stores, definitions = _permitted(call, services)

    async def keep(patches: list[Patch], lines: list[int]) -> tuple[set[int], list[Refusal]]:
        keys, refused = await _keys(call, [patch[:2] for patch in patches], lines, stores)
        of_key: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
        for key, patch, line in zip(keys, patches, lines, strict=True):
            if key:
                of_key.setdefault(key, []).append((line, patch[2]))
        withheld = await stores.withheld([*of_key], call.now_ms)
        held_back = {line for key in withheld for line, _ in of_key[key]}
        permitted = [(key, some) for key, some in of_key.items() if key not in withheld]
        for begin in range(0, len(permitted), PATCHED_AT_ONCE):
            for passed_over, late in await asyncio.gather(
                *(
                    _patched(key, some, stores, call.now_ms)
                    for key, some in permitted[begin : begin + PATCHED_AT_ONCE]
                )
            ):
                held_back |= passed_over
                refused += late
        return held_back, refused

    return await _imported(call, _patches(call, definitions), keep, lambda _: False, stores)


async def _patched(
    key: str, patches: list[tuple[int, Mapping[str, Any]]], stores: ImportStores, said_ms: int
) -> tuple[set[int], list[Refusal]]:
    """Of one profile, in their order. Returns the lines that were withheld, as of who refused under
    another of her identities, and those refused: by them it would become too large."""
    withheld, refused = set(), []
    for line, attributes in patches:
        try:
            if not await stores.patch(key, attributes, said_ms):
                withheld.add(line)
        except BadAttributes as error:
            refused.append(Refusal(line, f"{error.detail} {error.fix}"))
    return withheld, refused


async def _imported(
    call: Call,
    source: Source[Row],
    keep: _Keep[Row],
    ends: Callable[[Row], bool],
    stores: ImportStores,
) -> Reply:
    refusals: list[Refusal] = []
    rows = removed = withheld = refused = 0
    while (part := source.next(LINES_AT_ONCE)) is not None:
        held_back, late = await keep(part.rows, part.lines)
        found = sorted([*part.refusals, *late], key=lambda one: one.line)
        refusals += found[: TOLD_REFUSALS - len(refusals)]
        refused += sum(one.lines for one in found)
        withheld += len(held_back)
        elsewhere = held_back.union(one.line for one in late)
        taken = [
            row for row, line in zip(part.rows, part.lines, strict=True) if line not in elsewhere
        ]
        rows += len(taken)
        removed += sum(map(ends, taken))
        await asyncio.sleep(0)  # others first
    await stores.live()
    outcome = Outcome(
        request_id=call.request_id,
        kept=rows - removed,
        removed=removed,
        withheld=withheld,
        refused=refused,
        refusals=refusals,
    )
    return Reply(200, msgspec.json.encode(outcome))


# ---- who, and what is sent ------------------------------------------------------


def _permitted(call: Call, services: EdgeServices) -> tuple[ImportStores, Definitions]:
    """Raises TokenBad, ImportRefused, BodyEmpty."""
    if call.context is None:
        raise TokenBad(
            "Only a server that proves itself may import.", fix="Send a bearer token or an API key."
        )
    if "import" not in call.context.may:
        raise ImportRefused("The credential may not import.", fix='Give it "import" in `may`.')
    if not call.body.strip():
        raise BodyEmpty("There is no body.", fix="Send rows of CSV or NDJSON.")
    snapshot = services.in_force
    if services.imports is None:
        raise StoreUnavailable("this process imports nothing.", fix="Ask `perso serve`.")
    return services.imports, snapshot.definitions


async def _keys(
    call: Call, people: Sequence[tuple[str, str]], lines: Sequence[int], stores: ImportStores
) -> tuple[list[str | None], list[Refusal]]:
    """The profile of each on this datastream; None, and a refusal, for a device that the
    datastream has had no event of: it may be another's, which a server must not touch."""
    devices = [Device(identity).profile_key for namespace, identity in people if namespace == ECID]
    seen = await stores.seen_on(devices, call.datastream.id) if devices else frozenset()
    keys: list[str | None] = []
    refused = []
    for (namespace, identity), line in zip(people, lines, strict=True):
        if namespace != ECID:
            keys.append(person_key(Identity(namespace, identity), call))
        elif (device := Device(identity).profile_key) in seen:
            keys.append(device)
        else:
            keys.append(None)
            refused.append(Refusal(line, UNSEEN_DEVICE))
    return keys, refused


def _memberships(call: Call, definitions: Definitions) -> Source[Member]:
    """Raises FieldBad."""
    lines = Lines(io.BytesIO(call.body), bytes_at_once=BYTES_AT_ONCE)
    defaults = Defaults()
    stated: Callable[[bytes], Stated] = stated_in_json
    try:
        checked = Memberships(definitions.audiences, defaults=defaults, now_ms=call.now_ms)
        if call.media_type == CSV:
            stated = stated_in_csv(header_of(lines), defaults)
    except BadImportFile as fault:
        raise FieldBad(fault.detail, fix=fault.fix) from None
    return LineSource(lines, lambda line: checked.member(stated(line)))


def _patches(call: Call, definitions: Definitions) -> Source[Patch]:
    """Raises FieldBad."""
    lines = Lines(io.BytesIO(call.body), bytes_at_once=BYTES_AT_ONCE)
    if call.media_type != CSV:
        return LineSource(lines, patch_in_json)
    try:
        header = header_of(lines)
        patch = patch_in_csv(header, field_types(definitions.schema).profile, "")
    except BadImportFile as fault:
        raise FieldBad(fault.detail, fix=fault.fix) from None
    return LineSource(lines, patch)
